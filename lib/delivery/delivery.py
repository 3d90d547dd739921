"""One run brought to its file: the name, the lock, the older reports, and the run's record.

The command line delivers through here, and the dashboard has its exports recorded. The record
never stands in the way: a report is written whether or not the history can be. Shows nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib import pipeline
from lib.database import retry, row_level_security
from lib.delivery import anomaly_notes, history
from lib.domain import requests
from lib.domain.errors import AggregatorError, HistoryError, TakenError
from lib.domain.outcomes import Finished, Outcome
from lib.domain.requests import Progress, Request
from lib.engines import sizing
from lib.reports import publish, retention
from lib.reports.file_lock import exclusively
from lib.security import audit_events

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.engines.sizing import Kind
    from lib.reports.publish import Written


_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A run that reached its files; ``notes`` are sentences about what is unusual in it."""

    outcome: Finished
    written: tuple[Written, ...]
    notes: tuple[str, ...]


def deliver(
    settings: Settings,
    asked: Request,
    template: Path,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Delivery:
    """Run, write the report under its name, keep the configured older ones, and record the run.

    Raises AggregatorError; ReportError at once where another run is writing the same file.
    """
    path = retention.target(template, asked)
    with (
        _recorded(settings, asked, clear=clear) as record,
        audit_events.deed(settings, "run", audit_events.account(), asked, clear=clear) as deed,
    ):
        publish.require_place(path)
        with exclusively(path):
            _prove(settings, asked)
            kind = sizing.kind(settings, requests.window_of(asked))
            make = _in_memory if kind == sizing.MEMORY else partial(_by_engine, kind)
            outcome, written = make(settings, asked, path, clear, progress, record, deed)
            record.wrote(written, outcome)
            if settings.keep:
                retention.clear(template, written, asked.merchant, settings.keep)
        return Delivery(outcome, written, record.notes)


def rehearse(
    settings: Settings,
    asked: Request,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Finished:
    """Run and write nothing but the audit, which has what was read. Raises AggregatorError."""
    who = audit_events.account()
    with audit_events.deed(settings, "run", who, asked, clear=clear, dry_run=True) as deed:
        _prove(settings, asked)
        kind = sizing.kind(settings, requests.window_of(asked))
        if kind == sizing.MEMORY:
            outcome: Finished = pipeline.run(settings, asked, clear=clear, progress=progress)
        else:
            from lib.engines import runner

            outcome = runner.rehearse(settings, asked, kind, clear=clear, progress=progress)
        deed.learn(outcome)
        deed.end()
        return outcome


def record_export(settings: Settings, outcome: Outcome, who: str, workbook: Future[Any]) -> None:
    """Record an export of the dashboard, complete once its workbook is written or has failed.

    The workbook has ``size_bytes`` and ``sha256``; its file is the server's own and goes with it.
    """
    record = Record(settings, outcome.request, history.PAGE)
    record.begin(outcome.clear, who=who)
    record.learn(outcome)

    def end(written: Future[Any]) -> None:
        problem = written.exception()
        if problem is None:
            record.end(history.DONE, found=written.result())
        else:
            record.end(history.FAILED, message(problem))

    workbook.add_done_callback(end)


class Record:
    """A run on its way into the history; where that fails, the run goes on without."""

    def __init__(self, settings: Settings, asked: Request, origin: str) -> None:
        self._history = history.of(settings)
        self._settings = settings
        self._asked = asked
        self._origin = origin
        self._number: int | None = None
        self._fields: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()

    def begin(self, clear: bool, **fields: Any) -> None:
        """The run begins."""
        asked = self._asked
        with self._tolerantly():
            self._number = self._history.begin(
                origin=self._origin,
                merchant=asked.merchant,
                merchant_name=self._settings.merchants[asked.merchant],
                period_start=asked.period.start,
                period_end=asked.period.end,
                rule=asked.rule.name,
                tolerance_seconds=asked.rule.tolerance_seconds,
                clear=clear,
                **fields,
            )

    def learn(self, outcome: Finished) -> None:
        """The run is matched and its books tie; what is unusual about it becomes its notes."""
        books = {name: _plain(value) for name, value in vars(outcome.books).items()}
        self._fields |= {"books": books, "seconds": dict(outcome.seconds)}
        with self._tolerantly():
            earlier = self._history.runs(
                anomaly_notes.SEARCHED, origin=history.SCHEDULED, merchant=self._asked.merchant
            )
            zone = self._settings.zone
            self.notes = tuple(map(str, anomaly_notes.notices(outcome, earlier, zone)))
        for note in self.notes:
            _log.warning("%s", note)
        self._fields["note"] = "\n".join(self.notes) or None

    def moved(self, old: Path, new: Path) -> None:
        """An older report has another name now."""
        with self._tolerantly():
            self._history.moved(old, new)

    def wrote(self, written: tuple[Written, ...], outcome: Finished) -> None:
        """The report is in its place; of one that is several workbooks only the size is kept."""
        self._fields |= {
            "seconds": dict(outcome.seconds),
            "size_bytes": sum(book.size_bytes for book in written),
        }
        if len(written) == 1:
            self._fields |= {"file": str(written[0].path), "sha256": written[0].sha256}

    def end(self, outcome: str, message: str | None = None, found: Any = None) -> None:
        """The run is over; ``found`` is the workbook it made, where it has none of its own."""
        if found is not None:
            self._fields |= {"size_bytes": found.size_bytes, "sha256": found.sha256}
        if self._number is not None:
            with self._tolerantly():
                self._history.end(self._number, outcome, message=message, **self._fields)

    @contextmanager
    def _tolerantly(self) -> Iterator[None]:
        try:
            yield
        except HistoryError as problem:
            _log.warning("%s", problem)


@contextmanager
def _recorded(settings: Settings, asked: Request, *, clear: bool) -> Iterator[Record]:
    """A scheduled run from its beginning to whichever end it has."""
    record = Record(settings, asked, history.SCHEDULED)
    record.begin(clear)
    try:
        yield record
    except (KeyboardInterrupt, SystemExit):
        record.end(history.INTERRUPTED)
        raise
    except BaseException as problem:
        left = isinstance(problem, TakenError)
        record.end(history.LEFT if left else history.FAILED, message(problem))
        raise
    record.end(history.DONE)


def _prove(settings: Settings, asked: Request) -> None:
    """The databases keep users' rows apart, asked again where they do not answer."""
    retry.call(partial(row_level_security.prove, settings, requests.window_of(asked)))


def _in_memory(
    settings: Settings,
    asked: Request,
    path: Path,
    clear: bool,
    progress: Progress,
    record: Record,
    deed: audit_events.Deed,
) -> tuple[Finished, tuple[Written, ...]]:
    outcome = pipeline.run(settings, asked, clear=clear, progress=progress)
    record.learn(outcome)
    deed.learn(outcome)
    begun = time.perf_counter()
    with _older_kept(settings, record, path):
        written = pipeline.publish(
            outcome, path, progress=progress, marks=deed.marks, approve=deed.approve
        )
    outcome.seconds["write"] = time.perf_counter() - begun
    return outcome, (written,)


def _by_engine(
    kind: Kind,
    settings: Settings,
    asked: Request,
    path: Path,
    clear: bool,
    progress: Progress,
    record: Record,
    deed: audit_events.Deed,
) -> tuple[Finished, tuple[Written, ...]]:
    # Only what does not fit in memory pays for loading it.
    from lib.engines import runner

    def learn(outcome: Finished) -> None:
        record.learn(outcome)
        deed.learn(outcome)

    def place(made: Path, written: Written) -> None:
        with _older_kept(settings, record, written.path):
            deed.approve(written)
            made.replace(written.path)

    places = runner.Places(path, retention.result_folder(settings, asked, path))
    steps = runner.Steps(learn, deed.marks, deed.approve, place)
    outcome, written = runner.produce(
        settings, asked, kind, places, steps, clear=clear, progress=progress
    )
    if all(book.path != path for book in written) and path.exists():
        # Its place was taken by a workbook a day.
        with _older_kept(settings, record, path):
            path.unlink()
    return outcome, written


@contextmanager
def _older_kept(settings: Settings, record: Record, path: Path) -> Iterator[None]:
    """Where older reports are kept, this one has another name once the block has replaced it."""
    older = retention.put_aside(path) if settings.keep else None
    try:
        yield
    except BaseException:
        if older:
            older.unlink(missing_ok=True)
        raise
    if older:
        record.moved(path, older)


def message(problem: BaseException) -> str:
    """What a failure is called in the record; of an unexpected one only its kind."""
    expected = isinstance(problem, AggregatorError)
    return str(problem) if expected else f"erro inesperado ({type(problem).__name__})"


def _plain(value: object) -> object:
    return value if isinstance(value, int) else str(value)
