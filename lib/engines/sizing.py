"""The size of a reconciliation before it is read, from the servers' row estimates."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from lib.database import column_types, retry, sessions, sides, source_query

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side, Window

Kind = Literal["memory", "chunked", "spark"]

MEMORY: Final = "memory"
CHUNKED: Final = "chunked"
SPARK: Final = "spark"

IN_MEMORY_BYTES: Final = 600
"""Measured peak memory of a record in a reconciliation in one process."""
_IN_BUCKET_BYTES: Final = 450
_WORKER_BYTES: Final = 250_000_000
_BUCKET_SHARE: Final = 0.6
_LEAST_SHARE: Final = 0.2
_MOST_BUCKETS: Final = 256
_SHARE_RECORDS: Final = 4_000_000

_log: Final = logging.getLogger(__name__)


def records(settings: Settings, window: Window) -> int:
    """Estimate the records of both sides, as twice the larger one; reads no record.

    A server can only guess how many texts contain the merchant. Raises ExtractionError, also for
    columns that no engine could read.
    """
    return 2 * max(sides.each(lambda s: retry.call(partial(_rows, settings, s, window))).values())


def kind(settings: Settings, window: Window) -> Kind:
    """Choose the configured engine, else `memory` within the memory limit and `chunked` beyond.

    Raises ExtractionError where a server does not answer.
    """
    engine = settings.engine
    if engine.kind is not None:
        return engine.kind
    count = records(settings, window)
    if count * IN_MEMORY_BYTES <= engine.memory_bytes:
        return MEMORY
    _log.info("motor chunked: os servidores esperam %d registros", count)
    return CHUNKED


def share_count(settings: Settings, record_count: int) -> int:
    """The number of shares of a side: as few as keep each within the server's time limit."""
    workers = settings.engine.worker_count
    return max(-(-record_count // (2 * _SHARE_RECORDS * workers)), 1) * workers


def bucket_count(settings: Settings, record_count: int) -> int:
    """The number of buckets for this many records: as few as a worker's memory allows."""
    engine = settings.engine
    share = engine.memory_bytes / engine.worker_count
    bucket_bytes = max(share - _WORKER_BYTES, share * _LEAST_SHARE) * _BUCKET_SHARE
    rounds = -(-record_count * _IN_BUCKET_BYTES // int(bucket_bytes * engine.worker_count))
    return int(min(max(rounds, 1) * engine.worker_count, _MOST_BUCKETS))


def _rows(settings: Settings, side: Side, window: Window) -> int:
    sql = f"EXPLAIN (FORMAT JSON) SELECT * FROM (\n{source_query.load(settings, side)}\n) AS q"
    limit = sessions.silence_limit(settings, side)
    with sessions.session(settings, side, window.user, limit=limit) as cursor:
        column_types.examine(cursor, settings, side, window)
        cursor.execute(source_query.render(cursor, side, sql, window.parameters))
        (plan,) = cursor.fetchone()
        return int(plan[0]["Plan"]["Plan Rows"])
