"""Requests completed from the configuration: default merchant, window, rule and today's date."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from lib.config import loader
from lib.domain.errors import ConfigError
from lib.domain.reconciliation import Period, Rule
from lib.domain.requests import Request, Window, window_of

if TYPE_CHECKING:
    from lib.config.settings import Settings


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
        loader.checked_merchant(
            settings, settings.default_merchant if merchant is None else merchant
        ),
        Period(start, end, today),
        Rule(rule or settings.match_rule, minutes * 60, settings.approved_codes),
    )


def window(settings: Settings) -> Window:
    """The window of a request for which nothing is given."""
    return window_of(request(settings, local_today(settings)))
