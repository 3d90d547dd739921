"""Wait until both sources hold yesterday's data, once for all reports of a command.

Owns the question, its rhythm and its end; a database that is down meanwhile is asked again. Decides
nothing about the cases: it names the days that are not complete.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.database import latest_instant, retry, running_sessions, sessions
from lib.domain import requests as r
from lib.domain.errors import AggregatorError, ReportError
from lib.domain.messages import Notice
from lib.reports.file_lock import exclusive_lock

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.latest_instant import Latest
    from lib.domain.requests import Request, Side

WAITS: Final = (
    "Aguardando os dados de ontem até {until:%d/%m/%Y %H:%M}; a execução começa antes, se eles "
    "chegarem."
)
INCOMPLETE: Final = (
    "incompleta: {side} tem dados até {latest:%d/%m/%Y %H:%M:%S}; os dias que faltam não mudam os "
    "casos."
)
EMPTY: Final = "incompleta: {side} não tem dados; nenhum dia muda os casos."
UNKNOWN: Final = (
    "incompleta: não foi possível saber até quando {side} tem dados; nenhum dia muda os casos."
)

_SCAN_SECONDS: Final = 300.0
"""Least time between two questions that read a whole table."""
_LAST_SECONDS: Final = 30.0
"""Time limit of a question that is asked at the end of the waiting, or without waiting."""
_SLICE_SECONDS: Final = 5.0
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = datetime.min.time()

_log: Final = logging.getLogger(__name__)


class Waiting:
    """The waiting of one command; ``tell`` receives one notice if it begins to wait.

    ``targets`` are the reports that it holds locked meanwhile. Of the requests, which share their
    period, only those that read a day before today need complete data.
    """

    def __init__(
        self,
        settings: Settings,
        requests: Sequence[Request],
        targets: Sequence[Path],
        tell: Callable[[Notice], object] = lambda notice: None,
    ) -> None:
        self._settings = settings
        self._requests = requests
        self._targets = targets
        self._tell = tell
        self._latest: dict[Side, Latest] = {}
        self._told: dict[Side, str] = {}
        self._done = settings.wait.until is None

    def finish(self, path: Path, set_waiting: Callable[[bool], object]) -> None:
        """Wait, at the first call only, for the report at ``path``, which the caller has locked.

        ``set_waiting`` is told when the waiting begins and when it is over.
        """
        if self._done:
            return
        end = _End(self._settings)
        self._ask(end)
        if self._lacking() and not end.reached:
            with ExitStack() as locks:
                for target in self._targets:
                    if target != path:
                        # A report that cannot be locked now fails, or is skipped, at its turn.
                        with suppress(ReportError):
                            locks.enter_context(exclusive_lock(target))
                self._tell(Notice(WAITS, {"until": end.moment}))
                set_waiting(True)
                while self._lacking() and not end.reached:
                    end.pause(self._interval())
                    self._ask(end)
                set_waiting(False)
        self._done = True

    def incomplete_days(self, request: Request) -> frozenset[date]:
        """The days of the request before its today that a side does not hold whole."""
        if self._settings.wait.until is None:
            return frozenset()
        return frozenset(day for side in r.SIDES for day in self._incomplete(request, side))

    def notices(self, request: Request) -> list[Notice]:
        """One notice for each side that lacks data of the request's days."""
        if self._settings.wait.until is None:
            return []
        return [self._notice(side) for side in r.SIDES if self._incomplete(request, side)]

    def _notice(self, side: Side) -> Notice:
        if side not in self._latest:
            return Notice(UNKNOWN, {"side": side})
        instant = self._latest[side].instant
        if instant is None:
            return Notice(EMPTY, {"side": side})
        return Notice(INCOMPLETE, {"side": side, "latest": instant})

    def _lacking(self) -> bool:
        return any(self.incomplete_days(request) for request in self._requests)

    def _incomplete(self, request: Request, side: Side) -> list[date]:
        period = request.period
        last = min(period.end, period.today - timedelta(days=1))
        days = r.days_of(period.start, last)
        instant = self._latest[side].instant if side in self._latest else None
        if instant is None:
            return days
        lag = timedelta(minutes=self._settings.wait.lag_minutes)
        return [day for day in days if instant < datetime.combine(day + _DAY, _MIDNIGHT) - lag]

    def _interval(self) -> float:
        seconds = float(self._settings.wait.every_seconds)
        scans = any(latest.scans for latest in self._latest.values())
        return max(seconds, _SCAN_SECONDS) if scans else seconds

    def _ask(self, end: _End) -> None:
        """Ask both sides at once; a failure is logged, and what was known before stays."""
        yesterday = self._requests[0].period.today - timedelta(days=1)
        windows = [
            replace(r.window_of(request), start=yesterday, end=request.period.today)
            for request in self._requests
        ]
        questions: list[Callable[[], Latest]] = []
        for side in r.SIDES:
            timeout = sessions.source_of(self._settings, side).statement_timeout
            limit = min(float(timeout), max(end.remaining, _LAST_SECONDS))
            question = partial(latest_instant.latest, self._settings, side, windows, limit)
            if end.reached:  # there is no next time
                question = partial(retry.call, question)
            questions.append(question)
        answers = running_sessions.together(questions)
        for side, answer in zip(r.SIDES, answers, strict=True):
            try:
                self._latest[side] = answer.result()
                self._told.pop(side, None)
            except AggregatorError as problem:
                if self._told.get(side) != str(problem):
                    _log.warning("%s", problem)
                self._told[side] = str(problem)


class _End:
    """The configured time of today, by the clock on the wall or by the time that passes.

    A clock that is set back meanwhile does not make the waiting longer.
    """

    def __init__(self, settings: Settings) -> None:
        zone = settings.zone
        today = _now().astimezone(zone).date()
        self.moment = datetime.combine(today, settings.wait.until or _MIDNIGHT, zone)
        self._monotonic = time.monotonic() + (self.moment - _now()).total_seconds()

    @property
    def remaining(self) -> float:
        """Seconds to go, negative if it has passed."""
        by_wall = (self.moment - _now()).total_seconds()
        return min(by_wall, self._monotonic - time.monotonic())

    @property
    def reached(self) -> bool:
        return self.remaining <= 0

    def pause(self, seconds: float) -> None:
        """Sleep so long, or to the end."""
        since = time.monotonic()
        while (left := min(seconds - (time.monotonic() - since), self.remaining)) > 0:
            time.sleep(min(left, _SLICE_SECONDS))


def _now() -> datetime:
    return datetime.now(UTC)
