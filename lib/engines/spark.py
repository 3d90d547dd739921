"""The engine for a Spark cluster; shares, buckets and slots are processed as in `chunked`.

Spark moves and spills rows and repeats tasks. At most the configured number of workers read at
once, whatever the number of executors. Workers take the path of the configuration
(AGGREGATOR_CONFIG) and the token key from their own environment, so that neither is in a task or a
plan; Spark's setting for executor environments would put them into every task. All machines must
see the folder of the result under the same path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lib.analysis.case_evidence import Evidence
from lib.database import copy_reader, retry, snapshots
from lib.domain import column_arrays, requests
from lib.domain import columns as c
from lib.domain.errors import ConfigError, SnapshotError
from lib.domain.requests import CARD
from lib.engines import parquet_result, result_writer, sizing, spark_session, spark_tasks, staging
from lib.engines.job import shares
from lib.engines.partition_reader import FIRST
from lib.engines.partitioning import components
from lib.engines.spark_tasks import BUCKET, HOME, INSIDE, KEY_VARIABLE, NEWEST, PRESENT, Plan
from lib.engines.totals import Read, totals_of

if TYPE_CHECKING:
    from lib.analysis.case_evidence import Watched
    from lib.config.settings import Settings
    from lib.domain.requests import Progress, Request, Side
    from lib.engines.result_writer import Draft, Matching

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
NO_KEY: Final = (
    "Num cluster, a variável {name} deve ter a mesma chave, de 64 dígitos hexadecimais, no "
    "ambiente desta máquina e no de cada máquina do cluster."
)
_WRITTEN: Final = "tabela string, slot bigint, caminho string, linhas bigint"


@contextmanager
def matched(
    settings: Settings,
    request: Request,
    *,
    clear: bool,
    progress: Progress,
    watched: Watched | None = None,
) -> Iterator[Matching]:
    """Read, match and balance the books; `Matching.fill` works until the block ends.

    Raises AggregatorError.
    """
    window = requests.window_of(request)
    records = sizing.records(settings, window)
    buckets = sizing.bucket_count(settings, records)
    key_digest = spark_tasks.key_digest(_key(settings))
    with (
        staging.held(settings.engine.staging_folder, sizing.SPARK) as stage,
        spark_session.opened(settings.engine.master, stage.folder) as spark,
        ExitStack() as held,
    ):
        # The default of 200 takes a third of the processor time of a small run.
        spark.conf.set(_PARTITIONS, str(max(4 * buckets, _LEAST_PARTITIONS)))
        reading = staging.reading(settings)
        plan = Plan(
            window, request.period, request.rule, clear, {}, buckets, key_digest, reading, watched
        )
        count = sizing.share_count(settings, records)
        plan, read, transactions, auth_logs = retry.from_new_snapshot(
            lambda: _both(held, spark, plan, settings, count, progress)
        )
        progress("matching", read.transactions + read.auth_logs)
        route = _copied if request.rule.name == CARD else _joined
        left, right = route(spark, transactions, auth_logs, buckets)
        per_day = result_writer.slots_a_day(request.period, read)
        bodies = _persisted(
            left.groupBy(BUCKET)
            .cogroup(right.groupBy(BUCKET))
            .applyInArrow(partial(spark_tasks.match, plan, read.newest, per_day), _BODIES)
        )
        figures = [json.loads(row.corpo) for row in bodies.filter("tabela = ''").collect()]
        totals = totals_of(map(parquet_result.counts_from, figures))
        evidence = sum((Evidence.decode(part["evidence"]) for part in figures), Evidence())
        fill = partial(_fill, bodies.filter("tabela <> ''"))
        yield result_writer.balanced(settings, request, clear, read, totals, fill, evidence)


def _fill(bodies: Any, draft: Draft, per_day: int) -> None:
    """Write every slot, on the workers."""

    def gathered(bodies: pa.Table) -> pa.Table:
        return spark_tasks.gather(draft, per_day, bodies)

    written = bodies.groupBy("tabela", "slot").applyInArrow(gathered, _WRITTEN).collect()
    for row in written:
        draft.add(row.tabela, row.slot, Path(row.caminho), row.linhas)


def _key(settings: Settings) -> bytes:
    """The token key: this process's own on a local master, the environment's on a cluster."""
    if settings.engine.master.startswith("local"):
        os.environ[KEY_VARIABLE] = copy_reader.KEY.hex()
        return copy_reader.KEY
    try:
        key = bytes.fromhex(os.environ.get(KEY_VARIABLE, ""))
    except ValueError:
        key = b""
    if len(key) < 32:
        raise ConfigError(NO_KEY, name=KEY_VARIABLE)
    return key


def _persisted(rows: Any) -> Any:
    """Compute the rows once and keep them on the executors' disks; memory is needed elsewhere."""
    from pyspark import StorageLevel

    return rows.persist(StorageLevel.DISK_ONLY)


