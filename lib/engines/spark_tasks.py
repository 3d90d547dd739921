"""The tasks of a Spark worker: read shares, match a bucket, write a slot.

Times are sent as seconds, because Spark has no time of day. Does not import Spark.
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

from lib.config import loader
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import AggregatorError, ConfigError
from lib.domain.requests import Period, Rule
from lib.engines import (
    parquet_result,
    partition,
    partition_reader,
    result_tables,
    result_writer,
    staging,
)
from lib.engines.job import Job, Share
from lib.engines.partition_reader import FIRST
from lib.engines.partitioning import homes, log_homes
from lib.engines.totals import totals_of
from lib.matching import reconcile
from lib.security import redaction

if TYPE_CHECKING:
    from lib.analysis.case_evidence import Watched
    from lib.domain.requests import Side, Window

KEY_VARIABLE: Final = "AGGREGATOR_TOKEN_KEY"
HOME: Final = "home"
INSIDE: Final = "inside"
NEWEST: Final = "newest"
PRESENT: Final = "present"
BUCKET: Final = "bucket"

_BODIES: Final = pa.schema({"tabela": pa.string(), "slot": pa.int64(), "corpo": pa.binary()})
OTHER_KEY: Final = "Uma máquina do cluster não tem em {name} a mesma chave; nada foi publicado."
OTHER_SETTINGS: Final = (
    "Uma máquina do cluster tem outra versão do programa, ou em {name} outra configuração; nada "
    "foi publicado."
)
ON_WORKER: Final = "Numa máquina do cluster: {sentence}"


@dataclass(frozen=True)
class Plan:
    """The description of a reconciliation that is sent with every task, without secrets.

    A worker refuses the task if its own key differs from ``key_digest``, or its own configuration
    from ``reading`` (`staging.reading`).
    """

    window: Window
    period: Period
    rule: Rule
    clear: bool
    snapshots: dict[Side, str]
    buckets: int
    key_digest: str
    reading: str
    watched: Watched | None = None

    def job(self) -> Job:
        """Build the job with the key and configuration of this worker. Raises ConfigError."""
        try:
            key = bytes.fromhex(os.environ.get(KEY_VARIABLE, ""))
        except ValueError:
            key = b""
        if key_digest(key) != self.key_digest:
            raise ConfigError(OTHER_KEY, name=KEY_VARIABLE)
        try:
            settings = loader.load()
        except ConfigError as error:
            raise ConfigError(ON_WORKER, sentence=error) from None
        if staging.reading(settings) != self.reading:
            raise ConfigError(OTHER_SETTINGS, name=loader.FILE_VARIABLE)
        shared = {k: v for k, v in vars(self).items() if k not in ("key_digest", "reading")}
        return Job(settings=settings, folder=Path(), key=key, **shared)


def key_digest(key: bytes) -> str:
    """A digest that identifies the key without revealing it."""
    return hmac.digest(key, b"marketing-data-aggregator", "sha256").hex()


@contextmanager
def _redacted() -> Iterator[None]:
    """Redact the traceback of an error before Spark logs it and sends it to the driver.

    A database's message may contain values.
    """
    try:
        yield
    except AggregatorError as error:
        raise error from None
    except Exception as error:  # noqa: BLE001 raised again, redacted
        trace = "".join(traceback.format_exception(error))
        raise RuntimeError(redaction.scrub(trace)) from None


def columns(side: Side, clear: bool) -> tuple[str, ...]:
    """The extracted columns of a side."""
    if side == "transactions":
        return c.TRANSACTIONS
    return c.AUTH_LOGS_CLEAR if clear else c.AUTH_LOGS


def read(
    plan: Plan, shares: list[Share], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Read the shares with these numbers: their rows, homes, and marks of `_marked`."""
    with _redacted():
        job = plan.job()
        for batch in batches:
            for number in batch.column(0).to_pylist():
                share = shares[number]
                with partition_reader.opened(job, share) as tables:
                    for table in tables:
                        yield from _marked(job, share.side, table).to_batches()


def match(plan: Plan, newest: int, per_day: int, left: pa.Table, right: pa.Table) -> pa.Table:
    """Match a bucket: its rows by table and slot as Arrow streams, and its counts as JSON."""
    with _redacted():
        return _matched(plan, newest, per_day, left, right)


def gather(draft: result_writer.Draft, per_day: int, bodies: pa.Table) -> pa.Table:
    """Write one slot of one table and return its table name, slot, path and rows."""
    with _redacted():
        return _gathered(draft, per_day, bodies)


def _matched(plan: Plan, newest: int, per_day: int, left: pa.Table, right: pa.Table) -> pa.Table:
    transactions = _timed(left.select(c.TRANSACTIONS))
    names = columns("auth_logs", plan.clear)
    auth_logs = _timed(right.select(names))
    first = np.asarray(right[FIRST].to_numpy(), dtype=np.bool_)
    result = partition.counted_once(
        reconcile.reconcile(transactions, auth_logs, plan.period, plan.rule, newest), first
    )
    totals = totals_of([partition.counts_of(result)]).plain()
    found = partition.evidence_of(plan.window.merchant, plan.clear, plan.watched, result)
    figures = parquet_result.as_json({**totals, "evidence": vars(found)}).encode()
    bodies: list[tuple[str, int, bytes]] = [("", 0, figures)]
    for name in result_tables.NAMES:
        table = result_tables.rows_of(result, name)
        slots = partition.by_slot(name, table, per_day)
        bodies += [(name, slot, _serialized(part)) for slot, part in slots]
    return pa.table(list(map(list, zip(*bodies, strict=True))), schema=_BODIES)


def _gathered(draft: result_writer.Draft, per_day: int, bodies: pa.Table) -> pa.Table:
    name, slot = bodies["tabela"][0].as_py(), bodies["slot"][0].as_py()
    parts = [pa.ipc.open_stream(body.as_buffer()).read_all() for body in bodies["corpo"]]
    table = result_tables.sorted_rows(name, pa.concat_tables(parts).combine_chunks())
    path = draft.path(name, slot, per_day)
    result_writer.write_piece(path, table)
    return pa.table(
        {"tabela": [name], "slot": [slot], "caminho": [str(path)], "linhas": [len(table)]}
    )


def _marked(job: Job, side: Side, table: pa.Table) -> pa.Table:
    """Add each row's home, and marks: inside the period, newest instant or presence of a card."""
    if side == "transactions":
        instants = column_arrays.instants(table, c.DATA_TRANSA, c.HORA_TRANSA)
        newest = reconcile.newest_instant(instants, job.period, job.rule)
        value = None if newest == column_arrays.EARLIEST else newest
        home, marks = homes(table), {NEWEST: pa.array([value] * len(table), pa.int64())}
    else:
        instants = column_arrays.instants(table, c.DATA, c.HORA)
        home, present = log_homes(table)
        marks = {PRESENT: pa.array(present)}
    inside = pa.array(partition_reader.inside_period(job, instants))
    extra = {HOME: pa.array(home), INSIDE: inside} | marks
    data: dict[str, Any] = {
        name: table[name].cast(pa.int32()) if name in c.TIMES else table[name]
        for name in columns(side, job.clear)
    }
    return pa.table(data | extra)


def _timed(table: pa.Table) -> pa.Table:
    """Convert the seconds of the rows back to times; one chunk a column."""
    data = {
        name: table[name].cast(pa.time32("s")) if name in c.TIMES else table[name]
        for name in table.column_names
    }
    return pa.table(data).combine_chunks()


def _serialized(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks())
    body: bytes = sink.getvalue().to_pybytes()
    return body
