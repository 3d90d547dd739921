"""Cases in one run: the days that it judges, and the update once its report is in place.

A store that cannot be used costs a warning and never the report.
"""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from lib.analysis import case_evidence
from lib.delivery import case_labels, case_store, history, state_file
from lib.delivery.case_store import Judging
from lib.domain import cases
from lib.domain.cases import Labels
from lib.domain.requests import CARD, days_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from lib.analysis.case_evidence import Evidence, Watched
    from lib.config.settings import Settings
    from lib.delivery.case_store import Change
    from lib.domain.cases import Cases
    from lib.domain.outcomes import Finished, Outcome
    from lib.domain.requests import Request
    from lib.engines.parquet_result import Result


def judges(settings: Settings, request: Request) -> bool:
    """True if a run of this request judges: under the configured rule and tolerance."""
    rule = request.rule
    configured = (settings.match_rule, settings.tolerance_minutes * 60)
    return (rule.name, rule.tolerance_seconds) == configured


def judged_days(request: Request, incomplete: frozenset[date]) -> frozenset[date]:
    """The complete days of the period before the local today."""
    period = request.period
    last = min(period.end, period.today - timedelta(days=1))
    return frozenset(days_of(period.start, last)) - incomplete


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
        incomplete: frozenset[date] = frozenset(),
    ) -> None:
        self.change: Change | None = None
        self._settings, self._request = settings, request
        self._number = number if judges(settings, request) else None
        self._incomplete = incomplete
        self._watched: Watched | None = None
        self._cases: Cases | None = None

    def watched(self) -> Watched | None:
        """The open cases that an engine looks for while its partitions exist."""
        if self._number is None:
            return None

        period = self._request.period
        # Cases that nobody looks for are closed by no run.
        self._watched = case_evidence.NOTHING_WATCHED
        with history.errors_logged():
            self._watched = case_store.watched(
                state_file.path_of(self._settings),
                self._request.merchant,
                period.start,
                period.end,
            )
        return self._watched

    def label(self, outcome: Outcome) -> Labels | None:
        """The labels of the report of a run in memory, before it is written."""
        return self._label(outcome, lambda: _found(outcome))

    def label_result(self, finished: Finished, result: Result) -> Labels | None:
        """The labels of the workbooks of an engine's result, before they are written."""
        return self._label(finished, result.cases)

    def judge(self, outcome: Outcome) -> None:
        """Judge the cases of a run in memory, once its report is in place."""
        result, merchant = outcome.reconciliation, self._request.merchant
        self._judge(
            outcome,
            lambda: _found(outcome),
            lambda gone: case_evidence.evidence(result, merchant, gone, clear=outcome.clear),
        )

    def judge_result(self, finished: Finished, result: Result, evidence: Evidence) -> None:
        """Judge the cases of an engine's result, given what its partitions knew."""
        self._judge(finished, result.cases, lambda gone: evidence)

    def _label(self, finished: Finished, found: Callable[[], pa.Table]) -> Labels | None:
        if not self._settings.cases.in_report:
            return None
        judging = None if self._number is None else self._judging(self._number, finished)
        return _labels(self._settings, finished, self._numbered(found), judging)

    def _judge(
        self,
        finished: Finished,
        found: Callable[[], pa.Table],
        evidence: Callable[[Watched], Evidence],
    ) -> None:
        if self._number is None:
            return

        judging = self._judging(self._number, finished)
        path = state_file.path_of(self._settings)
        with history.errors_logged():
            self.change = case_store.judge(path, judging, self._numbered(found), evidence)

    def _numbered(self, found: Callable[[], pa.Table]) -> Cases:
        if self._cases is None:
            self._cases = cases.of_run(self._request.merchant, found())
        return self._cases

    def _judging(self, number: int, finished: Finished) -> Judging:
        request, moment = self._request, finished.extracted_at.astimezone(UTC)
        return Judging(
            run=number,
            merchant=request.merchant,
            at=moment,
            period=(request.period.start, request.period.end),
            days=judged_days(request, self._incomplete),
            first_day=request.period.start if request.rule.name == CARD else None,
            watched=self._watched,
            reach=_reach(finished),
            kept_since=moment - timedelta(days=self._settings.cases.keep_days),
        )


def labels_of_export(settings: Settings, outcome: Outcome) -> Labels | None:
    """The labels of a workbook of the page, which judges nothing; None if not configured."""
    if not settings.cases.in_report:
        return None

    numbered = cases.of_run(outcome.request.merchant, _found(outcome))
    return _labels(settings, outcome, numbered, None)


def _labels(
    settings: Settings, finished: Finished, found: Cases, judging: Judging | None
) -> Labels:
    merchant = finished.request.merchant
    labels: Labels | None = None
    with history.errors_logged():
        path = state_file.path_of(settings)
        labels = case_labels.of_cases(path, merchant, found, settings.zone, judging)
    return labels or Labels(merchant, {})


def _found(outcome: Outcome) -> pa.Table:
    return case_evidence.found(
        outcome.reconciliation, outcome.request.merchant, clear=outcome.clear
    )


def _reach(finished: Finished) -> tuple[date | None, date | None]:
    """The latest days with transactions and with logs."""
    days = finished.by_day.select(("day", "transactions", "logs")).to_pylist()
    latest = (
        max((day["day"] for day in days if day["day"] and day[side]), default=None)
        for side in ("transactions", "logs")
    )
    transactions, logs = latest
    return transactions, logs
