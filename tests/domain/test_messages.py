"""One thing is told in the singular, on the command line and on the screens."""

from __future__ import annotations

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

ONE = Books(*[1] * 7, *[Decimal(1)] * 4)
MANY = Books(*[2000] * 7, *[Decimal(1)] * 4)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 linhas"), (1, "1 linha"), (2, "2 linhas"), (12_345, "12.345 linhas")],
)
def test_a_count_on_the_command_line_has_its_noun(number: int, text: str) -> None:
    assert counted(number, "linha", "linhas") == text


@pytest.mark.parametrize(
    ("language", "books", "text"),
    [
        (
            i18n.PORTUGUESE,
            ONE,
            "✓ 1 transação = 1 consolidada + 1 sem log + 1 duplicata removida · "
            "1 log = 1 conciliado + 1 divergente",
        ),
        (
            i18n.PORTUGUESE,
            MANY,
            "✓ 2.000 transações = 2.000 consolidadas + 2.000 sem log + 2.000 duplicatas removidas"
            " · 2.000 logs = 2.000 conciliados + 2.000 divergentes",
        ),
        (
            i18n.ENGLISH,
            ONE,
            "✓ 1 transaction = 1 consolidated + 1 without log + 1 duplicate removed · "
            "1 log = 1 matched + 1 divergent",
        ),
    ],
)
def test_the_balance_on_the_page_counts_one_thing_as_one(
    monkeypatch: pytest.MonkeyPatch, language: str, books: Books, text: str
) -> None:
    said: list[str] = []
    for module in (i18n, formatting):
        monkeypatch.setattr(module, "language", lambda: language)
    monkeypatch.setattr(overview.st, "success", said.append)
    overview.balance(books)
    assert [line.replace("\\", "") for line in said] == [text]


def test_one_record_read_is_one() -> None:
    assert extraction_status._read("Banco A", 1) == "Banco A: 1 lido"
    assert extraction_status._read("Banco A", 1000) == "Banco A: 1.000 lidos"


def test_a_recorded_run_of_one_record_is_told_in_the_singular() -> None:
    known: dict[str, Any] = dict.fromkeys(Run.__dataclass_fields__)
    known |= {
        "origin": history.SCHEDULED,
        "period": (date(2026, 3, 2), date(2026, 3, 2)),
        "rule": "card",
        "outcome": history.DONE,
        "began_at": datetime(2026, 3, 2, tzinfo=UTC),
        "books": vars(ONE),
    }
    [line] = history_format.lines(Run(**known), UTC)
    assert "1 transação, 1 log · 1 consolidada, 1 divergente" in line
