"""A dashboard over real databases, empty or with one record of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib import config
from lib.ui import site
from tests.command import configured
from tests.pages.dashboard import (
    BULK,
    CPF,
    DECLINED,
    FIELD,
    LONELY,
    MERCHANT,
    PHYSICAL,
    TWICE,
    UNKNOWN,
    VIRTUAL,
    Dashboard,
    today,
)
from tests.servers import Databases


@pytest.fixture
def dashboard(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dashboard]:
    """A dashboard over empty databases."""
    monkeypatch.setenv(config.FILE_VARIABLE, str(configured(tmp_path, databases.values)))
    site.forget()
    yield Dashboard(databases)
    site.forget()


@pytest.fixture
def morning(dashboard: Dashboard) -> Dashboard:
    """One record of every kind, yesterday, and enough plain purchases for three pages.

    Yesterday at 10:00 a purchase with the physical card and its log 5 s later; at 11:00 one with
    the virtual card and its log 3 s earlier; a declined log, an approved log of a card without
    transaction, a transaction without log, and a purchase recorded twice. The plain purchases are
    of two days before.
    """
    day, before = today() - timedelta(days=1), today() - timedelta(days=2)

    def bought(card: str, at: time, amount: str, virtual: str | None = None) -> tuple[Any, ...]:
        return (card, day, at, MERCHANT, virtual, Decimal(amount))

    def log(card: str, at: time, code: str, text: str) -> tuple[Any, ...]:
        return (card, day, at, code, text, f"0100{FIELD}")

    bulk = [f"400000{number:010}" for number in range(BULK)]
    moments = [time(8 + number % 12, number % 60, 30) for number in range(BULK)]
    dashboard.databases.fill(
        transactions=[
            bought(PHYSICAL, time(10), "1234.56"),
            bought(PHYSICAL, time(11), "10.00", f"VC0001{VIRTUAL}"),
            bought(LONELY, time(12), "20.00"),
            bought(TWICE, time(13), "30.00"),
            bought(TWICE, time(13), "30.00", f"VC0001{VIRTUAL[:-1]}9"),
            *(
                (card, before, at, MERCHANT, None, Decimal(number) + Decimal("0.50"))
                for number, (card, at) in enumerate(zip(bulk, moments, strict=True))
            ),
        ],
        customer_cards=[(CPF, PHYSICAL), (CPF, TWICE)],
        auth_logs=[
            log(PHYSICAL, time(10, 0, 5), "00", "Compra aprovada"),
            log(VIRTUAL, time(10, 59, 57), "00", "Compra aprovada com cartão virtual"),
            log(DECLINED, time(9), "51", "Saldo insuficiente"),
            log(PHYSICAL, time(9, 30), "05", "Não autorizada"),
            log(UNKNOWN, time(9, 15), "00", "Compra aprovada sem registro"),
            log(TWICE, time(13, 0, 1), "00", "Compra aprovada"),
            *(
                (card, before, at, "00", "Compra simples", f"0100{FIELD}")
                for card, at in zip(bulk, moments, strict=True)
            ),
        ],
    )
    return dashboard
