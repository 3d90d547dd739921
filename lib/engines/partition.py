"""The tasks on one bucket (virtual cards, moves, matching), and on one slot of the result.

The matching itself is `lib.matching.reconcile`. Runs in a worker process; reads and writes
staged files only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lib.analysis import books, case_evidence
from lib.analysis.case_evidence import Evidence
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.engines import result_tables, result_writer
from lib.engines.partition_reader import FIRST, PAIR, Streams, draft_folder
from lib.engines.partitioning import Moves, Pairs, homes
from lib.engines.totals import Counts
from lib.matching import reconcile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.analysis.case_evidence import Watched
    from lib.engines.job import Job


@dataclass(frozen=True)
class Matched:
    """A bucket's figures, the slots of its batches by table, in file order, and its evidence."""

    counts: Counts
    slots: dict[str, list[int]]
    evidence: Evidence


@dataclass(frozen=True)
class Gathering:
    """The batches (bucket, number) of a table that form one file of the result."""

    table: str
    slot: int
    batches: tuple[tuple[int, int], ...]
    path: Path


def pairs(job: Job, bucket: int) -> Pairs:
    """The distinct pairs of the virtual cards whose tokens are in this bucket."""
    card, home = _tokens(job.pairs(bucket), PAIR.names)
    (physical,) = _tokens(job.transactions(bucket), [c.TOKEN_CARTAO])
    return Pairs.distinct(card, home, column_arrays.distinct(physical))


def move(job: Job, bucket: int) -> None:
    """Copy the transactions that belong to other buckets to their ``moved`` files."""
    moves = Moves.load(job.folder)
    with draft_folder(job.folder / "moved" / str(bucket)) as draft:
        streams = Streams(draft)
        for path in job.transactions(bucket):
            table = _read(path)
            target = moves.of(homes(table.combine_chunks()), job.buckets)
            leaving = target != bucket
            streams.add(table.filter(pa.array(leaving)), target[leaving])
        streams.close()


def match(job: Job, task: tuple[int, int, int]) -> Matched:
    """Match a bucket and write its rows; the task is (bucket, newest instant, slots a day)."""
    bucket, newest, per_day = task
    transactions = _rows(job.transactions(bucket), c.TRANSACTIONS)
    moves = Moves.load(job.folder)
    if len(moves.home):
        stays = moves.of(homes(transactions), job.buckets) == bucket
        moved = _rows(job.moved(bucket), c.TRANSACTIONS)
        transactions = transactions.filter(pa.array(stays))
        transactions = pa.concat_tables([transactions, moved]).combine_chunks()
    logs = c.AUTH_LOGS_CLEAR if job.clear else c.AUTH_LOGS
    auth_logs = _rows(job.auth_logs(bucket), (*logs, FIRST))
    first = np.asarray(auth_logs.column(FIRST).to_numpy(), dtype=np.bool_)
    result = reconcile.reconcile(transactions, auth_logs.select(logs), job.period, job.rule, newest)
    return _write(job, bucket, counted_once(result, first), per_day)


def counted_once(result: Reconciliation, first: NDArray[np.bool_]) -> Reconciliation:
    """Remove the copies of logs that another bucket counts."""
    divergent = first[result.divergent_rows]
    return replace(
        result,
        log_rows=result.log_rows[first[result.log_rows]],
        matched_log_rows=result.matched_log_rows[first[result.matched_log_rows]],
        divergent_rows=result.divergent_rows[divergent],
        motivo=result.motivo[divergent],
        nearest_rows=result.nearest_rows[divergent],
    )


def counts_of(result: Reconciliation) -> Counts:
    """The figures of a bucket. Raises BalanceError."""
    return Counts(
        books=books.books(result),
        days=books.balance_by_day(result),
        codes=books.by_response_code(result),
        motivos=books.by_motivo(result),
    )


def evidence_of(
    merchant: str, clear: bool, watched: Watched | None, result: Reconciliation
) -> Evidence:
    """The bucket's evidence about the watched cases."""
    if watched is None:
        return Evidence()
    return case_evidence.evidence(result, merchant, watched, clear=clear)


def by_slot(name: str, table: pa.Table, per_day: int) -> Iterator[tuple[int, pa.Table]]:
    """Cut a table in sheet order into its slots."""
    slots = result_tables.slots(name, table, per_day)
    present, starts = np.unique(slots, return_index=True)
    ends = np.append(starts, len(slots))[1:]
    for slot, start, end in zip(present.tolist(), starts, ends, strict=True):
        yield slot, table.slice(start, end - start)


def gather(job: Job, gathering: Gathering) -> int:
    """Sort one slot's rows of all buckets, write them as a file and return their number."""
    parts = []
    for bucket, number in gathering.batches:
        with pa.OSFile(str(job.matched(bucket, gathering.table))) as file:
            parts.append(pa.Table.from_batches([pa.ipc.open_file(file).get_batch(number)]))
    table = pa.concat_tables(parts).combine_chunks()
    del parts
    table = result_tables.sorted_rows(gathering.table, table)
    result_writer.write_piece(gathering.path, table)
    return len(table)


def _write(job: Job, bucket: int, result: Reconciliation, per_day: int) -> Matched:
    """Check the bucket's books and write its tables, one batch per slot."""
    counts = counts_of(result)
    slots: dict[str, list[int]] = {name: [] for name in result_tables.NAMES}
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with draft_folder(job.matched(bucket, "").parent) as draft:
        for name in result_tables.NAMES:
            table = result_tables.rows_of(result, name)
            with (
                pa.OSFile(str(draft / f"{name}.arrow"), "wb") as file,
                pa.ipc.new_file(file, table.schema, options=options) as writer,
            ):
                for slot, part in by_slot(name, table, per_day):
                    writer.write_batch(part.combine_chunks().to_batches()[0])
                    slots[name].append(slot)
    evidence = evidence_of(job.window.merchant, job.clear, job.watched, result)
    return Matched(counts, slots, evidence)


def _rows(paths: list[Path], names: tuple[str, ...]) -> pa.Table:
    """These columns of all the streams, one chunk a column."""
    if not paths:
        return result_tables.empty(names)
    return pa.concat_tables(map(_read, paths)).select(names).combine_chunks()


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()


def _tokens(paths: list[Path], names: list[str]) -> list[NDArray[Any]]:
    """These int64 columns of all the streams, without the rows where one is NULL."""
    empty = pa.table({name: pa.array([], pa.int64()) for name in names})
    table = pa.concat_tables([empty, *(_projected(path, names) for path in paths)]).drop_null()
    return [table.column(name).to_numpy() for name in names]


def _projected(path: Path, names: list[str]) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        fields = pa.ipc.open_stream(file).schema.names
        file.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=[fields.index(name) for name in names])
        return pa.ipc.open_stream(file, options=options).read_all().select(names)