def _both(
    held: ExitStack, spark: Any, plan: Plan, settings: Settings, count: int, progress: Progress
) -> tuple[Plan, Read, Any, Any]:
    """Read both sides from one snapshot of each, which ``held`` then holds: Spark may read again.

    Returns the plan with the snapshots, the figures and both sides' rows.
    """
    try:
        with spark_session.failures(settings.engine.master):
            names = retry.call(lambda: held.enter_context(snapshots.export(settings, plan.window)))
            plan = replace(plan, snapshots=names)
            extracted_at = datetime.now(settings.zone).replace(microsecond=0)
            transactions, purchased = _read(spark, plan, "transactions", settings, count, progress)
            auth_logs, logged = _read(spark, plan, "auth_logs", settings, count, progress)
    except SnapshotError:
        held.close()
        spark.catalog.clearCache()
        raise
    read = Read(
        transactions=purchased["inside"],
        auth_logs=logged["inside"],
        cents=purchased["cents"],
        newest=purchased["newest"],
        extracted_at=extracted_at.isoformat(),
        buckets=plan.buckets,
    )
    return plan, read, transactions, auth_logs


def _read(
    spark: Any, plan: Plan, side: Side, settings: Settings, count: int, progress: Progress
) -> tuple[Any, dict[str, int]]:
    """Read a side in ``count`` shares: its rows with their homes, and its figures.

    Uses as many tasks as connections are allowed.
    """
    progress(side, 0)
    parts = shares(side, plan.window, count)
    readers = min(settings.engine.worker_count, len(parts))
    names = spark_tasks.columns(side, plan.clear)
    more = _TRANSACTIONS if side == "transactions" else _AUTH_LOGS
    schema = {name: _KINDS.get(name, "string") for name in names} | more
    ddl = ", ".join(f"{name} {kind}" for name, kind in schema.items())
    numbers = spark.range(0, len(parts), 1, readers)
    rows = _persisted(numbers.mapInArrow(partial(spark_tasks.read, plan, parts), ddl))
    counted = _counted(rows, cents=side == "transactions")
    progress(side, counted["inside"])
    return rows, counted


def _counted(rows: Any, *, cents: bool) -> dict[str, int]:
    """Read the databases and sum up the records inside the period."""
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
    """Rule `card`: copy every log to each bucket that has a transaction with its card."""
    from pyspark.sql import functions as f

    routes = (
        _cards(transactions)
        .selectExpr("token", f"pmod({HOME}, {buckets}) AS route")
        .distinct()
        .selectExpr("token", "route", "route = min(route) OVER (PARTITION BY token) AS first")
    )
    names = [name for name in auth_logs.columns if name not in _AUTH_LOGS]
    right = auth_logs.join(
        routes, f.col(PRESENT) & (f.col(HOME) == f.col("token")), "left"
    ).selectExpr(
        *names,
        f"coalesce(route, pmod({HOME}, {buckets})) AS {BUCKET}",
        f"coalesce(first, true) AS {FIRST}",
    )
    return transactions.withColumn(BUCKET, f.expr(f"pmod({HOME}, {buckets})")), right


def _joined(spark: Any, transactions: Any, auth_logs: Any, buckets: int) -> tuple[Any, Any]:
    """Rule `card_time`: put connected cards and their logs in one bucket, each log once."""
    from pyspark.sql import functions as f

    cards = _cards(transactions)
    ends = _persisted(
        cards.groupBy("token").agg(f.min(HOME).alias("first"), f.max(HOME).alias("last"))
    )
    # The driver collects only cards with several homes, as edges between those homes.
    links = (
        cards.join(ends.where("first <> last"), "token")
        .selectExpr("first AS origin", f"{HOME} AS target")
        .distinct()
        .toArrow()
    )
    home, root = components(links["origin"].to_numpy(), links["target"].to_numpy())
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
    """(virtual card, home) pairs; a virtual card that is also physical is its own home as well.

    Repartitioned by card before grouping, because a whole share would not fit in memory.
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
