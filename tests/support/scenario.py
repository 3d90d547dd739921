"""Databases with one record of every kind, and enough plain purchases for three pages.

Yesterday at 10:00 a purchase with the physical card and its log 5 s later; at 11:00 one with the
virtual card and its log 3 s earlier; a declined log of a card without transaction and one of the
physical card, an approved log of an unknown card, a transaction without log, and a purchase
recorded twice. The plain purchases are of the day before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.support.command import configured
from tests.support.servers import Databases

MERCHANT: Final = "12345678000190"
FIELD: Final = "0" + MERCHANT
BULK: Final = 120

# Cards of the special records; the masks show the first six digits and the last four.
PHYSICAL: Final = "4000001111110001"
VIRTUAL: Final = "4099992222220002"
DECLINED: Final = "5105103333330003"
UNKNOWN: Final = "4111114444440004"
LONELY: Final = "6504875555550005"
TWICE: Final = "4222226666660006"
CPF: Final = "11122233396"


def today() -> date:
    """Today's date in the merchant's time zone."""
    return datetime.now(ZoneInfo("America/Sao_Paulo")).date()


def masked(card: str) -> str:
    """A card number as it is shown."""
    return f"{card[:6]}******{card[-4:]}"


def site(folder: Path, values: Mapping[str, Any], **keys: Any) -> Path:
    """A configuration file for a dashboard without sign-in."""
    return configured(folder, values, **{"access": {"without_sign_in": True}, **keys})


def fill(databases: Databases) -> None:
    """Put the records into both databases."""
    day, before = today() - timedelta(days=1), today() - timedelta(days=2)

    def bought(card: str, at: time, amount: str, virtual: str | None = None) -> tuple[Any, ...]:
        return (card, day, at, MERCHANT, virtual, Decimal(amount))

    def log(card: str, at: time, code: str, text: str) -> tuple[Any, ...]:
        return (card, day, at, code, text, f"0100{FIELD}")

    plain = [
        (f"400000{number:010}", time(8 + number % 12, number % 60, 30)) for number in range(BULK)
    ]
    databases.fill(
        transactions=[
            bought(PHYSICAL, time(10), "1234.56"),
            bought(PHYSICAL, time(11), "10.00", f"VC0001{VIRTUAL}"),
            bought(LONELY, time(12), "20.00"),
            bought(TWICE, time(13), "30.00"),
            bought(TWICE, time(13), "30.00", f"VC0001{VIRTUAL[:-1]}9"),
            *(
                (card, before, at, MERCHANT, None, Decimal(number) + Decimal("0.50"))
                for number, (card, at) in enumerate(plain)
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
            *((card, before, at, "00", "Compra simples", f"0100{FIELD}") for card, at in plain),
        ],
    )
