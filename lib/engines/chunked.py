"""The engine for one machine: worker processes over staged buckets, in bounded memory.

Transactions are staged first; their virtual cards determine the buckets of each log. Every bucket
is then matched independently, and its rows are gathered by date into the result. Only orchestrates:
other modules do the work on a share, a bucket or a slot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING

from lib.analysis.case_evidence import Evidence
from lib.database import copy_reader, retry, snapshots
from lib.domain import requests
from lib.domain.errors import SnapshotError
from lib.domain.requests import CARD
from lib.engines import partition, partition_reader, process_pool, result_writer, sizing, staging
from lib.engines.job import Job, Share, shares
from lib.engines.partition import Gathering, Matched
from lib.engines.partitioning import Moves, Pairs, Routes, bucket_of, joined_routes, moves
from lib.engines.totals import Read, totals_of

if TYPE_CHECKING:
    from lib.analysis.case_evidence import Watched
    from lib.config.settings import Settings
    from lib.domain.requests import Progress, Request, Side
    from lib.engines.process_pool import Workers
    from lib.engines.result_writer import Draft, Matching


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
    with ExitStack() as stack:
        fingerprint = staging.fingerprint(settings, request, clear)
        stage = stack.enter_context(staging.held(settings.engine.staging_folder, fingerprint))
        pool = stack.enter_context(process_pool.started(settings.engine.worker_count))
        job, share_count = _job(settings, request, clear, stage)
        job = replace(job, watched=watched)
        if stage.staged is None:
            read = retry.from_new_snapshot(lambda: _read(job, stage, pool, share_count, progress))
            stage.complete(vars(read))
        else:
            read = Read(**{field.name: stage.staged[field.name] for field in fields(Read)})
        yield _matching(job, request, read, pool, progress)


def route(job: Job, pool: Workers) -> None:
    """Save the routes of the logs, and move transactions with connected cards to one bucket."""
    parts = [pairs for _, pairs in pool.each(job, partition.pairs, range(job.buckets))]
    moved = Moves.none()
    if job.rule.name == CARD:
        routes = Routes.merged(pairs.routes(job.buckets) for pairs in parts)
    else:
        moved = moves([pairs.links() for pairs in parts], job.buckets)
        routes = joined_routes(Pairs.merged(p.first() for p in parts), moved, job.buckets)
    routes.save(job.folder)
    moved.save(job.folder)
    origins = sorted(set(bucket_of(moved.home, job.buckets).tolist()))
    for _ in pool.each(job, partition.move, origins):
        pass


def _job(
    settings: Settings, request: Request, clear: bool, stage: staging.Staging
) -> tuple[Job, int]:
    """Create the job; also return the number of shares in which each side is read."""
    window = requests.window_of(request)
    if stage.staged is None:
        records = sizing.records(settings, window)
        buckets = sizing.bucket_count(settings, records)
        share_count = sizing.share_count(settings, records)
    else:
        buckets, share_count = stage.staged["buckets"], 0
    job = Job(
        settings=settings,
        window=window,
        period=request.period,
        rule=request.rule,
        clear=clear,
        folder=stage.folder,
        buckets=buckets,
        key=copy_reader.KEY,
        snapshots={},
    )
    return job, share_count


def _read(
    job: Job, stage: staging.Staging, pool: Workers, share_count: int, progress: Progress
) -> Read:
    """Stage both sides from one snapshot of each, or nothing."""
    try:
        with ExitStack() as held:
            names = retry.call(
                lambda: held.enter_context(snapshots.export(job.settings, job.window))
            )
            return _staged(replace(job, snapshots=names), pool, share_count, progress)
    except SnapshotError:
        # A task under way would stage records of the old snapshot beside those of the next.
        pool.restart()
        stage.clear()
        raise


def _staged(job: Job, pool: Workers, share_count: int, progress: Progress) -> Read:
    extracted_at = datetime.now(job.settings.zone).replace(microsecond=0)

    def read(
        side: Side, stage: Callable[[Job, Share], partition_reader.Staged]
    ) -> list[partition_reader.Staged]:
        staged: list[partition_reader.Staged] = []
        progress(side, 0)
        for _, share in pool.each(job, stage, shares(side, job.window, share_count)):
            staged.append(share)
            progress(side, sum(share.inside for share in staged))
        return staged

    transactions = read("transactions", partition_reader.stage_transactions)
    route(job, pool)
    auth_logs = read("auth_logs", partition_reader.stage_auth_logs)
    return Read(
        transactions=sum(share.inside for share in transactions),
        auth_logs=sum(share.inside for share in auth_logs),
        cents=sum(share.cents for share in transactions),
        newest=max(share.newest for share in transactions),
        extracted_at=extracted_at.isoformat(),
        buckets=job.buckets,
    )


def _matching(
    job: Job, request: Request, read: Read, pool: Workers, progress: Progress
) -> Matching:
    progress("matching", read.transactions + read.auth_logs)
    per_day = result_writer.slots_a_day(job.period, read)
    tasks = [(bucket, read.newest, per_day) for bucket in range(job.buckets)]
    parts = {task[0]: part for task, part in pool.each(job, partition.match, tasks)}

    def fill(draft: Draft, per_day: int) -> None:
        gatherings = _gatherings(parts, draft, per_day)
        for gathering, rows in pool.each(job, partition.gather, gatherings):
            draft.add(gathering.table, gathering.slot, gathering.path, rows)

    totals = totals_of(part.counts for part in parts.values())
    evidence = sum((part.evidence for part in parts.values()), Evidence())
    return result_writer.balanced(job.settings, request, job.clear, read, totals, fill, evidence)


def _gatherings(parts: dict[int, Matched], draft: Draft, per_day: int) -> list[Gathering]:
    """One task for each slot of each table that has rows."""
    batches: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for bucket, part in sorted(parts.items()):
        for table, slots in part.slots.items():
            for number, slot in enumerate(slots):
                batches[table, slot].append((bucket, number))
    return [
        Gathering(table, slot, tuple(members), draft.path(table, slot, per_day))
        for (table, slot), members in sorted(batches.items())
    ]
