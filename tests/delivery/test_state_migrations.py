"""State files of older and newer versions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lib.config.settings import ROOT
from lib.delivery import case_queries, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.history import History
from lib.domain import cases
from lib.domain.errors import HistoryError
from tests.support.sentences import pattern
from tests.support.stored_cases import AT, DAY, MERCHANT, everything, judge, rows

# The table as the version before the cases wrote it.
OLD = """
CREATE TABLE runs (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, began_at DATETIME NOT NULL,
 ended_at DATETIME, origin VARCHAR NOT NULL, who VARCHAR NOT NULL, process INTEGER NOT NULL,
 process_born FLOAT NOT NULL, merchant VARCHAR NOT NULL, merchant_name VARCHAR NOT NULL,
 period_start DATE NOT NULL, period_end DATE NOT NULL, rule VARCHAR NOT NULL,
 tolerance_seconds INTEGER NOT NULL, clear BOOLEAN NOT NULL, outcome VARCHAR NOT NULL,
 message VARCHAR, note VARCHAR, books JSON, seconds JSON, file VARCHAR, size_bytes INTEGER,
 sha256 VARCHAR);
INSERT INTO runs VALUES (7, '2026-11-19 09:00:00.000000', '2026-11-19 09:00:09.000000',
 'scheduled', 'root', 1, 1.0, '12345678000190', 'Loja Exemplo', '2026-11-09', '2026-11-19', 'card',
 300, 0, 'concluída', NULL, NULL, '{"logs": 10, "divergences": 1}', NULL, NULL, NULL, NULL);
"""
VERSION_3 = (ROOT / "tests/support/data/state_file_3.sql").read_text(encoding="utf-8")


def write(path: Path, script: str, change: str = "") -> None:
    """Write the state file of an older version, with a change."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(f"{script}{change};")


def test_a_history_of_before_is_taken_over_with_its_runs(path: Path) -> None:
    write(path, OLD)
    assert [run.id for run in History(path).runs()] == [7]
    assert case_queries.find(path, MERCHANT).total == 0
    assert case_queries.counts(path, MERCHANT, DAY, ZoneInfo("UTC")).at is None
    judge(path, 8, [1])
    assert [run.id for run in History(path).runs()] == [7]
    assert History(path).runs()[0].divergence_rate == 0.1
    assert list(everything(path)) == ["1"]


@pytest.mark.parametrize("first", ["reader", "run"])
def test_the_cases_of_an_older_version_are_taken_over(path: Path, first: str) -> None:
    write(path, VERSION_3)
    second = AT + timedelta(days=1)
    if first == "run":
        # The day of card 1 is judged again, and the case without a date is gone.
        change = judge(path, 3, [1], at=second + timedelta(days=1))
        assert (change.new, change.resolved, change.open, change.outside) == (0, 1, 1, 1)
    found = everything(path)
    assert {card: (case.state, case.last_seen) for card, case in found.items()} == {
        "1": (cases.OPEN, AT + timedelta(days=2 if first == "run" else 1)),
        "2": (cases.OPEN, AT),
        "3": (cases.MISSING, AT),
        "7": (cases.MISSING if first == "run" else cases.OPEN, second),
    }
    assert case_queries.find(path, MERCHANT, Filter(search="******0002")).total == 1
    assert [event.kind for event in case_queries.timeline(path, found["3"].key)] == [
        "opened",
        "missing",
    ]


def test_a_search_finds_accents_in_the_cases_of_an_older_version(path: Path) -> None:
    write(path, VERSION_3, "UPDATE cases SET text = 'TRANSAÇÃO NEGADA' WHERE card LIKE '%2'")
    for words in ("TRANSAÇÃO", "transação neg", "transacao"):
        assert case_queries.find(path, MERCHANT, Filter(search=words)).total == 1


def test_texts_of_an_older_version_with_the_separator_of_packed_ones_stay_apart(path: Path) -> None:
    write(path, VERSION_3, "UPDATE cases SET code = '0' || char(31) || '5', text = 'negada'")
    values = [case.values for case in everything(path).values() if case.kind == cases.LOG]
    assert {(row["cod_resposta"], row["des_log"]) for row in values} == {("0 5", "negada")}


def test_identical_cases_of_an_older_version_keep_their_keys_and_are_told_apart(
    path: Path,
) -> None:
    twins = cases.of_run(MERCHANT, rows([(cases.LOG, 1, 0)] * 2))
    second = int(twins.keys[twins.ordinals == 2][0])
    write(path, VERSION_3)
    with closing(sqlite3.connect(path)) as file:
        names = [row[1] for row in file.execute("PRAGMA table_info(cases)")]
        values = ", ".join({"key": f"{second}", "ordinal": "2"}.get(name, name) for name in names)
        file.execute(f"INSERT INTO cases SELECT {values} FROM cases WHERE card LIKE '%1'")
        file.commit()
    same = case_queries.identical(path, cases.hexadecimal(second))
    assert same == set(map(cases.hexadecimal, twins.keys.tolist()))
    with state_file.reading(path) as connection:
        stored = connection.exec_driver_sql(
            "SELECT key, base, ordinal, digest FROM cases WHERE texts LIKE '%0001%' ORDER BY key"
        ).all()
    columns = (twins.keys, twins.bases, twins.ordinals, twins.digests)
    assert stored == list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_file_of_a_newer_version_is_one_sentence(path: Path) -> None:
    judge(path, 1, [1])
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {state_file.VERSION + 1}")
    with pytest.raises(HistoryError, match=pattern(state_file.NEWER)):
        judge(path, 2, [1])
