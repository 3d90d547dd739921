"""Requests: a merchant's records of a period, by a rule, and the window they are read from.

Knows no configuration; `lib.config.defaults` completes a request from one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from lib.domain import column_arrays
from lib.domain.reconciliation import CARD_TIME, Period, Rule

Side = Literal["transactions", "auth_logs"]
SIDES: Final[tuple[Side, Side]] = ("transactions", "auth_logs")

Progress = Callable[[str, int], None]
"""Called with a stage (transactions, auth_logs, matching, writing) and its rows so far."""


@dataclass(frozen=True)
class Request:
    """What is asked: one configured merchant's records of a period, by a rule."""

    merchant: str
    period: Period
    rule: Rule


@dataclass(frozen=True)
class Window:
    """What to read: one merchant's records of these local dates, as this user's rows."""

    merchant: str
    start: date
    end: date
    user: str | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """The bound parameters that every source query gets."""
        return {
            "start": self.start,
            "end": self.end,
            "merchant": self.merchant,
            "merchant_field": self.merchant.rjust(15, "0"),
        }


def window_of(asked: Request) -> Window:
    """What to read: rule `card_time` needs every date that its tolerance touches as well."""
    start, end = asked.period.start, asked.period.end
    if asked.rule.name == CARD_TIME and asked.rule.tolerance_seconds:
        days = timedelta(days=-(-asked.rule.tolerance_seconds // column_arrays.DAY_SECONDS))
        start = max(start, date.min + days) - days
        end = min(end, date.max - days) + days
    return Window(asked.merchant, start, end)
