"""Cases in one run: the days that it judges, and the update once its report is in place.

A store that cannot be used costs a warning and never the report. Numbers and tables load with the
first judging run, while the databases work.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Final

from lib.delivery import state_file
from lib.domain.errors import HistoryError
from lib.domain.requests import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from lib.analysis.case_evidence import Evidence, Watched
    from lib.config.settings import Settings
    from lib.delivery.case_store import Change
    from lib.domain.outcomes import Finished, Outcome
    from lib.domain.requests import Request
    from lib.engines.parquet_result import Result

_log: Final = logging.getLogger(__name__)


def judges(settings: Settings, request: Request) -> bool:
    """True if a run of this request judges: under the configured rule and tolerance."""
    rule = request.rule
    configured = (settings.match_rule, settings.tolerance_minutes * 60)
    return (rule.name, rule.tolerance_seconds) == configured


def judged_days(request: Request, incomplete: frozenset[date]) -> frozenset[date]:
    """The complete days of the period before the local today."""
    period = request.period
    last = min(period.end, period.today - timedelta(days=1))
    days = range((last - period.start).days + 1)
    return frozenset(period.start + timedelta(days=n) for n in days) - incomplete


class Judge:
    """The judge of one delivery's cases; without a number in the history it judges nothing.

    ``change`` holds the counts once the update is committed.
    """

    def __init__(
        self,
        settings: Settings,
        request: Request,
        number: int | None,
        *,
        clear: bool,
        incomplete: frozenset[date] = frozenset(),
    ) -> None:
        self.change: Change | None = None
        self._settings, self._request, self._clear = settings, request, clear
        self._number = number if judges(settings, request) else None
        self._incomplete = incomplete
        self._watched: Watched | None = None

    def watched(self) -> Watched | None:
        """The open cases that an engine looks for while its partitions exist."""
        if self._number is None:
            return None
        from lib.delivery import case_store

        period = self._request.period
        with _errors_logged():
            self._watched = case_store.watched(
                state_file.path_of(self._settings),
                self._request.merchant,
                period.start,
                period.end,
            )
        return self._watched

    def judge(self, outcome: Outcome) -> None:
        """Judge the cases of a run in memory."""
        from lib.analysis import case_evidence

        result, merchant = outcome.reconciliation, self._request.merchant
        self._judge(
            outcome,
            lambda: case_evidence.found(result, merchant, clear=self._clear),
            lambda gone: case_evidence.evidence(result, merchant, gone, clear=self._clear),
        )

    def judge_result(self, finished: Finished, result: Result, evidence: Evidence) -> None:
        """Judge the cases of an engine's result, given what its partitions knew."""
        self._judge(finished, result.cases, lambda gone: evidence)

    def _judge(
        self,
        finished: Finished,
        found: Callable[[], pa.Table],
        evidence: Callable[[Watched], Evidence],
    ) -> None:
        if self._number is None:
            return
        from lib.delivery import case_store
        from lib.domain import cases

        request, moment = self._request, finished.extracted_at.astimezone(UTC)
        first = request.period.start if request.rule.name == CARD else None
        judging = case_store.Judging(
            run=self._number,
            merchant=request.merchant,
            at=moment,
            period=(request.period.start, request.period.end),
            days=judged_days(request, self._incomplete),
            first_day=first,
            watched=self._watched,
            reach=_reach(finished),
            kept_since=moment - timedelta(days=self._settings.cases.keep_days),
        )
        with _errors_logged():
            self.change = case_store.judge(
                state_file.path_of(self._settings),
                judging,
                cases.of_run(request.merchant, found()),
                evidence,
            )


@contextmanager
def _errors_logged() -> Iterator[None]:
    try:
        yield
    except HistoryError as problem:
        _log.warning("%s", problem)


def _reach(finished: Finished) -> tuple[date | None, date | None]:
    """The latest days with transactions and with logs."""
    days = finished.by_day.select(("day", "transactions", "logs")).to_pylist()
    latest = (
        max((day["day"] for day in days if day["day"] and day[side]), default=None)
        for side in ("transactions", "logs")
    )
    transactions, logs = latest
    return transactions, logs
