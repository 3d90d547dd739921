"""Complete a request from the configuration: default merchant, window, rule and local date."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lib.config import loader
from lib.domain.errors import ConfigError
from lib.domain.messages import thousands
from lib.domain.requests import Period, Request, Rule, Window, window_of

if TYPE_CHECKING:
    from lib.config.settings import Settings


DAYS_AND_DATES: Final = "Use --days, ou --start com --end, mas não os dois."
TOO_LONG: Final = "O período tem {days} dias; o máximo é {most}: divida-o em partes."
MOST_DAYS: Final = 36_500
"""The days from the first to the last of a period, at most: a hundred years."""
ONE_DATE: Final = "Um período precisa das duas datas: --start e --end."
REVERSED_DATES: Final = (
    "O período começa em {start:%d/%m/%Y}, depois do fim em {end:%d/%m/%Y}; inverta as datas."
)


def local_today(settings: Settings) -> date:
    """Today's date in the configured time zone."""
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
    """Build a valid request; missing arguments come from the configuration. Raises ConfigError."""
    if days is not None and (start or end):
        raise ConfigError(DAYS_AND_DATES)
    if (start is None) != (end is None):
        raise ConfigError(ONE_DATE)
    if start is None or end is None:
        start = today - timedelta(days=settings.window_days if days is None else days)
        end = today
    if start > end:
        raise ConfigError(REVERSED_DATES, start=start, end=end)
    if (end - start).days > MOST_DAYS:
        length = thousands((end - start).days + 1)
        raise ConfigError(TOO_LONG, days=length, most=thousands(MOST_DAYS + 1))
    merchant = settings.default_merchant if merchant is None else merchant
    minutes = settings.tolerance_minutes if tolerance_minutes is None else tolerance_minutes
    return Request(
        loader.checked_merchant(settings, merchant),
        Period(start, end, today),
        Rule(rule or settings.match_rule, minutes * 60, settings.approved_codes),
    )


def window(settings: Settings) -> Window:
    """The window of the default request."""
    return window_of(request(settings, local_today(settings)))
