"""What a Spark worker does: reads shares, matches a bucket, writes a slot.

Times travel as seconds, for Spark has no time of day. Needs no Spark itself.
"""

from __future__ import annotations

import hmac
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from lib.analysis import books
from lib.config import loader
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import AggregatorError, ConfigError
from lib.domain.reconciliation import Period, Rule
from lib.engines import parquet_result, partition_reader, result_files, result_tables, staging
from lib.engines.job import Job, Slice
from lib.engines.partition import counted_once
from lib.engines.partition_reader import FIRST, as_frame
from lib.engines.partitioning import homes, log_homes
from lib.engines.totals import totals_of
from lib.matching import reconcile
from lib.security import redaction

if TYPE_CHECKING:
    from lib.domain.requests import Side, Window

KEY_VARIABLE: Final = "AGGREGATOR_TOKEN_KEY"
HOME: Final = "home"
INSIDE: Final = "inside"
NEWEST: Final = "newest"
PRESENT: Final = "present"
BUCKET: Final = "bucket"

_BODIES: Final = pa.schema({"tabela": pa.string(), "slot": pa.int64(), "corpo": pa.binary()})
_TIMES: Final = (c.HORA_TRANSA, c.HORA)
_OTHER_KEY: Final = "Uma máquina do cluster não tem em {name} a mesma chave; nada foi publicado."
_OTHER_SETTINGS: Final = (
    "Uma máquina do cluster tem outra versão do programa, ou em {name} outra configuração; nada "
    "foi publicado."
)
_THERE: Final = "Numa máquina do cluster: {sentence}"


@dataclass(frozen=True)
class Plan:
    """What tasks are told: nothing secret.

    ``mark`` tells whether a worker has the same key, ``reading`` whether it would read the same.
    """

    window: Window
    period: Period
    rule: Rule
    clear: bool
    snapshots: dict[Side, str]
    buckets: int
    mark: str
    reading: str

    def job(self) -> Job:
        """In a worker: the job, with what its environment knows. Raises ConfigError."""
        try:
            key = bytes.fromhex(os.environ.get(KEY_VARIABLE, ""))
        except ValueError:
            key = b""
        if mark_of(key) != self.mark:
            raise ConfigError(_OTHER_KEY, name=KEY_VARIABLE)
        try:
            settings = loader.load()
        except ConfigError as problem:
            raise ConfigError(_THERE, sentence=problem) from None
        if staging.reading(settings) != self.reading:
            raise ConfigError(_OTHER_SETTINGS, name=loader.FILE_VARIABLE)
        told = {k: v for k, v in vars(self).items() if k not in ("mark", "reading")}
        return Job(settings=settings, folder=Path(), key=key, **told)


def mark_of(key: bytes) -> str:
    """By what two keys can be told apart, and neither be found."""
    return hmac.digest(key, b"marketing-data-aggregator", "sha256").hex()


@contextmanager
def _plainly() -> Iterator[None]:
    """Let a failure reach the cluster's logs, and the driver, without the driver's own words.

    A database's message may carry values; Spark writes down every trace of a task as it is.
    """
    try:
        yield
    except AggregatorError as problem:
        raise problem from None
    except Exception as problem:  # noqa: BLE001 raised again, clean
        trace = "".join(traceback.format_exception(problem))
        raise RuntimeError(redaction.scrub(trace)) from None


def columns(side: Side, clear: bool) -> tuple[str, ...]:
    """The extracted columns of a side."""
    if side == "transactions":
        return c.TRANSACTIONS
    return c.AUTH_LOGS_CLEAR if clear else c.AUTH_LOGS


