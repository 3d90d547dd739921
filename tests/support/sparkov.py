"""The public Sparkov transactions moved to the present, and records derived from them.

Holders, virtual cards, copies and authentication logs depend on the card and transaction numbers
only, so that they are reproducible.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.servers import MERCHANTS
from tests.support.tables import Log, Transaction

DATA = Path(__file__).with_name("data") / "sparkov_transactions.csv"
DAY = timedelta(days=1)
MERCHANT, OTHER = MERCHANTS


@dataclass(frozen=True)
class Rows:
    """The source tables, and the requested merchant's records by the contract, up to today."""

    today: date
    tables: dict[str, list[tuple[Any, ...]]]
    transactions: list[Transaction]
    logs: list[Log]


def derived(card: str, digits: int, salt: str) -> str:
    """Return this many digits, always the same for a card."""
    number = int.from_bytes(hashlib.sha256((salt + card).encode()).digest()[:9], "big")
    return f"{number:0{digits}}"[-digits:]


def source_rows(today: date) -> Rows:
    """Return the file's transactions of this day and the day before, with all derived records."""
    with DATA.open(newline="") as file:
        records = list(csv.DictReader(file))
    shift = today - date(2020, 6, 22)
    cards = sorted({record["cc_num"] for record in records})
    holders = {card: [derived(card, 11, "cpf")] for card in cards}
    for card in cards[::40]:
        holders[card] = []
    for card in cards[7::60]:
        holders[card].append(derived(card, 11, "second holder"))

    bought: list[tuple[Any, ...]] = []
    logged: list[tuple[Any, ...]] = []
    for record in records:
        n, card = int(record["trans_num"][:8], 16), record["cc_num"]
        at = datetime.fromisoformat(record["trans_date_trans_time"]) + shift
        merchant = OTHER if n % 11 == 0 else MERCHANT
        number = virtual_number(card, cards)
        stored = None if number is None else (f"VC0001{number}" if n % 3 else number)
        if number is None and n % 5 == 0:
            stored = ""
        row = (card, at.date(), at.time(), merchant, stored, Decimal(record["amt"]))
        bought.append(row)
        bought += copies(row, n)
        logged += logs_of(n, card, number or card, at, merchant)
    logged += strangers(cards, today)
    tables = {
        "transactions": bought,
        "customer_cards": [(cpf, card) for card in cards for cpf in holders[card]],
        "auth_logs": logged,
    }
    return Rows(today, tables, extracted(bought, holders), logs_read(logged))


def virtual_number(card: str, cards: list[str]) -> str | None:
    """Return the virtual number that a third of the cards have; some are another card's number."""
    n = int(derived(card, 4, "virtual"))
    if n % 3:
        return None
    return cards[n % len(cards)] if n % 8 == 0 else "4099" + derived(card, 12, "number")


def copies(row: tuple[Any, ...], n: int) -> list[tuple[Any, ...]]:
    """Return the copies of some purchases, identical or with another virtual number."""
    if n % 37 == 0:
        return [row]
    if n % 41 == 0:
        return [(*row[:4], "VC0001409900" + derived(str(n), 10, "copy"), row[5]), row]
    return []


def logs_of(n: int, card: str, number: str, at: datetime, merchant: str) -> list[tuple[Any, ...]]:
    """Return the logs of a purchase; its number decides their kind."""
    kind, delay = n % 24, timedelta(seconds=n % 601 - 300)

    def log(presented: str, moment: datetime, code: str | None = "00", text: str = "ok") -> Any:
        raw = f"0100{presented:<19}{'0' + merchant}{code or '  '}"
        return (presented, moment.date(), moment.time(), code, text, raw)

    if kind < 2:
        return []
    if kind < 8:
        return [log(number, at + delay)]
    if kind == 8:
        return [log(card, at + delay, "51", f"recusada, cartão {card}")]
    if kind == 9:
        return [log(card, at - timedelta(seconds=20), "05"), log(card, at + delay)]
    if kind == 10:
        return [log(card, at + timedelta(hours=2))]
    if kind == 11:
        return [log(card, at + delay)] * 2
    if kind == 12:
        return [log(card, at + delay), log(number, at - delay, "00", "=segunda")]
    if kind == 13:
        return [log(card, at + delay, None, "")]
    if kind == 14:
        return [(card, at.date(), None, "00", "sem hora", f"x0{merchant}x")]
    if kind == 15:
        return [log(card, at + timedelta(seconds=300 * (-1) ** n))]
    return [log(card, at + delay)]


def strangers(cards: list[str], today: date) -> list[tuple[Any, ...]]:
    """Return logs of cards without purchases, at all hours, some after every purchase."""
    raw = "0" + MERCHANT
    logs: list[tuple[Any, ...]] = [(None, today, time(1), "00", "sem cartão", raw)]
    for n, card in enumerate(cards[:300]):
        number = "5299" + derived(card, 12, "stranger")
        moment = datetime.combine(today - DAY, time(12)) + timedelta(minutes=7 * n)
        code = ("00", "00", "51", None)[n % 4]
        logs.append((number, moment.date(), moment.time(), code, f"{number} {n}", raw))
    return logs


def extracted(bought: list[tuple[Any, ...]], holders: dict[str, list[str]]) -> list[Transaction]:
    return [
        Transaction(
            cpf, card, stored[6:] if stored and len(stored) > 19 else stored, day, at, amount
        )
        for card, day, at, merchant, stored, amount in bought
        if merchant == MERCHANT
        for cpf in holders[card] or [None]
    ]


def logs_read(logged: list[tuple[Any, ...]]) -> list[Log]:
    return [Log(*row[:5]) for row in logged if "0" + MERCHANT in row[5]]
