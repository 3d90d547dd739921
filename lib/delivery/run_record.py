"""One run's record in the history, and what may be told of it.

A history that cannot be written is a warning and stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import anomaly_notes, events, history
from lib.delivery.notice_body import RunReport
from lib.domain.errors import AggregatorError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.delivery.case_store import Change
    from lib.delivery.history import Dispatch
    from lib.domain.outcomes import Books, Finished
    from lib.domain.requests import Request
    from lib.reports.report_file import Written

UNEXPECTED: Final = "erro inesperado ({kind})"

_log: Final = logging.getLogger(__name__)


class RunRecord:
    """A run's record in the history; a failure to write it is logged and not raised."""

    def __init__(self, settings: Settings, request: Request, origin: str) -> None:
        self._settings = settings
        self._request = request
        self._origin = origin
        self._number: int | None = None
        self._fields: dict[str, Any] = {}
        self._events: dict[str, list[str]] = {}
        self._books: Books | None = None
        self._cases: Change | None = None
        self._history: history.History | None = None
        with history.errors_logged():
            self._history = history.of(settings)

    @property
    def number(self) -> int | None:
        """The run's number, None where the history cannot be written."""
        return self._number

    def begin(self, clear: bool, **fields: Any) -> None:
        """Record the start."""
        request, store = self._request, self._history
        if store is None:
            return
        self._history = None  # a locked file is not waited for again at every step
        with history.errors_logged():
            self._number = store.begin(
                origin=self._origin,
                merchant=request.merchant,
                merchant_name=self._settings.merchants[request.merchant],
                period_start=request.period.start,
                period_end=request.period.end,
                rule=request.rule.name,
                tolerance_seconds=request.rule.tolerance_seconds,
                clear=clear,
                **fields,
            )
            self._history = store

    def add_outcome(self, outcome: Finished) -> None:
        """Add the balanced books, and notes on unusual figures in them."""
        self._books = outcome.books
        books = {name: _plain(value) for name, value in vars(outcome.books).items()}
        self._fields |= {"books": books, "seconds": dict(outcome.seconds)}
        for notice in anomaly_notes.notices(outcome, self._earlier, self._settings.zone):
            self.add_event(events.UNUSUAL, str(notice))

    def add_event(self, event: str, sentence: str) -> None:
        """Log one of `lib.delivery.events`, note it in the record, and have it told."""
        _log.warning("%s", sentence)
        self._events.setdefault(event, []).append(sentence)
        note = self._fields.get("note")
        self._fields["note"] = f"{note}\n{sentence}" if note else sentence

    def add_copies(self, sent: Sequence[Dispatch]) -> None:
        """Record the copies; those that failed are a failure of the run."""
        if self._history is not None and self._number is not None:
            with history.errors_logged():
                self._history.add_dispatches(self._number, sent)
        for copy in sent:
            if copy.problem is not None:
                self.add_event(events.FAILED, copy.problem)

    def set_waiting(self, waits: bool) -> None:
        """Record that the run waits for the sources' data, or no longer does."""
        if self._history is not None and self._number is not None:
            with history.errors_logged():
                outcome = history.WAITING if waits else history.RUNNING
                self._history.set_outcome(self._number, outcome)

    def move_file(self, old: Path, new: Path) -> None:
        """Record that an older report was renamed."""
        if self._history is not None:
            with history.errors_logged():
                self._history.move_file(old, new)

    def add_files(
        self, outcome: Finished, written: Sequence[Written], cases: Change | None
    ) -> None:
        """Add the written report; of several workbooks only the total size is recorded."""
        self._cases = cases
        self._fields |= {
            "seconds": dict(outcome.seconds),
            "size_bytes": sum(book.size_bytes for book in written),
        }
        if len(written) == 1:
            [book] = written
            self._fields |= {"file": str(book.path), "sha256": book.sha256}

    def end(self, outcome: str, **fields: Any) -> None:
        """Record the end."""
        self._end_of_events(outcome)
        if self._history is not None and self._number is not None:
            with history.errors_logged():
                self._history.end(self._number, outcome, **self._fields, **fields)

    def _end_of_events(self, outcome: str) -> None:
        """Add the events that follow from the outcome of a scheduled run."""
        if self._origin != history.SCHEDULED or outcome == history.SKIPPED:
            return
        if outcome != history.DONE:
            if "size_bytes" not in self._fields:  # no report is in place
                self._events = {}
            self._events.setdefault(events.FAILED, [])
        elif events.FAILED not in self._events:
            self._events[events.READY] = []
            if self._follows_a_bad_run():
                self._events[events.OVER] = []

    def _follows_a_bad_run(self) -> bool:
        """True if the merchant's last scheduled run before this one was not good."""
        number = self._number
        if number is None:
            return False
        last = next((run for run in self._earlier if run.id < number and run.has_ended), None)
        return last is not None and not last.is_good

    @cached_property
    def _earlier(self) -> list[history.Run]:
        """The merchant's latest scheduled runs; none where the history cannot be read."""
        runs: list[history.Run] = []
        if self._history is not None:
            with history.errors_logged():
                merchant = self._request.merchant
                runs = self._history.runs(
                    anomaly_notes.SEARCHED, origin=history.SCHEDULED, merchant=merchant
                )
        return runs

    def report(self, failure: str | None) -> RunReport:
        """What may be told of the ended run; ``failure`` says why it has no report."""
        request = self._request
        return RunReport(
            number=self._number,
            merchant=request.merchant,
            name=self._settings.merchants[request.merchant],
            period=(request.period.start, request.period.end),
            events={event: tuple(sentences) for event, sentences in self._events.items()},
            failure=failure,
            books=self._books,
            cases=self._cases,
        )


def failure_message(problem: BaseException) -> str:
    """The text of an expected failure, or the type of an unexpected one."""
    if isinstance(problem, AggregatorError):
        return str(problem)
    return UNEXPECTED.format(kind=type(problem).__name__)


def _plain(value: object) -> object:
    return value if isinstance(value, int) else str(value)
