"""Five thousand transactions nobody here wrote, through two servers and the command line.

The data are simulated card transactions (see ``data/README.md``). Holders, virtual cards and
authentication logs are derived from them below; every cell of both sheets is then held against
the naive matcher, which is asked about one group of connected cards at a time.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib import report
from tests import naive
from tests.command import Sheets, configured, finish, sheets, start
from tests.frames import Log, Transaction, instant
from tests.servers import MERCHANTS, Databases, Servers

DATA = Path(__file__).with_name("data") / "sparkov_transactions.csv"
TODAY = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
YESTERDAY = TODAY - timedelta(days=1)
MERCHANT, OTHER = MERCHANTS
TOLERANCE = 300


@dataclass(frozen=True)
class Rows:
    """The source tables, and the contract's records of the merchant that is asked for."""

    tables: dict[str, list[tuple[Any, ...]]]
    transactions: list[Transaction]
    logs: list[Log]


class Shown(str):
    """A value that compares and hashes as stored, and that a reader sees masked."""

    shown: str

    def __new__(cls, stored: str, shown: str) -> Shown:
        value = super().__new__(cls, stored)
        value.shown = shown
        return value

    def __str__(self) -> str:
        return self.shown


def derived(card: str, digits: int, salt: str) -> str:
    """As many digits as asked for, always the same for a card."""
    number = int.from_bytes(hashlib.sha256((salt + card).encode()).digest()[:9], "big")
    return f"{number:0{digits}}"[-digits:]


def made() -> Rows:
    """The file's transactions moved to yesterday and today, and what is derived from them."""
    with DATA.open(newline="") as file:
        records = list(csv.DictReader(file))
    shift = TODAY - date(2020, 6, 22)
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
    logged += strangers(cards)
    tables = {
        "transactions": bought,
        "customer_cards": [(cpf, card) for card in cards for cpf in holders[card]],
        "auth_logs": logged,
    }
    return Rows(tables, extracted(bought, holders), logs_read(logged))


def virtual_number(card: str, cards: list[str]) -> str | None:
    """A third of the cards have one of their own, some the number of another customer's card."""
    n = int(derived(card, 4, "virtual"))
    if n % 3:
        return None
    return cards[n % len(cards)] if n % 8 == 0 else "4099" + derived(card, 12, "number")


def copies(row: tuple[Any, ...], n: int) -> list[tuple[Any, ...]]:
    """Purchases that were stored again, as they were or with another virtual number."""
    if n % 37 == 0:
        return [row]
    if n % 41 == 0:
        return [(*row[:4], "VC0001409900" + derived(str(n), 10, "copy"), row[5]), row]
    return []


def logs_of(n: int, card: str, number: str, at: datetime, merchant: str) -> list[tuple[Any, ...]]:
    """How a purchase was authenticated, which the last digits of its number decide."""
    way, delay = n % 24, timedelta(seconds=n % 601 - 300)

    def log(presented: str, moment: datetime, code: str | None = "00", text: str = "ok") -> Any:
        raw = f"0100{presented:<19}{'0' + merchant}{code or '  '}"
        return (presented, moment.date(), moment.time(), code, text, raw)

    if way < 2:
        return []
    if way < 8:
        return [log(number, at + delay)]
    if way == 8:
        return [log(card, at + delay, "51", f"recusada, cartão {card}")]
    if way == 9:
        return [log(card, at - timedelta(seconds=20), "05"), log(card, at + delay)]
    if way == 10:
        return [log(card, at + timedelta(hours=2))]
    if way == 11:
        return [log(card, at + delay)] * 2
    if way == 12:
        return [log(card, at + delay), log(number, at - delay, "00", "=segunda")]
    if way == 13:
        return [log(card, at + delay, None, "")]
    if way == 14:
        return [(card, at.date(), None, "00", "sem hora", f"x0{merchant}x")]
    if way == 15:
        return [log(card, at + timedelta(seconds=300 * (-1) ** n))]
    return [log(card, at + delay)]


def strangers(cards: list[str]) -> list[tuple[Any, ...]]:
    """Logs of cards that bought nothing, at all hours, some of them after every purchase."""
    raw = "0" + MERCHANT
    found: list[tuple[Any, ...]] = [(None, TODAY, time(1), "00", "sem cartão", raw)]
    for n, card in enumerate(cards[:300]):
        number = "5299" + derived(card, 12, "stranger")
        moment = datetime.combine(YESTERDAY, time(12)) + timedelta(minutes=7 * n)
        code = ("00", "00", "51", None)[n % 4]
        found.append((number, moment.date(), moment.time(), code, f"{number} {n}", raw))
    return found


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


@dataclass(frozen=True)
class Loaded:
    databases: Databases
    rows: Rows


@pytest.fixture(scope="module")
def loaded(servers: Servers) -> Iterator[Loaded]:
    pair, rows = servers.fresh(), made()
    pair.fill(**rows.tables)
    yield Loaded(pair, rows)
    servers.drop(pair)


def groups(transactions: list[Transaction], logs: list[Log]) -> list[tuple[Any, Any]]:
    """The records in groups that share no card; those without one are in the group of None."""
    leader: dict[str | None, str | None] = {}

    def find(card: str | None) -> str | None:
        while leader.setdefault(card, card) != card:
            card = leader[card]
        return card

    for t in transactions:
        if t.virtual:
            leader[find(t.virtual)] = find(t.card)
    members: dict[str | None, tuple[list[Transaction], list[Log]]] = defaultdict(lambda: ([], []))
    for t in transactions:
        members[find(t.card)][0].append(t)
    for log in logs:
        members[find(log.card)][1].append(log)
    return list(members.values())


