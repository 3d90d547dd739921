"""Deliver one run to its file: choose the name, lock it, keep older reports, record the run.

The command line delivers through this module; the dashboard records its exports through it. A
history that cannot be written never stops a report. Shows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import pipeline
from lib.database import retry, row_level_security
from lib.delivery import copies, events, history, leftovers
from lib.delivery.cases import Judge
from lib.delivery.copies import Copies
from lib.delivery.run_record import RunRecord, failure_message
from lib.domain import requests
from lib.domain.errors import TakenError
from lib.domain.outcomes import Finished, Outcome
from lib.domain.requests import Progress, Request
from lib.engines import sizing
from lib.reports import report_file, retention
from lib.reports.file_lock import exclusive_lock
from lib.security import audit_events

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.delivery.case_store import Change
    from lib.delivery.notice_body import RunReport
    from lib.delivery.waiting import Waiting
    from lib.reports.report_file import Written


@dataclass(frozen=True)
class Delivery:
    """A finished run, its files, the counts of the cases if it judged them, and its copies."""

    outcome: Finished
    written: tuple[Written, ...]
    cases: Change | None = None
    copies: Copies = Copies()


def deliver(
    settings: Settings,
    request: Request,
    template: Path,
    *,
    clear: bool = False,
    waiting: Waiting | None = None,
    progress: Progress = lambda stage, rows: None,
    tell: Callable[[RunReport], None] = lambda report: None,
) -> Delivery:
    """Wait, run, write the report under its name, judge the cases, and record the run.

    The oldest reports are removed, and the report is copied; neither a copy that fails nor an
    interruption of the copies is an error. Cases of the days that ``waiting`` finds incomplete are
    not judged. ``tell`` gets what may be told of the run once it has ended and is recorded, also
    where it failed. Raises AggregatorError; TakenError, at once, if another run is writing the same
    file.
    """
    path = retention.target(template, request)
    account = audit_events.account()
    with (
        _recorded(settings, request, tell, clear=clear) as record,
        audit_events.operation(settings, "run", account, request, clear=clear) as operation,
    ):
        report_file.require_target(path)
        result = retention.result_folder(settings, request, path)
        with exclusive_lock(path), leftovers.registered(settings, path, result):
            if waiting is not None:
                waiting.finish(path, record.set_waiting)
                for notice in waiting.notices(request):
                    record.add_event(events.LATE, str(notice))
            incomplete = waiting.incomplete_days(request) if waiting else frozenset()
            judge = Judge(settings, request, record.number, incomplete=incomplete)
            delivery = _produce(
                settings, request, path, result, clear, progress, record, operation, judge
            )
            record.add_files(delivery.outcome, delivery.written, delivery.cases)
            if settings.keep:
                retention.remove_old(template, delivery.written, request.merchant, settings.keep)
            if settings.copies.to:
                made = copies.copy_all(settings, request, template, delivery.written, clear=clear)
                record.add_copies(made.sent)
                delivery = replace(delivery, copies=made)
        return delivery


def rehearse(
    settings: Settings,
    request: Request,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Finished:
    """Run without writing a report; the audit records the read. Raises AggregatorError."""
    account = audit_events.account()
    with audit_events.operation(
        settings, "run", account, request, clear=clear, dry_run=True
    ) as operation:
        kind = _engine_kind(settings, request)
        if kind == sizing.MEMORY:
            outcome: Finished = pipeline.run(settings, request, clear=clear, progress=progress)
        else:
            from lib.engines import runner

            outcome = runner.rehearse(settings, request, kind, clear=clear, progress=progress)
        operation.add_rows(audit_events.row_counts(outcome))
        operation.complete()
        return outcome


def record_export(settings: Settings, outcome: Outcome, person: str, export: Future[Any]) -> None:
    """Record an export of the dashboard, completed once its future is done.

    The future's result has ``size_bytes`` and ``sha256``; the file itself is temporary.
    """
    record = RunRecord(settings, outcome.request, history.PAGE)
    record.begin(outcome.clear, who=person)
    record.add_outcome(outcome)

    def end(export: Future[Any]) -> None:
        problem = export.exception()
        if problem is None:
            workbook = export.result()
            size, digest = workbook.size_bytes, workbook.sha256
            record.end(history.DONE, size_bytes=size, sha256=digest)
        else:
            record.end(history.FAILED, message=failure_message(problem))

    export.add_done_callback(end)


@contextmanager
def _recorded(
    settings: Settings, request: Request, tell: Callable[[RunReport], None], *, clear: bool
) -> Iterator[RunRecord]:
    """Record the start of a scheduled run and its outcome, then report it."""
    record = RunRecord(settings, request, history.SCHEDULED)
    record.begin(clear)
    try:
        yield record
    except (KeyboardInterrupt, SystemExit):
        record.end(history.INTERRUPTED)
        tell(record.report(history.INTERRUPTED))
        raise
    except TakenError as problem:
        record.end(history.SKIPPED, message=failure_message(problem))
        raise
    except BaseException as problem:
        message = failure_message(problem)
        record.end(history.FAILED, message=message)
        tell(record.report(message))
        raise
    record.end(history.DONE)
    tell(record.report(None))


def _engine_kind(settings: Settings, request: Request) -> sizing.Kind:
    """Choose the engine after proving row-level security of the databases."""
    window = requests.window_of(request)
    retry.call(partial(row_level_security.prove, settings, window))
    return sizing.kind(settings, window)


def _produce(
    settings: Settings,
    request: Request,
    path: Path,
    result: Path,
    clear: bool,
    progress: Progress,
    record: RunRecord,
    operation: audit_events.Operation,
    judge: Judge,
) -> Delivery:
    """Run in memory or by an engine, and put the finished workbooks in place."""

    def add_outcome(outcome: Finished) -> None:
        record.add_outcome(outcome)
        operation.add_rows(audit_events.row_counts(outcome))

    def place(workbook: Path, written: Written) -> None:
        with _older_kept(settings, record, written.path):
            operation.approve(written)
            report_file.place(workbook, written.path, clear=clear)

    kind = _engine_kind(settings, request)
    if kind == sizing.MEMORY:
        leftovers.sweep_staging(settings)
        outcome = pipeline.run(settings, request, clear=clear, progress=progress)
        add_outcome(outcome)
        started_at = time.perf_counter()
        with _older_kept(settings, record, path):
            written = pipeline.publish(
                outcome,
                path,
                progress=progress,
                marks=operation.marks,
                labels=judge.label(outcome),
                approve=operation.approve,
            )
        outcome.seconds["write"] = time.perf_counter() - started_at
        judge.judge(outcome)
        return Delivery(outcome, (written,), judge.change)

    from lib.engines import runner  # slow to load, and not needed by runs in memory

    targets = runner.Targets(path, result)
    hooks = runner.Hooks(
        add_outcome,
        operation.marks,
        operation.approve,
        place,
        watched=judge.watched(),
        label=judge.label_result,
        judge=judge.judge_result,
    )
    finished, books = runner.produce(
        settings, request, kind, targets, hooks, clear=clear, progress=progress
    )
    if all(book.path != path for book in books) and path.exists():
        # Workbooks of single days replace the workbook of the whole period.
        with _older_kept(settings, record, path), suppress(FileNotFoundError):
            path.unlink()
    return Delivery(finished, books, judge.change)


@contextmanager
def _older_kept(settings: Settings, record: RunRecord, path: Path) -> Iterator[None]:
    """Keep the report at this path under another name if the block replaces it."""
    older = retention.keep_previous(path) if settings.keep else None
    try:
        yield
    except BaseException:
        if older:
            with suppress(OSError):
                older.unlink()
        raise
    if older:
        record.move_file(path, older)
