"""A count of one is in the singular, on the command line and on the screens."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from lib.cli import history_format
from lib.delivery import history
from lib.delivery.history import Run
from lib.domain.messages import counted
from lib.domain.outcomes import Books
from lib.ui import extraction_status, formatting, i18n, overview


def books(count: int) -> Books:
    return Books(*[count] * 7, *[Decimal(1)] * 4)


def plural_words(many: str, one: str) -> int:
    """Count the words in which two texts differ, numbers left out."""
    words = (re.findall(r"[^\W\d_]+", text) for text in (many, one))
    return sum(a != b for a, b in zip(*words, strict=True))


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 linhas"), (1, "1 linha"), (2, "2 linhas"), (12_345, "12.345 linhas")],
)
def test_a_count_on_the_command_line_has_its_noun(number: int, text: str) -> None:
    assert counted(number, "linha", "linhas") == text


@pytest.mark.parametrize(
    ("language", "plurals", "thousands"),
    [(i18n.PORTUGUESE, 7, "2.000"), (i18n.ENGLISH, 3, "2,000")],
)
def test_the_balance_on_the_page_has_a_singular(
    monkeypatch: pytest.MonkeyPatch, language: str, plurals: int, thousands: str
) -> None:
    lines: list[str] = []
    for module in (i18n, formatting):
        monkeypatch.setattr(module, "language", lambda: language)
    monkeypatch.setattr(overview.st, "success", lines.append)
    for count in (1, 2000):
        overview.balance(books(count))
    one, many = lines
    assert plural_words(many, one) == plurals
    assert many.replace("\\", "").count(thousands) == 7


def read(count: int) -> str:
    return extraction_status._read("Banco A", count)


def recorded(count: int) -> str:
    known: dict[str, Any] = dict.fromkeys(Run.__dataclass_fields__)
    known |= {
        "origin": history.SCHEDULED,
        "period": (date(2026, 3, 2), date(2026, 3, 2)),
        "rule": "card",
        "outcome": history.DONE,
        "began_at": datetime(2026, 3, 2, tzinfo=UTC),
        "books": vars(books(count)),
        "dispatches": (),
    }
    [line] = history_format.lines(Run(**known), UTC)
    return line


@pytest.mark.parametrize(("write", "plurals"), [(read, 1), (recorded, 4)])
def test_a_number_of_records_has_a_singular(write: Callable[[int], str], plurals: int) -> None:
    assert plural_words(write(2000), write(1)) == plurals
    assert "2.000" in write(2000)
