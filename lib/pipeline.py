"""The only orchestration: a request becomes an outcome (`run`), an outcome a workbook (`publish`).

The dashboard and the command line both stand on these two. Reads the clock, so that what is
below does not have to. Shows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lib import (
    __version__,
    boundaries,
    config,
    extraction,
    keys,
    matching,
    report,
    retries,
    room,
    sources,
    summary,
)
from lib.errors import ConfigError, ExtractionError
from lib.reconciliation import CARD, CARD_TIME, Period, Reconciliation, Rule

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from lib.settings import Settings

_NO_MEMORY: Final = (
    "A memória deste computador não basta para o período pedido: reduza o período, ou use "
    'kind = "chunked" em [aggregator.engine].'
)

Progress = Callable[[str, int], None]
"""Called with a stage (transactions, auth_logs, matching, writing) and its rows so far."""


Read = Callable[["Settings", extraction.Window, Progress], tuple[datetime, extraction.Extracted]]
"""Gives a window's records and the moment they are of."""


@dataclass(frozen=True)
class Request:
    """What is asked: one configured merchant's records of a period, by a rule."""

    merchant: str
    period: Period
    rule: Rule


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What is known of a finished, balanced run, wherever its rows are.

    ``by_day`` is `summary.balance_by_day`; ``seconds`` is by stage.
    """

    request: Request
    merchant_name: str
    clear: bool
    extracted_at: datetime
    books: summary.Books
    by_day: pd.DataFrame
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome(Finished):
    """A finished run whose rows are in memory."""

    reconciliation: Reconciliation


def local_today(settings: Settings) -> date:
    """Today's date where the merchants are."""
    return datetime.now(settings.zone).date()


def request(
    settings: Settings,
    today: date,
    *,
    merchant: str | None = None,
    days: int | None = None,
    start: date | None = None,
    end: date | None = None,
    rule: str | None = None,
    tolerance_minutes: int | None = None,
) -> Request:
    """A valid request, what is not given coming from the configuration. Raises ConfigError."""
    if days is not None and (start or end):
        raise ConfigError("Use --days, ou --start com --end, mas não os dois.")
    if (start is None) != (end is None):
        raise ConfigError("Um período precisa das duas datas: --start e --end.")
    if start is None or end is None:
        window = settings.window_days if days is None else days
        start, end = today - timedelta(days=window), today
    if start > end:
        raise ConfigError(
            "O período começa em {start:%d/%m/%Y}, depois do fim em {end:%d/%m/%Y}; "
            "inverta as datas.",
            start=start,
            end=end,
        )
    minutes = settings.tolerance_minutes if tolerance_minutes is None else tolerance_minutes
    return Request(
        config.checked_merchant(
            settings, settings.default_merchant if merchant is None else merchant
        ),
        Period(start, end, today),
        Rule(rule or settings.match_rule, minutes * 60, settings.approved_codes),
    )


def window_of(asked: Request) -> extraction.Window:
    """What to read: rule `card_time` needs every date that its tolerance touches as well."""
    start, end = asked.period.start, asked.period.end
    if asked.rule.name == CARD_TIME and asked.rule.tolerance_seconds:
        days = timedelta(days=-(-asked.rule.tolerance_seconds // keys.DAY_SECONDS))
        start = max(start, date.min + days) - days
        end = min(end, date.max - days) + days
    return extraction.Window(asked.merchant, start, end)


@room.lacking(lambda: ExtractionError(_NO_MEMORY))
def run(
    settings: Settings,
    asked: Request,
    *,
    clear: bool = False,
    user: str | None = None,
    progress: Progress = lambda stage, rows: None,
    read: Read | None = None,
) -> Outcome:
    """Read both sources, match, and balance the books. Raises AggregatorError.

    Where rows have security, they are those of ``user``, without a name those of the login.
    ``read`` stands in for the extraction, never of clear data.

    A read that a fault cut short is discarded whole and begun anew, as `lib.retries` allows.
    """
    room.check(room.TO_BEGIN)
    clock = _Stopwatch()
    window = replace(window_of(asked), user=user)

    def extract() -> tuple[datetime, extraction.Extracted]:
        if read is not None and not clear:
            return read(settings, window, progress)
        moment = datetime.now(settings.zone)
        return moment, extraction.extract(settings, window, clear=clear, progress=progress)

    extracted_at, found = retries.persist(extract)
    if asked.rule.name == CARD:  # the other rule drops what it did not ask for
        for side in sources.SIDES:
            days = keys.column(getattr(found, side), boundaries.DATES[side])
            boundaries.require_dates(side, days, window)
    clock.lap("extract")

    progress("matching", len(found.transactions) + len(found.auth_logs))
    result = matching.reconcile(found.transactions, found.auth_logs, asked.period, asked.rule)
    books = summary.books(result)
    by_day = summary.balance_by_day(result)
    clock.lap("match")
    return Outcome(
        request=asked,
        merchant_name=settings.merchants[asked.merchant],
        clear=clear,
        extracted_at=extracted_at.replace(microsecond=0),
        reconciliation=result,
        books=books,
        by_day=by_day,
        seconds=clock.laps,
    )


@room.lacking(lambda: ExtractionError(_NO_MEMORY))
def publish(
    outcome: Outcome,
    target: Path,
    *,
    progress: Progress = lambda stage, rows: None,
    marks: Mapping[str, str] | None = None,
    approve: Callable[[report.Written], object] = lambda written: None,
) -> report.Written:
    """Write the outcome's workbook at the target, all or nothing. Raises ReportError.

    ``marks`` go into its properties; ``approve`` sees the finished file before it is in place.
    """
    room.check(room.TO_GO_ON)
    progress("writing", outcome.books.consolidated + outcome.books.divergences)
    cover = report.Cover(
        merchant=outcome.request.merchant,
        merchant_name=outcome.merchant_name,
        clear=outcome.clear,
        extracted_at=outcome.extracted_at,
        version=__version__,
        marks=marks or {},
    )
    return report.write(outcome.reconciliation, cover, target, approve=approve)


class _Stopwatch:
    """Seconds between one lap and the next."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