def expected(rule: str, rows: Rows, first: date) -> tuple[list[Any], list[Any]]:
    """(divergences, consolidated) in sheet order, by the naive matcher over each group.

    The newest transaction of all goes along with each group, under no card, so that a log is
    recent in its group where it is in the whole.
    """
    low = datetime.combine(first, time.min) - timedelta(seconds=TOLERANCE)
    transactions, logs = rows.transactions, rows.logs
    if rule == "card":
        transactions = [t for t in transactions if t.day >= first]
        logs = [log for log in logs if log.day >= first]
    read = [t for t in transactions if instant(t.day, t.time) >= low]
    newest = max(read, key=lambda t: (t.day, t.time))
    anchor = Transaction(None, None, None, newest.day, newest.time, None)
    divergences: list[Any] = []
    consolidated: list[Any] = []
    for some, of_them in groups(transactions, logs):
        if rule == "card":
            found = naive.reconcile([*some, anchor], of_them, end=TODAY, today=TODAY)
        else:
            found = naive.reconcile_in_time(
                [*some, anchor], of_them, start=first, end=TODAY, today=TODAY, tolerance=TOLERANCE
            )
        divergences += found.divergences
        consolidated += found.consolidated
    return sorted(divergences, key=naive._log_key), sorted(consolidated, key=naive._sheet_key)


def masked(record: Transaction | Log) -> Transaction | Log:
    """The record as a masked report shows it, comparing as it is stored."""
    values = dict(vars(record))
    for name in ("card", "virtual"):
        if values.get(name):
            number = values[name]
            first = number[:6] if len(number) >= 13 else ""
            values[name] = Shown(number, f"{first}******{number[-4:]}")
    if values.get("cpf"):
        cpf = values["cpf"]
        values["cpf"] = Shown(cpf, f"***.{cpf[3:6]}.{cpf[6:9]}-**")
    if values.get("text"):
        values["text"] = Shown(values["text"], re.sub(r"\d{11,}", "******", values["text"]))
    return type(record)(**values)


def cell(value: Any) -> Any:
    """What a reader of the workbook finds where this value was written."""
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, Decimal):
        return float(value)
    return datetime.combine(value, time.min) if isinstance(value, date) else value


def reported(loaded: Loaded, folder: Path, *words: str, **keys: Any) -> Sheets:
    target = folder / "a.xlsx"
    file = configured(folder, loaded.databases.values, **keys)
    said = finish(start("--config", str(file), "--output", str(target), *words))
    assert said.code == 0, said.err
    assert report.verify(target).problems == ()
    return sheets(target)


BOTH_DAYS = ((), YESTERDAY)
ONE_DAY = (("--start", f"{TODAY}", "--end", f"{TODAY}"), TODAY)
RUNS = [
    ("card", "masked", BOTH_DAYS),
    ("card", "clear", ONE_DAY),
    ("card_time", "masked", ONE_DAY),
    ("card_time", "clear", BOTH_DAYS),
]


@pytest.mark.parametrize(("rule", "privacy", "period"), RUNS)
def test_every_cell_of_both_sheets_is_what_the_naive_matcher_says(
    loaded: Loaded, tmp_path: Path, rule: str, privacy: str, period: tuple[tuple[str, ...], date]
) -> None:
    words, first = period
    rows = loaded.rows
    if privacy == "masked":
        rows = Rows({}, list(map(masked, rows.transactions)), list(map(masked, rows.logs)))
    divergences, consolidated = expected(rule, rows, first)
    if privacy == "clear":
        lines = {row[:5]: row[5] for row in loaded.rows.tables["auth_logs"]}
        divergences = [(*row, lines[row[:5]]) for row in divergences]

    found = reported(loaded, tmp_path, "--rule", rule, *words, privacy={"report": privacy})
    assert len(found.consolidated) == len(consolidated) > 1_500
    assert len(found.divergences) == len(divergences) > 150
    differing = [
        (at, theirs, ours)
        for sheet, rows_expected in (
            (found.divergences, divergences),
            (found.consolidated, consolidated),
        )
        for at, (theirs, row) in enumerate(zip(sheet, rows_expected, strict=True))
        if theirs != (ours := tuple(map(cell, row)))
    ]
    assert differing[:3] == []


def test_the_derived_data_hold_every_kind_of_record(loaded: Loaded) -> None:
    for rule, kinds in (
        ("card", {"negada", "recente", "aprovada sem transação"}),
        ("card_time", {"negada", "recente", "fora da tolerância", "aprovada sem transação"}),
    ):
        divergences, consolidated = expected(rule, loaded.rows, YESTERDAY)
        assert {row[-1] for row in divergences} == kinds
        assert {row[-2] for row in consolidated} == {"físico", "virtual"}
        assert {row[7] for row in consolidated} >= {"00", "05", "51"}
        assert {row[0] is None for row in consolidated} == {True, False}
        lengths = {len(row[1]) for row in consolidated}
        assert lengths == {11, 12, 13, 14, 15, 16, 19} - {14} | ({14} & lengths)
