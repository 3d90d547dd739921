"""The whole job on a Spark cluster, by the functions of the chunked engine.

Spark moves, spills and repeats; what is done to a share, a bucket or a slot is the same. Readers
are as few as the configured workers, whatever the number of executors. Workers load the
configuration by themselves (AGGREGATOR_CONFIG in their environment) and find the tokens' key in
their environment too, so that neither is in a task or a plan: what Spark is told as an executor's
environment would be in every task. The folder of the result must be the same for all machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lib.database import copy_reader, snapshots
from lib.domain import column_arrays, requests
from lib.domain import columns as c
from lib.domain.errors import ConfigError
from lib.domain.reconciliation import CARD
from lib.engines import parquet_result, result_writer, sizing, spark_session, spark_tasks, staging
from lib.engines.job import slices
from lib.engines.partition_reader import FIRST
from lib.engines.partitioning import joined
from lib.engines.spark_tasks import BUCKET, HOME, INSIDE, KEY_VARIABLE, NEWEST, PRESENT, Plan
from lib.engines.totals import Read, totals_of

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Progress, Request, Side
    from lib.engines.result_files import Draft
    from lib.engines.result_writer import Matching

_KINDS: Final = {
    c.DATA_TRANSA: "date",
    c.DATA: "date",
    c.HORA_TRANSA: "int",
    c.HORA: "int",
    c.VLR_TOTAL: "decimal(18,2)",
    c.TOKEN_CARTAO: "bigint",
    c.TOKEN_VIRTUAL: "bigint",
    c.TOKEN_CPF: "bigint",
}
_TRANSACTIONS: Final = {HOME: "bigint", INSIDE: "boolean", NEWEST: "bigint"}
_AUTH_LOGS: Final = {HOME: "bigint", INSIDE: "boolean", PRESENT: "boolean"}
_BODIES: Final = "tabela string, slot bigint, corpo binary"
_PARTITIONS: Final = "spark.sql.shuffle.partitions"
_LEAST_PARTITIONS: Final = 16
_WRITTEN: Final = "tabela string, slot bigint, caminho string, linhas bigint"


@contextmanager
def matched(
    settings: Settings,
    asked: Request,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Iterator[Matching]:
    """Read, match and balance the books; the matching can be filled in until the block ends.

    Raises AggregatorError.
    """
    window = requests.window_of(asked)
    records = sizing.records(settings, window)
    buckets = sizing.buckets(settings, records)
    mark = spark_tasks.mark_of(_key(settings))
    with (
        staging.held(settings.engine.staging_folder, sizing.SPARK) as stage,
        spark_session.opened(settings.engine.master, stage.folder) as spark,
        snapshots.export(settings, window.user) as names,
    ):
        moment = datetime.now(settings.zone).replace(microsecond=0)
        # The default of 200 costs a third of the processor time of a small run.
        spark.conf.set(_PARTITIONS, str(max(4 * buckets, _LEAST_PARTITIONS)))
        reading = staging.reading(settings)
        plan = Plan(window, asked.period, asked.rule, clear, names, buckets, mark, reading)
        shares = sizing.shares(settings, records)
        transactions, bought = _read(spark, plan, "transactions", settings, shares, progress)
        auth_logs, logged = _read(spark, plan, "auth_logs", settings, shares, progress)
        read = Read(
            transactions=bought["inside"],
            auth_logs=logged["inside"],
            cents=bought["cents"],
            newest=bought["newest"],
            extracted_at=moment.isoformat(),
            buckets=buckets,
        )
        progress("matching", read.transactions + read.auth_logs)
        route = _copied if asked.rule.name == CARD else _joined
        left, right = route(spark, transactions, auth_logs, buckets)
        per_day = result_writer.slots_a_day(asked.period, read)
        bodies = _kept(
            left.groupBy(BUCKET)
            .cogroup(right.groupBy(BUCKET))
            .applyInArrow(partial(spark_tasks.match, plan, read.newest, per_day), _BODIES)
        )
        told = [row.corpo for row in bodies.filter("tabela = ''").collect()]
        totals = totals_of(parquet_result.counts(json.loads(body)) for body in told)
        fill = partial(_fill, bodies.filter("tabela <> ''"))
        yield result_writer.balanced(settings, asked, clear, read, totals, fill)


def run(
    settings: Settings,
    asked: Request,
    target: Path,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> parquet_result.Result:
    """Publish the result alone in the folder ``target``.

    Raises AggregatorError; an older result then stays as it was.
    """
    with matched(settings, asked, clear=clear, progress=progress) as found:
        return result_writer.publish(found, target, progress)


def _fill(bodies: Any, draft: Draft, per_day: int) -> None:
    """Have the workers write every slot."""

    def gathered(bodies: pa.Table) -> pa.Table:
        return spark_tasks.gather(draft, per_day, bodies)

    written = bodies.groupBy("tabela", "slot").applyInArrow(gathered, _WRITTEN).collect()
    for row in written:
        draft.add(row.tabela, row.slot, Path(row.caminho), row.linhas)


def _key(settings: Settings) -> bytes:
    """The tokens' key: this process's own for its own machine, the cluster's for a cluster."""
    if settings.engine.master.startswith("local"):
        os.environ[KEY_VARIABLE] = copy_reader.KEY.hex()
        return copy_reader.KEY
    try:
        key = bytes.fromhex(os.environ.get(KEY_VARIABLE, ""))
    except ValueError:
        key = b""
    if len(key) < 32:
        raise ConfigError(
            "Num cluster, a variável {name} deve ter a mesma chave, de 64 algarismos "
            "hexadecimais, no ambiente desta máquina e no de cada máquina do cluster.",
            name=KEY_VARIABLE,
        )
    return key


