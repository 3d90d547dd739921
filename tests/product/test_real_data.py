"""Five thousand transactions of a public data set, through two servers and the command line.

Every cell of both sheets is compared with the naive matcher, which runs on one group of connected
cards at a time. `tests.support.sparkov` derives the records from the data set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main
from lib.domain import columns as c
from tests.support import naive
from tests.support.command import Sheets, configured, finish, sheets, start
from tests.support.scenario import today
from tests.support.servers import Databases, Servers
from tests.support.sparkov import DAY, MERCHANT, Rows, source_rows
from tests.support.tables import Log, Transaction, instant

TOLERANCE = 300


class Shown(str):
    """A value that compares and hashes as stored, and is written masked."""

    shown: str

    def __new__(cls, stored: str, shown: str) -> Shown:
        value = super().__new__(cls, stored)
        value.shown = shown
        return value

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True)
class Loaded:
    databases: Databases
    rows: Rows


@pytest.fixture(scope="module")
def loaded(servers: Servers) -> Iterator[Loaded]:
    pair, rows = servers.fresh(), source_rows(today())
    pair.fill(**rows.tables)
    yield Loaded(pair, rows)
    servers.drop(pair)


def groups(transactions: list[Transaction], logs: list[Log]) -> list[tuple[Any, Any]]:
    """The records in groups that share no card; those without a card are in one group."""
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

    The newest transaction of all is added to each group, without a card, so that a log is recent
    in its group exactly if it is recent in the whole.
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
    for purchases, their_logs in groups(transactions, logs):
        if rule == "card":
            result = naive.reconcile(
                [*purchases, anchor], their_logs, end=rows.today, today=rows.today
            )
        else:
            result = naive.reconcile_in_time(
                [*purchases, anchor],
                their_logs,
                start=first,
                end=rows.today,
                today=rows.today,
                tolerance=TOLERANCE,
            )
        divergences += result.divergences
        consolidated += result.consolidated
    return sorted(divergences, key=naive._log_key), sorted(consolidated, key=naive._sheet_key)


def masked(record: Transaction | Log) -> Transaction | Log:
    """The record as a masked report shows it, comparing as it is stored."""
    values = dict(vars(record))
    for name in ("card", "virtual"):
        if values.get(name):
            digits = re.sub(r"\D", "", values[name])
            first = digits[:6] if len(digits) >= 13 else ""
            values[name] = Shown(values[name], f"{first}******{digits[-4:]}")
    if values.get("cpf"):
        cpf = values["cpf"]
        values["cpf"] = Shown(cpf, f"***.{cpf[3:6]}.{cpf[6:9]}-**")
    if values.get("text"):
        values["text"] = Shown(values["text"], re.sub(r"\d{11,}", "******", values["text"]))
    return type(record)(**values)


def cell(value: Any) -> Any:
    """The value as openpyxl reads it back from its cell."""
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, Decimal):
        return float(value)
    return datetime.combine(value, time.min) if isinstance(value, date) else value


def reported(loaded: Loaded, folder: Path, *words: str, **keys: Any) -> Sheets:
    target = folder / "a.xlsx"
    file = configured(folder, loaded.databases.values, **keys)
    result = finish(start("--config", str(file), "--output", str(target), *words))
    assert result.code == main.DONE, result.err
    return sheets(target)


@pytest.mark.parametrize(
    ("rule", "privacy", "days"),
    [("card", "masked", 2), ("card", "clear", 1), ("card_time", "masked", 1)]
    + [("card_time", "clear", 2)],
)
def test_every_cell_of_both_sheets_equals_the_naive_matchers(
    loaded: Loaded, tmp_path: Path, rule: str, privacy: str, days: int
) -> None:
    rows = loaded.rows
    first = rows.today - (days - 1) * DAY
    if privacy == "masked":
        shown = [list(map(masked, records)) for records in (rows.transactions, rows.logs)]
        rows = replace(rows, transactions=shown[0], logs=shown[1])
    divergences, consolidated = expected(rule, rows, first)
    if privacy == "clear":
        logged = loaded.rows.tables["auth_logs"]
        lines = {row[:5]: row[5] for row in logged if MERCHANT in row[5]}
        divergences = [(*row, lines[row[:5]]) for row in divergences]

    # The dates are given, so that a midnight that passes meanwhile changes nothing.
    words = ("--rule", rule, "--start", f"{first}", "--end", f"{rows.today}")
    report = reported(loaded, tmp_path, *words, privacy={"report": privacy})
    assert len(report.consolidated) == len(consolidated) > 1_500
    assert len(report.divergences) == len(divergences) > 150
    differing = [
        (at, theirs, ours)
        for sheet, rows_expected in (
            (report.divergences, divergences),
            (report.consolidated, consolidated),
        )
        for at, (theirs, row) in enumerate(zip(sheet, rows_expected, strict=True))
        if theirs != (ours := tuple(map(cell, row)))
    ]
    assert differing[:3] == []


def test_the_derived_data_hold_every_kind_of_record(loaded: Loaded) -> None:
    for rule, kinds in (
        ("card", {c.NEGADA, c.RECENTE, c.APROVADA_SEM_TRANSACAO}),
        ("card_time", set(c.MOTIVOS)),
    ):
        divergences, consolidated = expected(rule, loaded.rows, loaded.rows.today - DAY)
        assert {row[-1] for row in divergences} == kinds
        assert {row[-2] for row in consolidated} == {c.FISICO, c.VIRTUAL}
        assert {row[7] for row in consolidated} >= {"00", "51", None}
        assert {row[0] is None for row in consolidated} == {True, False}
        assert {len(row[1]) for row in consolidated} == {11, 12, 13, 14, 15, 16, 19}
