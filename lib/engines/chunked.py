"""The whole job in bounded memory on one machine: worker processes over staged buckets.

Transactions are staged first; where their virtual cards lead says into which buckets each log
goes. Every bucket is then matched by itself, and its rows are gathered by date into the result.
Orchestrates only: what is done to a share, a bucket or a slot is its own module's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lib import extraction, keys, pipeline, retries
from lib.engines import arranging, bucket, estimate, reading, result, snapshots, staging, workers
from lib.engines.job import Job, Slice, slices
from lib.engines.routing import Moves, Pairs, Routes, joined_routes, moves
from lib.errors import BalanceError
from lib.reconciliation import CARD
from lib.summary import Books

if TYPE_CHECKING:
    from lib.engines.workers import Workers
    from lib.pipeline import Progress, Request
    from lib.settings import Settings

_SHARES_PER_WORKER: Final = 2
_SLOT_ROWS: Final = 400_000


@dataclass(frozen=True)
class _Read:
    """What both sides held, inside the period; ``newest`` is `matching.newest_instant`."""

    transactions: int
    auth_logs: int
    cents: int
    newest: int
    extracted_at: str
    buckets: int


def run(
    settings: Settings,
    asked: Request,
    target: Path,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> result.Result:
    """Read, match, balance the books and publish the result in the folder ``target``.

    Raises AggregatorError; an older result then stays as it was.
    """
    engine = settings.engine
    mark = staging.fingerprint(settings, asked, clear)
    with staging.held(engine.staging_folder, mark) as stage:
        window = pipeline.window_of(asked)
        old = stage.staged
        count = (
            old["buckets"]
            if old
            else estimate.buckets(settings, estimate.records(settings, window))
        )
        job = Job(
            settings=settings,
            window=window,
            period=asked.period,
            rule=asked.rule,
            clear=clear,
            folder=stage.folder,
            buckets=count,
            key=extraction.KEY,
            snapshots={},
        )
        if old:
            read = _Read(**{field.name: old[field.name] for field in fields(_Read)})
        else:
            read = _staged(job, engine.worker_count, progress)
            stage.complete(vars(read))
        with workers.started(job, engine.worker_count) as pool:
            return _matched(job, asked, read, target, pool, progress)


def _staged(job: Job, count: int, progress: Progress) -> _Read:
    moment = datetime.now(job.settings.zone).replace(microsecond=0)
    with snapshots.held(job.settings) as names:
        job = Job(**vars(job) | {"snapshots": names})
        with workers.started(job, count) as pool:
            shares = _SHARES_PER_WORKER * count
            transactions = _shares(job, pool, "transactions", shares, progress)
            _route(job, pool)
            auth_logs = _shares(job, pool, "auth_logs", shares, progress)
    return _Read(
        transactions=sum(s.inside for s in transactions),
        auth_logs=sum(s.inside for s in auth_logs),
        cents=sum(s.cents for s in transactions),
        newest=max((s.newest for s in transactions), default=keys.BEFORE),
        extracted_at=moment.isoformat(),
        buckets=job.buckets,
    )
