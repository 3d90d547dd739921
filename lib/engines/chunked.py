"""The whole job in bounded memory on one machine: worker processes over staged buckets.

Transactions are staged first; where their virtual cards lead says into which buckets each log
goes. Every bucket is then matched by itself, and its rows are gathered by date into the result.
Orchestrates only: what is done to a share, a bucket or a slot is its own module's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lib.database import copy_reader, snapshots
from lib.domain import requests
from lib.domain.reconciliation import CARD
from lib.engines import (
    parquet_result,
    partition,
    partition_reader,
    partition_rows,
    process_pool,
    result_writer,
    sizing,
    staging,
)
from lib.engines.job import Job, Slice, slices
from lib.engines.partitioning import Moves, Pairs, Routes, bucket_of, joined_routes, moves
from lib.engines.totals import Read, totals_of

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Progress, Request, Side
    from lib.engines.process_pool import Workers
    from lib.engines.result_files import Draft
    from lib.engines.result_writer import Matching


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
    count = settings.engine.worker_count
    with ExitStack() as stack:
        mark = staging.fingerprint(settings, asked, None, clear)
        stage = stack.enter_context(staging.held(settings.engine.staging_folder, mark))
        pool = stack.enter_context(process_pool.started(count))
        job, shares = _job(settings, asked, clear, stage)
        moment = stack.enter_context(ExitStack())
        if stage.staged is None:
            held = snapshots.export(settings, job.window.user)
            job = replace(job, snapshots=moment.enter_context(held))
            read = _staged(job, pool, shares, progress)
            stage.complete(vars(read))
            moment.close()
        else:
            read = Read(**{field.name: stage.staged[field.name] for field in fields(Read)})
        yield _matching(job, asked, read, pool, progress)


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


def _job(
    settings: Settings, asked: Request, clear: bool, stage: staging.Staging
) -> tuple[Job, int]:
    """The job, and in how many shares to read a side."""
    window = requests.window_of(asked)
    if stage.staged is None:
        records = sizing.records(settings, window)
        buckets = sizing.buckets(settings, records)
        shares = sizing.shares(settings, records)
    else:
        buckets, shares = stage.staged["buckets"], 0
    job = Job(
        settings=settings,
        window=window,
        period=asked.period,
        rule=asked.rule,
        clear=clear,
        folder=stage.folder,
        buckets=buckets,
        key=copy_reader.KEY,
        snapshots={},
    )
    return job, shares


def _staged(job: Job, pool: Workers, shares: int, progress: Progress) -> Read:
    moment = datetime.now(job.settings.zone).replace(microsecond=0)
    transactions = _read(
        job, pool, partition_reader.stage_transactions, "transactions", shares, progress
    )
    route(job, pool)
    auth_logs = _read(job, pool, partition_reader.stage_auth_logs, "auth_logs", shares, progress)
    return Read(
        transactions=sum(share.inside for share in transactions),
        auth_logs=sum(share.inside for share in auth_logs),
        cents=sum(share.cents for share in transactions),
        newest=max(share.newest for share in transactions),
        extracted_at=moment.isoformat(),
        buckets=job.buckets,
    )


def _read(
    job: Job,
    pool: Workers,
    stage: Callable[[Job, Slice], partition_reader.Staged],
    side: Side,
    shares: int,
    progress: Progress,
) -> list[partition_reader.Staged]:
    staged: list[partition_reader.Staged] = []
    progress(side, 0)
    for _, share in pool.each(job, stage, slices(side, job.window, shares)):
        staged.append(share)
        progress(side, sum(share.inside for share in staged))
    return staged


def route(job: Job, pool: Workers) -> None:
    """Leave the routes of the logs, and move transactions whose cards hang together."""
    found = list(pool.each(job, partition.pairs, range(job.buckets)))
    moved = Moves.nowhere()
    if job.rule.name == CARD:
        routes = Routes.together(pairs.routes(job.buckets) for _, pairs in found)
    else:
        moved = moves([pairs.links() for _, pairs in found], job.buckets)
        routes = joined_routes(Pairs.together(p.first() for _, p in found), moved, job.buckets)
    routes.save(job.folder)
    moved.save(job.folder)
    leave = sorted(set(bucket_of(moved.home, job.buckets).tolist()))
    for _ in pool.each(job, partition.move, leave):
        pass


def _matching(job: Job, asked: Request, read: Read, pool: Workers, progress: Progress) -> Matching:
    progress("matching", read.transactions + read.auth_logs)
    per_day = result_writer.slots_a_day(job.period, read)
    tasks = [(number, read.newest, per_day) for number in range(job.buckets)]
    found = {task[0]: matched for task, matched in pool.each(job, partition.match, tasks)}

    def fill(draft: Draft, per_day: int) -> None:
        wanted = _gatherings(found, draft, per_day)
        for gathering, rows in pool.each(job, partition_rows.gather, wanted):
            draft.add(gathering.table, gathering.slot, gathering.path, rows)

    totals = totals_of(found.values())
    return result_writer.balanced(job.settings, asked, job.clear, read, totals, fill)


def _gatherings(
    found: dict[int, partition.Matched], draft: Draft, per_day: int
) -> list[partition_rows.Gathering]:
    batches: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for number, matched in sorted(found.items()):
        for table, slots in matched.slots.items():
            for place, (slot, _) in enumerate(slots):
                batches[table, slot].append((number, place))
    return [
        partition_rows.Gathering(table, slot, tuple(parts), draft.path(table, slot, per_day))
        for (table, slot), parts in sorted(batches.items())
    ]
