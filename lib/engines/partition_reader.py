"""Read one share of a side and stage it by bucket, in bounded memory.

Each batch of the server's answer is split as it arrives and appended to one Arrow stream per
bucket. A share gets its final name only when it is complete. Runs in a worker process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import csv

from lib.database import (
    column_types,
    copy_reader,
    copy_stream,
    date_validation,
    record_batches,
    retry,
    sessions,
    snapshots,
)
from lib.database.socket_timeout import Watchdog
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.requests import CARD
from lib.engines.job import END_OF_DAY
from lib.engines.partitioning import Routes, bucket_of, homes, log_homes
from lib.matching import reconcile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lib.engines.job import Job, Share

FIRST: Final = "primeira_copia"
"""True in exactly one copy of each log: the one that the books count."""
PAIR: Final = pa.schema({c.TOKEN_VIRTUAL: pa.int64(), "home": pa.int64()})

_READ: Final = csv.ReadOptions(block_size=16 << 20, use_threads=False)


@dataclass(frozen=True)
class Staged:
    """Figures of a share: its records and their amount inside the period.

    ``newest`` is `reconcile.newest_instant` of its transactions.
    """

    inside: int
    newest: int = column_arrays.EARLIEST
    cents: int = 0


def stage_transactions(job: Job, share: Share) -> Staged:
    """Read and stage a share of the transactions. Raises ExtractionError."""
    return retry.within_snapshot(lambda: _stage(job, share, keep_transactions))


def stage_auth_logs(job: Job, share: Share) -> Staged:
    """Read and stage a share of the logs; needs the saved `Routes`. Raises ExtractionError."""
    return retry.within_snapshot(lambda: _stage(job, share, keep_auth_logs))


def keep_transactions(job: Job, share: Share, tables: Iterable[pa.Table]) -> Staged:
    """Stage transactions, and the (virtual card, home) pairs of those with a virtual card."""
    inside, newest, cents = 0, column_arrays.EARLIEST, 0
    with _drafts(job.folder, share, "transactions", "pairs") as (rows, pairs):
        for table in tables:
            home = homes(table)
            rows.add(table, bucket_of(home, job.buckets))
            card, present = column_arrays.token(table, c.TOKEN_VIRTUAL)
            card, home = card[present], home[present]
            pairs.add(pa.table([card, home], schema=PAIR), bucket_of(card, job.buckets))

            instants = column_arrays.instants(table, c.DATA_TRANSA, c.HORA_TRANSA)
            newest = max(newest, reconcile.newest_instant(instants, job.period, job.rule))
            counted = inside_period(job, instants)
            inside += int(counted.sum())
            amount = column_arrays.cents(table, c.VLR_TOTAL)[counted]
            cents += int(amount[amount != column_arrays.MISSING].sum())
    return Staged(inside, newest, cents)


def keep_auth_logs(job: Job, share: Share, tables: Iterable[pa.Table]) -> Staged:
    """Stage logs, each in every bucket where a transaction has its card."""
    routes = Routes.load(job.folder)
    inside = 0
    with _drafts(job.folder, share, "auth_logs") as (rows,):
        for table in tables:
            row, bucket, first = routes.of(*log_homes(table), job.buckets)
            copies = table if len(row) == len(table) else table.take(pa.array(row))
            rows.add(copies.append_column(FIRST, pa.array(first)), bucket)
            inside += int(inside_period(job, column_arrays.instants(table, c.DATA, c.HORA)).sum())
    return Staged(inside)


def inside_period(job: Job, instants: column_arrays.Instants) -> NDArray[np.bool_]:
    """Mark the records that the books count; under rule `card`, every record read."""
    if job.rule.name == CARD:
        return np.ones(len(instants.seconds), dtype=np.bool_)
    return reconcile.in_period(instants, job.period, 0)


class Streams:
    """One Arrow stream per bucket in a folder, opened at its first row."""

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
def draft_folder(target: Path) -> Iterator[Path]:
    """Create an empty folder beside ``target``; it replaces the target unless the block fails."""
    draft = target.with_name(f"_{target.name}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


@contextmanager
def _drafts(folder: Path, share: Share, *names: str) -> Iterator[list[Streams]]:
    """Open streams in folders of these names; the folders are renamed once all is written."""
    with ExitStack() as stack:
        drafts = [draft_folder(folder / name / str(share.number)) for name in names]
        streams = [Streams(stack.enter_context(draft)) for draft in drafts]
        for stream in streams:
            stack.callback(stream.close)
        yield streams


@contextmanager
def opened(job: Job, share: Share) -> Iterator[Iterator[pa.Table]]:
    """Open a connection and yield the rows of a share as tables. Raises ExtractionError."""
    limit = sessions.silence_limit(job.settings, share.side)
    snapshot = job.snapshots.get(share.side)
    with (
        sessions.session(job.settings, share.side, job.window.user, snapshot) as cursor,
        Watchdog(cursor.connection.fileno(), limit) as watchdog,
        closing(_tables(cursor, watchdog, job, share)) as tables,
    ):
        yield tables


def _stage(
    job: Job, share: Share, keep: Callable[[Job, Share, Iterable[pa.Table]], Staged]
) -> Staged:
    with opened(job, share) as tables:
        return keep(job, share, tables)


def _tables(
    cursor: Any, watchdog: Watchdog, job: Job, share: Share
) -> Generator[pa.Table, None, None]:
    layout = column_types.examine(cursor, job.settings, share.side, job.window)
    select = copy_reader.masked_select(
        cursor, job.settings, share.side, job.window, layout, clear=job.clear, key=job.key
    )
    # Only the last share ends with the window; what precedes it on its last day is another's.
    unseen = share.until is None and date_validation.may_cut(job.settings, share.side, layout)
    after = share.after[1] if share.after and share.after[0] == job.window.end else 0
    query = b"SELECT s.* FROM (" + select + b") AS s" + _condition(cursor, share)
    with (
        column_types.conversions_named(share.side, layout),
        copy_stream.opened(cursor, share.side, query) as stream,
        record_batches.opened(stream, share.side, pa.string(), _READ) as reader,
    ):
        for batch in reader:
            watchdog.reset()
            if not len(batch):
                continue
            names = batch.schema.names
            table = pa.table(
                {n: record_batches.typed(n, batch.column(i)) for i, n in enumerate(names)}
            )
            if job.rule.name == CARD:
                days = table.column(date_validation.DATES[share.side])
                date_validation.require_dates(share.side, days, job.window)
            unseen = unseen and not date_validation.reached(share.side, table, job.window, after)
            yield table
    if unseen:
        date_validation.require_last_day(cursor, job.settings, share.side, job.window, after)
    snapshots.require_unchanged(cursor, share.side)


def _condition(cursor: Any, share: Share) -> bytes:
    """The WHERE clause of the share; it also compares the date alone, so that an index is used."""
    transactions = share.side == "transactions"
    day, second = (c.DATA_TRANSA, c.HORA_TRANSA) if transactions else (c.DATA, c.HORA)
    moment = f"(s.{day}, COALESCE(s.{second}, {END_OF_DAY}))"
    conditions = []
    for sign, bound in ((">", share.after), ("<=", share.until)):
        if bound is not None:
            text = f"s.{day} {sign[0]}= %s AND {moment} {sign} (%s, %s)"
            conditions.append(cursor.mogrify(text, (bound[0], *bound)))
    if not conditions:
        return b""
    condition: bytes = b" AND ".join(conditions)
    if share.after is None:
        condition = b"(" + condition + f" OR s.{day} IS NULL)".encode()
    return b" WHERE " + condition