def read(
    plan: Plan, shares: list[Slice], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The rows of the shares whose numbers come in, with where they belong and whether they
    count."""
    with _plainly():
        job = plan.job()
        for batch in batches:
            for number in batch.column(0).to_pylist():
                share = shares[number]
                with partition_reader.opened(job, share) as pieces:
                    for table in pieces:
                        yield from _marked(job, share.side, table).to_batches()


def match(plan: Plan, newest: int, per_day: int, left: pa.Table, right: pa.Table) -> pa.Table:
    """Match a bucket: its rows by table and slot as Arrow streams, and its counts as JSON."""
    with _plainly():
        return _matched(plan, newest, per_day, left, right)


def gather(into: result_files.Draft, per_day: int, bodies: pa.Table) -> pa.Table:
    """Write one slot of one table; its name, slot, path and rows."""
    with _plainly():
        return _gathered(into, per_day, bodies)


def _matched(plan: Plan, newest: int, per_day: int, left: pa.Table, right: pa.Table) -> pa.Table:
    transactions = as_frame(_timed(left.select(c.TRANSACTIONS)))
    names = columns("auth_logs", plan.clear)
    auth_logs = as_frame(_timed(right.select(names)))
    result_ = reconcile.reconcile(transactions, auth_logs, plan.period, plan.rule, newest)
    first = np.asarray(right[FIRST].to_numpy(), dtype=np.bool_)
    found = counted_once(result_, first)
    counts = parquet_result.Counts(
        books=books.books(found),
        days=books.balance_by_day(found),
        codes=books.by_response_code(found),
        motivos=books.by_motivo(found),
    )
    told = parquet_result.as_json(totals_of([counts]).plain()).encode()
    bodies: list[tuple[str, int, bytes]] = [("", 0, told)]
    for name in result_tables.NAMES:
        frame = result_tables.rows_of(found, name)
        table = pa.table({n: pa.chunked_array(pa.array(frame[n])) for n in frame.columns})
        bodies += [(name, slot, _written(part)) for slot, part in _cut(name, table, per_day)]
    return pa.table(list(map(list, zip(*bodies, strict=True))), schema=_BODIES)


def _gathered(into: result_files.Draft, per_day: int, bodies: pa.Table) -> pa.Table:
    name, slot = bodies["tabela"][0].as_py(), bodies["slot"][0].as_py()
    parts = [pa.ipc.open_stream(body.as_buffer()).read_all() for body in bodies["corpo"]]
    table = result_tables.arranged(name, pa.concat_tables(parts).combine_chunks())
    path = into.path(name, slot, per_day)
    result_files.write_piece(path, table)
    return pa.table(
        {"tabela": [name], "slot": [slot], "caminho": [str(path)], "linhas": [len(table)]}
    )


def _marked(job: Job, side: Side, table: pa.Table) -> pa.Table:
    """The rows with the columns that say where they belong and whether they count."""
    frame = as_frame(table)
    if side == "transactions":
        instants = column_arrays.instants(frame, c.DATA_TRANSA, c.HORA_TRANSA)
        newest = reconcile.newest_instant(instants, job.period, job.rule)
        known = None if newest == column_arrays.EARLIEST else newest
        home, more = homes(frame), {NEWEST: pa.array([known] * len(table), pa.int64())}
    else:
        instants = column_arrays.instants(frame, c.DATA, c.HORA)
        home, present = log_homes(frame)
        more = {PRESENT: pa.array(present)}
    inside = pa.array(partition_reader.inside_period(job, instants))
    extra = {HOME: pa.array(home), INSIDE: inside} | more
    data: dict[str, Any] = {
        name: table[name].cast(pa.int32()) if name in _TIMES else table[name]
        for name in columns(side, job.clear)
    }
    return pa.table(data | extra)


def _timed(table: pa.Table) -> pa.Table:
    data = {
        name: table[name].cast(pa.time32("s")) if name in _TIMES else table[name]
        for name in table.column_names
    }
    return pa.table(data).combine_chunks()


def _cut(name: str, table: pa.Table, per_day: int) -> Iterator[tuple[int, pa.Table]]:
    slots = result_tables.slots(name, table, per_day)
    present, starts = np.unique(slots, return_index=True)
    ends = np.append(starts, len(slots))[1:]
    for slot, start, end in zip(present.tolist(), starts, ends, strict=True):
        yield slot, table.slice(start, end - start)


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks())
    body: bytes = sink.getvalue().to_pybytes()
    return body
