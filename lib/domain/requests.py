"""Requests: merchant, period and rule; and the window of dates that a request reads.

Knows no configuration; `lib.config.defaults` builds a request from the configured defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

Side = Literal["transactions", "auth_logs"]
SIDES: Final[tuple[Side, Side]] = ("transactions", "auth_logs")

Progress = Callable[[str, int], None]
"""Receives a stage (transactions, auth_logs, matching, writing) and its number of rows so far."""


CARD: Final = "card"
CARD_TIME: Final = "card_time"


@dataclass(frozen=True)
class Rule:
    """A matching rule: `CARD`, or `CARD_TIME` within the tolerance."""

    name: str = CARD
    tolerance_seconds: int = 300
    approved_codes: tuple[str, ...] = ("00",)


@dataclass(frozen=True)
class Period:
    """Local dates, inclusive on both ends; ``today`` is the local date of the request."""

    start: date
    end: date
    today: date


def days_of(first: date, last: date) -> list[date]:
    """The days from the first to the last, which are both among them."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@dataclass(frozen=True)
class Request:
    """The parameters of a run: one configured merchant, a period and a matching rule."""

    merchant: str
    period: Period
    rule: Rule


def encode(request: Request) -> dict[str, Any]:
    """Encode the request as JSON values; `decode` reverses it."""
    return {
        "merchant": request.merchant,
        "period": {name: day.isoformat() for name, day in vars(request.period).items()},
        "rule": asdict(request.rule),
    }


def decode(values: Mapping[str, Any]) -> Request:
    """Decode the values of `encode`; other keys are ignored.

    Raises KeyError, TypeError or ValueError where the values encode no request.
    """
    period = {name: date.fromisoformat(day) for name, day in values["period"].items()}
    rule = values["rule"] | {"approved_codes": tuple(values["rule"]["approved_codes"])}
    return Request(values["merchant"], Period(**period), Rule(**rule))


@dataclass(frozen=True)
class Window:
    """The records to read: one merchant's, of these local dates, visible to this user."""

    merchant: str
    start: date
    end: date
    user: str | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """The bound parameters of every source query."""
        return {
            "start": self.start,
            "end": self.end,
            "merchant": self.merchant,
            "merchant_field": self.merchant.rjust(15, "0"),
        }


def window_of(request: Request) -> Window:
    """Return the window to read; rule `card_time` adds every date within its tolerance."""
    period, rule = request.period, request.rule
    start, end = period.start, period.end
    if rule.name == CARD_TIME and rule.tolerance_seconds:
        whole_days = -(timedelta(seconds=-rule.tolerance_seconds) // timedelta(days=1))
        days = timedelta(days=whole_days)
        start = max(start, date.min + days) - days
        end = min(end, date.max - days) + days
    return Window(request.merchant, start, end)
