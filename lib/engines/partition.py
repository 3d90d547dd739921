"""What is done to one bucket: where its cards lead, who moves, and its matching.

The matching is `lib.matching.reconcile`'s, unchanged. Runs in a worker process; reads and writes
staged files only.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.analysis import books as summary
from lib.domain import columns as c
from lib.domain import outcomes
from lib.domain.reconciliation import Reconciliation
from lib.engines import result_tables
from lib.engines.partition_reader import FIRST, PAIR, Streams, as_frame
from lib.engines.partitioning import Moves, Pairs, homes
from lib.matching import reconcile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.engines.job import Job


@dataclass(frozen=True)
class Matched:
    """A bucket's books and counts, and which slots of each table its files have, with rows."""

    books: outcomes.Books
    days: pd.DataFrame
    codes: pd.DataFrame
    motivos: dict[str, int]
    slots: dict[str, list[tuple[int, int]]]


def pairs(job: Job, bucket: int) -> Pairs:
    """The distinct pairs of the virtual cards whose tokens are of this bucket."""
    card, home = _columns(job.pairs(bucket), PAIR.names)
    (physical,) = _columns(job.transactions(bucket), [c.TOKEN_CARTAO])
    return Pairs.distinct(card, home, np.unique(physical))


def move(job: Job, bucket: int) -> None:
    """Copy the transactions that belong to another bucket to where that one looks for them."""
    moved = Moves.load(job.folder)
    target = job.folder / "moved" / str(bucket)
    draft = target.with_name(f"_{bucket}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    streams = Streams(draft)
    for path in job.transactions(bucket):
        table = _read(path)
        to = moved.of(homes(as_frame(table.combine_chunks())), job.buckets)
        leaving = to != bucket
        streams.add(table.filter(pa.array(leaving)), to[leaving])
    streams.close()
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def match(job: Job, asked: tuple[int, int, int]) -> Matched:
    """Match (bucket, newest instant of all, slots a day), and leave its rows of every table."""
    bucket, newest, per_day = asked
    transactions = _frame(job.transactions(bucket), c.TRANSACTIONS)
    moved = Moves.load(job.folder)
    if len(moved.home):
        stays = moved.of(homes(transactions), job.buckets) == bucket
        here = [transactions[stays], _frame(job.moved(bucket), c.TRANSACTIONS)]
        transactions = as_frame(pa.concat_tables(map(_table, here)).combine_chunks())
    logs = c.AUTH_LOGS_CLEAR if job.clear else c.AUTH_LOGS
    auth_logs = _frame(job.auth_logs(bucket), (*logs, FIRST))
    first = auth_logs.pop(FIRST).to_numpy(dtype=np.bool_)
    result = reconcile.reconcile(transactions, auth_logs, job.period, job.rule, newest)
    return keep(job, bucket, counted_once(result, first), per_day)


def counted_once(result: Reconciliation, first: NDArray[np.bool_]) -> Reconciliation:
    """The result without the copies of logs that another bucket accounts for."""
    divergent = first[result.divergent_rows]
    return replace(
        result,
        log_rows=result.log_rows[first[result.log_rows]],
        matched_log_rows=result.matched_log_rows[first[result.matched_log_rows]],
        divergent_rows=result.divergent_rows[divergent],
        motivo=result.motivo[divergent],
        nearest_rows=result.nearest_rows[divergent],
    )


def keep(job: Job, bucket: int, result: Reconciliation, per_day: int) -> Matched:
    """Check the bucket's books and write its tables, each slot a batch of its own."""
    books = summary.books(result)
    target = job.matched(bucket, "").parent
    draft = target.with_name(f"_{bucket}-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    slots = {}
    for name in result_tables.NAMES:
        table = _table(result_tables.rows_of(result, name))
        slots[name] = _write(
            draft / f"{name}.arrow", table, result_tables.slots(name, table, per_day)
        )
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    return Matched(
        books=books,
        days=summary.balance_by_day(result),
        codes=summary.by_response_code(result),
        motivos=summary.by_motivo(result),
        slots=slots,
    )


def _write(path: Path, table: pa.Table, slots: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Write the rows, which are in the order of their slots; (slot, rows) of every batch."""
    present, starts = np.unique(slots, return_index=True)
    ends = np.append(starts, len(slots))[1:]
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        for start, end in zip(starts, ends, strict=True):
            writer.write_batch(table.slice(start, end - start).combine_chunks().to_batches()[0])
    return list(zip(present.tolist(), (ends - starts).tolist(), strict=True))


def _frame(paths: list[Path], names: tuple[str, ...]) -> pd.DataFrame:
    found = [_read(path) for path in paths]
    if found:
        return as_frame(pa.concat_tables(found).combine_chunks())
    return as_frame(result_tables.empty(names))


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def _columns(paths: list[Path], names: list[str]) -> list[NDArray[Any]]:
    """These int64 columns of all the streams, without the rows where one is NULL."""
    found = [_projected(path, names) for path in paths]
    table = (
        pa.concat_tables(found) if found else pa.table({n: pa.array([], "int64") for n in names})
    )
    table = table.drop_null()
    return [table.column(name).to_numpy() for name in names]


def _projected(path: Path, names: list[str]) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        fields = pa.ipc.open_stream(file).schema.names
        file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=[fields.index(name) for name in names])
        return pa.ipc.open_stream(file, options=options).read_all()


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.table({name: pa.chunked_array(pa.array(frame[name])) for name in frame.columns})
