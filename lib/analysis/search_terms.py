"""Amounts, dates and times in a search text, as people write them in Portuguese and English.

Says which values a text stands for; knows no table. A text may be several things at once, and a
searched text is looked for as text all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

_AMOUNT: Final = re.compile(
    r"(?P<minus>-?) ?(?P<currency>r\$)? ?(?P<sign>-?)(?P<whole>\d+|\d{1,3}(?:(?P<group>[.,])\d{3})"
    r"(?:(?P=group)\d{3})*)(?:(?P<mark>[.,])(?P<decimals>\d{1,2}))?"
)
_DATES: Final = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?",
    r"(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})(?:[/.-](?P<year>\d{4}|\d\d))?",
    r"(?P<month>\d{1,2})/(?P<year>\d{4})",
    r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) (?P<day>\d{1,2})"
    r"(?:,? (?P<year>\d{4}))?",
)
_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME: Final = r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
_CLOCKS: Final = (
    *(re.compile(rf"{day}(?:,? {_TIME})?") for day in _DATES),
    re.compile(_TIME),
)
_CENTURY: Final = 2000


@dataclass(frozen=True)
class Clock:
    """Dates with this year, month and day, and times of day in ``seconds``; None for any."""

    year: int | None
    month: int | None
    day: int | None
    seconds: range | None

    def has_day(self, day: date) -> bool:
        """True for a date that the text stands for."""
        asked = ((self.year, day.year), (self.month, day.month), (self.day, day.day))
        return all(want is None or want == value for want, value in asked)

    @property
    def names_a_day(self) -> bool:
        """True if the text says anything of a date."""
        return self.month is not None


def cents(text: str) -> range | None:
    """Return the amounts in hundredths that the text stands for: 140,71, R$ 1.234,5 or R$ 140."""
    match = _AMOUNT.fullmatch(text)
    if match is None or not (match["currency"] or match["decimals"]):
        return None
    if match["mark"] is not None and match["mark"] == match["group"]:
        return None
    decimals = match["decimals"] or ""
    width = 10 ** (2 - len(decimals))
    size = int(re.sub("[.,]", "", match["whole"]) + decimals) * width
    if match["minus"] or match["sign"]:
        return range(-size - width + 1, -size + 1)
    return range(size, size + width)


def clock(text: str) -> Clock | None:
    """Return the dates and times that the text stands for: 18/11, 2026-11-18, 18/11/2026 06:31."""
    for pattern in _CLOCKS:
        match = pattern.fullmatch(text)
        if match is not None:
            found = match.groupdict()
            year, month, day = (_number(found.get(name)) for name in ("year", "month", "day"))
            if found.get("name"):
                month = _NAMES.index(found["name"]) + 1
            if year is not None and len(found["year"]) == 2:
                year += _CENTURY
            return Clock(year, month, day, _seconds(found))
    return None


def _seconds(found: dict[str, str | None]) -> range | None:
    hour, minute, second = (_number(found.get(name)) for name in ("hour", "minute", "second"))
    if hour is None or minute is None:
        return None
    start = hour * 3600 + minute * 60 + (second or 0)
    return range(start, start + (60 if second is None else 1))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
