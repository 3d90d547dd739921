"""Amounts, dates and times in a search text."""

from __future__ import annotations

from datetime import date

import pytest

from lib.analysis import search_terms


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("140,71", 14071, 14071),
        ("140.71", 14071, 14071),
        ("r$ 140,71", 14071, 14071),
        ("r$140,71", 14071, 14071),
        ("140,7", 14070, 14079),
        ("r$ 140", 14000, 14099),
        ("1.234,56", 123456, 123456),
        ("r$ 1.234.567,89", 123456789, 123456789),
        ("r$1,234.56", 123456, 123456),
        ("r$ 1.234", 123400, 123499),
        ("-3,50", -350, -350),
        ("-r$ 3,50", -350, -350),
        ("r$ -3,5", -359, -350),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, first: int, last: int) -> None:
    amounts = search_terms.cents(text)
    assert amounts is not None
    assert (min(amounts), max(amounts)) == (first, last)


@pytest.mark.parametrize(
    "text", ["140", "00", "1.234", "140,711", "1.23.456,7", "r$", ",5", "1,2,3"]
)
def test_what_is_no_amount_stands_for_none(text: str) -> None:
    assert search_terms.cents(text) is None


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("18/11/2026", date(2026, 11, 18), date(2025, 11, 18)),
        ("2026-11-18", date(2026, 11, 18), date(2026, 11, 17)),
        ("18/11", date(1999, 11, 18), date(2026, 11, 17)),
        ("8/1", date(2026, 1, 8), date(2026, 8, 1)),
        ("18/11/26", date(2026, 11, 18), date(1926, 11, 18)),
        ("18.11.2026", date(2026, 11, 18), date(2026, 11, 19)),
        ("18-11-2026", date(2026, 11, 18), date(2026, 11, 19)),
        ("11/2026", date(2026, 11, 1), date(2026, 12, 1)),
        ("2026-11", date(2026, 11, 30), date(2026, 10, 30)),
        ("nov 18, 2026", date(2026, 11, 18), date(2026, 11, 8)),
        ("18/11/2026 06:31", date(2026, 11, 18), date(2026, 11, 17)),
    ],
)
def test_a_date_is_read_as_people_write_it(text: str, yes: date, no: date) -> None:
    clock = search_terms.clock(text)
    assert clock is not None
    assert clock.names_a_day
    assert clock.has_day(yes)
    assert not clock.has_day(no)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("06:31", range(6 * 3600 + 31 * 60, 6 * 3600 + 32 * 60)),
        ("6:31", range(6 * 3600 + 31 * 60, 6 * 3600 + 32 * 60)),
        ("06:31:05", range(6 * 3600 + 31 * 60 + 5, 6 * 3600 + 31 * 60 + 6)),
        ("18/11 23:59:59", range(86399, 86400)),
        ("00:00", range(60)),
    ],
)
def test_a_time_is_the_whole_minute_or_the_second(text: str, seconds: range) -> None:
    clock = search_terms.clock(text)
    assert clock is not None
    assert clock.seconds == seconds


@pytest.mark.parametrize(
    "text", ["24:00", "1811", "18/11/2026 agora", "aprovada", "0001", "12:3", ""]
)
def test_what_is_no_moment_stands_for_none(text: str) -> None:
    assert search_terms.clock(text) is None