def _kept(rows: Any) -> Any:
    """The rows, computed once, on the executors' disks: in memory they leave none for the rest."""
    from pyspark import StorageLevel

    return rows.persist(StorageLevel.DISK_ONLY)


def _read(
    spark: Any, plan: Plan, side: Side, settings: Settings, count: int, progress: Progress
) -> tuple[Any, dict[str, int]]:
    """A side's rows, each beside its home, and what they come to.

    Read by as many tasks as there may be connections, so many shares in all.
    """
    progress(side, 0)
    shares = slices(side, plan.window, count)
    readers = min(settings.engine.worker_count, len(shares))
    names = spark_tasks.columns(side, plan.clear)
    more = _TRANSACTIONS if side == "transactions" else _AUTH_LOGS
    schema = {name: _KINDS.get(name, "string") for name in names} | more
    told = ", ".join(f"{name} {kind}" for name, kind in schema.items())
    numbers = spark.range(0, len(shares), 1, readers)
    rows = _kept(numbers.mapInArrow(partial(spark_tasks.read, plan, shares), told))
    counted = _counted(rows, cents=side == "transactions")
    progress(side, counted["inside"])
    return rows, counted


def _counted(rows: Any, *, cents: bool) -> dict[str, int]:
    """The records inside the period, their amount and how far they go; reads the databases."""
    amount = f"sum(CASE WHEN {INSIDE} THEN {c.VLR_TOTAL} END)" if cents else "NULL"
    newest = f"max({NEWEST})" if cents else "NULL"
    (row,) = rows.selectExpr(
        f"count_if({INSIDE}) AS inside", f"{amount} AS amount", f"{newest} AS newest"
    ).collect()
    return {
        "inside": row.inside,
        "cents": int((row.amount or 0) * 100),
        "newest": column_arrays.EARLIEST if row.newest is None else row.newest,
    }


def _copied(spark: Any, transactions: Any, auth_logs: Any, buckets: int) -> tuple[Any, Any]:
    """Rule `card`: every log in each bucket that has a transaction with its card."""
    from pyspark.sql import functions as f

    places = (
        _cards(transactions)
        .selectExpr("token", f"pmod({HOME}, {buckets}) AS place")
        .distinct()
        .selectExpr("token", "place", "place = min(place) OVER (PARTITION BY token) AS first")
    )
    names = [name for name in auth_logs.columns if name not in _AUTH_LOGS]
    right = auth_logs.join(
        places, f.col(PRESENT) & (f.col(HOME) == f.col("token")), "left"
    ).selectExpr(
        *names,
        f"coalesce(place, pmod({HOME}, {buckets})) AS {BUCKET}",
        f"coalesce(first, true) AS {FIRST}",
    )
    return transactions.withColumn(BUCKET, f.expr(f"pmod({HOME}, {buckets})")), right


def _joined(spark: Any, transactions: Any, auth_logs: Any, buckets: int) -> tuple[Any, Any]:
    """Rule `card_time`: cards that a purchase joins in one bucket, and every log there once."""
    from pyspark.sql import functions as f

    cards = _cards(transactions)
    ends = _kept(cards.groupBy("token").agg(f.min(HOME).alias("first"), f.max(HOME).alias("last")))
    # Only cards of several homes come to the driver: edges between those homes.
    links = (
        cards.join(ends.where("first <> last"), "token")
        .selectExpr("first AS one", f"{HOME} AS other")
        .distinct()
        .toArrow()
    )
    home, root = joined(links["one"].to_numpy(), links["other"].to_numpy())
    roots = spark.createDataFrame(pa.table({"node": home, "root": root}))
    moved = f.broadcast(roots)
    left = transactions.join(moved, f.col(HOME) == f.col("node"), "left").withColumn(
        BUCKET, f.expr(f"pmod(coalesce(root, {HOME}), {buckets})")
    )
    lead = (
        ends.join(moved, f.expr("first = node"), "left")
        .selectExpr("token", "coalesce(root, first) AS lead")
        .union(roots.selectExpr("node AS token", "root AS lead"))
        .distinct()
    )
    names = [name for name in auth_logs.columns if name not in _AUTH_LOGS]
    right = auth_logs.join(
        lead, f.col(PRESENT) & (f.col(HOME) == f.col("token")), "left"
    ).selectExpr(*names, f"pmod(coalesce(lead, {HOME}), {buckets}) AS {BUCKET}", f"true AS {FIRST}")
    return left.drop("node", "root"), right


def _cards(transactions: Any) -> Any:
    """Every virtual card beside a home of its transactions; also its own, if it is physical too.

    Spread by card before anything is grouped: a reader's whole share would not fit its memory.
    """
    parts = int(transactions.sparkSession.conf.get(_PARTITIONS))
    pairs = (
        transactions.where(f"{c.TOKEN_VIRTUAL} IS NOT NULL")
        .selectExpr(f"{c.TOKEN_VIRTUAL} AS token", HOME)
        .repartition(parts, "token")
    )
    physical = transactions.selectExpr(f"{c.TOKEN_CARTAO} AS token").repartition(parts, "token")
    own = pairs.join(physical.distinct(), "token", "leftsemi")
    return pairs.union(own.selectExpr("token", f"token AS {HOME}"))
