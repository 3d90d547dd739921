"""Reads one share of a side and stages it, cut into buckets, in memory that does not grow.

Every piece of the server's answer is cut as it arrives and appended to one Arrow stream a bucket.
A share appears under its name only when it is complete. Runs in a worker process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from lib.database import copy_reader, date_validation, retry, sessions
from lib.database.socket_timeout import Watchdog
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.domain.reconciliation import CARD
from lib.engines.partitioning import Routes, bucket_of, homes, log_homes
from lib.matching import reconcile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lib.engines.job import Job, Slice

    Ints = NDArray[np.int64]

FIRST: Final = "primeira_copia"
"""False in the copies of a log that are in another bucket only to be seen there."""

_BLOCK: Final = 16 << 20
_PIPE: Final = 1 << 20
_TIMES: Final = (c.HORA_TRANSA, c.HORA)
_TOKENS: Final = (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL, c.TOKEN_CPF)
_TYPES: Final = dict.fromkeys((*c.TRANSACTIONS, *c.AUTH_LOGS_CLEAR), pa.string()) | {
    c.DATA_TRANSA: pa.date32(),
    c.HORA_TRANSA: pa.int32(),
    c.VLR_TOTAL: pa.decimal128(18, 2),
    c.DATA: pa.date32(),
    c.HORA: pa.int32(),
}
PAIR: Final = pa.schema({c.TOKEN_VIRTUAL: pa.int64(), "home": pa.int64()})


@dataclass(frozen=True)
class Staged:
    """What a share held: the records inside the period, and how far its transactions go.

    ``newest`` is `matching.newest_instant`; ``cents`` the amount inside the period.
    """

    inside: int
    newest: int = column_arrays.EARLIEST
    cents: int = 0


def stage_transactions(job: Job, part: Slice) -> Staged:
    """Read and stage a share of the transactions. Raises ExtractionError."""
    return retry.call(lambda: _read(job, part, keep_transactions))


def stage_auth_logs(job: Job, part: Slice) -> Staged:
    """Read and stage a share of the logs, after `Routes` are known. Raises ExtractionError."""
    return retry.call(lambda: _read(job, part, keep_auth_logs))


def keep_transactions(job: Job, part: Slice, pieces: Iterable[pa.Table]) -> Staged:
    """Stage transactions, and the pairs of their virtual cards and their homes."""
    inside, newest, cents = 0, column_arrays.EARLIEST, 0
    with _piles(job.folder, part, "transactions", "pairs") as (rows, pairs):
        for table in pieces:
            frame = as_frame(table)
            home = homes(frame)
            rows.add(table, bucket_of(home, job.buckets))
            card, present = column_arrays.token(frame, c.TOKEN_VIRTUAL)
            card, home = card[present], home[present]
            pairs.add(pa.table([card, home], schema=PAIR), bucket_of(card, job.buckets))

            bought = column_arrays.instants(frame, c.DATA_TRANSA, c.HORA_TRANSA)
            newest = max(newest, reconcile.newest_instant(bought, job.period, job.rule))
            counted = inside_period(job, bought)
            inside += int(counted.sum())
            amount = column_arrays.cents(frame, c.VLR_TOTAL)[counted]
            cents += int(amount[amount != column_arrays.MISSING].sum())
    return Staged(inside, newest, cents)


def keep_auth_logs(job: Job, part: Slice, pieces: Iterable[pa.Table]) -> Staged:
    """Stage logs, each in every bucket where a transaction has its card."""
    routes = Routes.load(job.folder)
    inside = 0
    with _piles(job.folder, part, "auth_logs") as (rows,):
        for table in pieces:
            frame = as_frame(table)
            row, bucket, first = routes.of(*log_homes(frame), job.buckets)
            copies = table if len(row) == len(table) else table.take(pa.array(row))
            rows.add(copies.append_column(FIRST, pa.array(first)), bucket)
            inside += int(inside_period(job, column_arrays.instants(frame, c.DATA, c.HORA)).sum())
    return Staged(inside)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """The table as the matching takes it: one chunk a column."""
    data = {n: pd.arrays.ArrowExtensionArray(table.column(n)) for n in table.column_names}
    return pd.DataFrame(data, copy=False)


def inside_period(job: Job, instants: column_arrays.Instants) -> NDArray[np.bool_]:
    """Which records the books count; under rule `card` all that were read."""
    if job.rule.name == CARD:
        return np.ones(len(instants.seconds), dtype=np.bool_)
    return reconcile.in_period(instants, job.period, 0)


class Streams:
    """One Arrow stream a bucket in a folder; rows are appended to the stream of their bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._writers: dict[int, Any] = {}

    def add(self, table: pa.Table, bucket: NDArray[np.uint16]) -> None:
        """Append every row to its bucket's stream."""
        order = np.argsort(bucket, kind="stable")
        table = table.take(pa.array(order))
        present, starts = np.unique(bucket[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        for number, start, end in zip(present.tolist(), starts, ends, strict=True):
            self._writer(number, table.schema).write_table(table.slice(start, end - start))

    def close(self) -> None:
        """Finish all streams."""
        self._open.close()

    def _writer(self, bucket: int, schema: pa.Schema) -> Any:
        if bucket not in self._writers:
            path = str(self._folder / f"{bucket}.arrow")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            stream = self._open.enter_context(pa.OSFile(path, "wb"))
            writer = pa.ipc.new_stream(stream, schema, options=options)
            self._writers[bucket] = self._open.enter_context(writer)
        return self._writers[bucket]


@contextmanager
def _piles(folder: Path, part: Slice, *names: str) -> Iterator[list[Streams]]:
    """Streams in folders that take their names together once everything is in them."""
    drafts = []
    with ExitStack() as finished:
        for name in names:
            draft = folder / name / f"_{part.number}-{os.getpid()}"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            drafts.append(draft)
        streams = [Streams(draft) for draft in drafts]
        for stream in streams:
            finished.callback(stream.close)
        yield streams
    for draft in drafts:
        target = draft.with_name(str(part.number))
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)


@contextmanager
def opened(job: Job, part: Slice) -> Iterator[Iterator[pa.Table]]:
    """The rows of a share in pieces, while the connection is open. Raises ExtractionError."""
    limit = sessions.silence_limit(job.settings, part.side)
    snapshot = job.snapshots.get(part.side)
    with (
        sessions.session(job.settings, part.side, job.window.user, snapshot) as cursor,
        Watchdog(cursor.connection.fileno(), limit) as watchdog,
    ):

        def pieces() -> Iterator[pa.Table]:
            for table in _tables(cursor, job, part):
                watchdog.reset()
                yield table

        yield pieces()


def _read(
    job: Job, part: Slice, keep: Callable[[Job, Slice, Iterable[pa.Table]], Staged]
) -> Staged:
    with opened(job, part) as pieces:
        return keep(job, part, pieces)


def _tables(cursor: Any, job: Job, part: Slice) -> Iterator[pa.Table]:
    """The share's rows in pieces, as the server's COPY gives them."""
    select = copy_reader.masked_select(
        cursor, job.settings, part.side, job.window, clear=job.clear, key=job.key
    )
    wanted = b"SELECT s.* FROM (" + select + b") AS s" + _condition(cursor, part)
    command = b"COPY (" + wanted + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    receiving, sending = os.pipe()
    with ThreadPoolExecutor(1, thread_name_prefix=f"copy-{part.side}") as pool:
        pumped = pool.submit(
            copy_reader.pump, cursor, command, os.fdopen(sending, "wb", buffering=_PIPE)
        )
        try:
            with os.fdopen(receiving, "rb", buffering=_PIPE) as stream:
                for batch in _parsed(stream):
                    table = _typed(batch)
                    if job.rule.name == CARD:
                        days = table.column(date_validation.DATES[part.side])
                        date_validation.require_dates(part.side, days, job.window)
                    yield table
        except pa.ArrowInvalid as problem:
            pumped.result()
            raise ContractError(copy_reader.WRONG_TYPE, side=part.side) from problem
        pumped.result()


def _parsed(stream: Any) -> Iterator[pa.RecordBatch]:
    reader = csv.open_csv(
        stream,
        read_options=csv.ReadOptions(block_size=_BLOCK, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=_TYPES,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    with closing(reader):
        yield from (batch for batch in reader if len(batch))


def _typed(batch: pa.RecordBatch) -> pa.Table:
    columns = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        if name in _TIMES:
            columns[name] = values.view(pa.time32("s"))
        elif name in _TOKENS:
            columns[name] = column_arrays.tokens_from_hex(values)
        else:
            columns[name] = values
    return pa.table(columns)


def _condition(cursor: Any, part: Slice) -> bytes:
    """Which rows are in the share; the date is compared alone as well, so that an index serves."""
    transactions = part.side == "transactions"
    day, second = (c.DATA_TRANSA, c.HORA_TRANSA) if transactions else (c.DATA, c.HORA)
    moment = f"(s.{day}, COALESCE(s.{second}, 86400))"
    conditions = []
    for sign, bound in ((">", part.after), ("<=", part.until)):
        if bound is not None:
            text = f"s.{day} {sign[0]}= %s AND {moment} {sign} (%s, %s)"
            conditions.append(cursor.mogrify(text, (bound[0], *bound)))
    if not conditions:
        return b""
    found: bytes = b" AND ".join(conditions)
    if part.after is None:
        found = b"(" + found + f" OR s.{day} IS NULL)".encode()
    return b" WHERE " + found
