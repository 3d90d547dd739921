"""Pages of stored cases: each order and filter as a plain sort of all cases gives it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from lib.analysis.case_evidence import Evidence
from lib.delivery import case_counts, case_pages, case_queries, case_store, case_texts, state_file
from lib.delivery.case_filters import Filter, Latest
from lib.delivery.case_pages import Order, Sort
from lib.delivery.case_store import Judging
from lib.domain import cases
from tests.support.stored_cases import MERCHANT, rows

FIRST = date(2026, 11, 1)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
EVERYTHING = Filter(states=cases.STATES)
FILTERS = {
    "all": EVERYTHING,
    "open": Filter(),
    "closed": Filter((cases.MATCHED, cases.MISSING)),
    "new": Filter((cases.NEW,)),
    "new and missing": Filter((cases.NEW, cases.MISSING)),
    "of Ana or nobody": Filter(cases.STATES, owners=(None, "ana")),
    "of Rui": Filter(cases.STATES, owners=("rui",)),
    "unmarked": Filter(cases.STATES, statuses=(None,)),
    "transactions": Filter(cases.STATES, kinds=(cases.TRANSACTION,)),
    "two days": Filter(cases.STATES, days=(FIRST, FIRST + timedelta(days=1))),
    "second run": Filter(cases.STATES, first_seen=(AT + timedelta(days=1), None)),
    "search": Filter(cases.STATES, search="0003"),
}
ORDERS: dict[Sort, tuple[str, ...]] = {
    "moment": ("moment", "key"),
    "first_seen": ("first_seen", "key"),
    "owner": ("owner", "moment", "key"),
    "status": ("status", "moment", "key"),
    "amount": ("amount", "moment", "key"),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases of two runs over five days, a third of them closed, and two in five marked."""
    path = tmp_path_factory.mktemp("state") / "history.sqlite"
    days = frozenset(FIRST + timedelta(days=n) for n in range(5))
    found: list[tuple[str, int, int]] = []
    for run in (1, 2):
        found += [
            (kind, card, run * 2 - n) for kind in cases.NAMES for card in range(5) for n in (0, 1)
        ]
        judging = Judging(run, MERCHANT, AT + timedelta(days=run - 1), (FIRST, max(days)), days)
        numbered = cases.of_run(MERCHANT, rows(found))
        case_store.judge(path, judging, numbered, lambda gone: Evidence())
    with state_file.writing(path) as connection:
        keys = [key for (key,) in connection.exec_driver_sql("SELECT key FROM cases ORDER BY key")]
        with case_counts.kept_current(connection, keys):
            for column, value, every, start in (
                ("state", cases.MATCHED, 6, 0),
                ("state", cases.MISSING, 6, 3),
                ("owner", "ana", 5, 1),
                ("owner", "rui", 5, 3),
                ("status", cases.IN_ANALYSIS, 7, 0),
                ("status", cases.ACCEPTED, 7, 4),
            ):
                connection.exec_driver_sql(
                    f"UPDATE cases SET {column} = ?, last_seen = first_seen WHERE key = ?",
                    [(value, key) for key in keys[start::every]],
                )
    return path


def in_order(path: Path, query: Filter, sort: Sort, descending: bool) -> list[str]:
    """All that the filter finds, sorted here; missing values first."""
    with state_file.reading(path) as connection:
        stored = {
            cases.hexadecimal(row.key): row._mapping
            for row in connection.exec_driver_sql("SELECT * FROM cases")
        }

    def rank(key: str) -> list[Any]:
        values = [stored[key][name] for name in ORDERS[sort]]
        if sort == "amount":
            values[0] = values[0] and float(values[0])
        return [(value is not None, value) for value in values]

    found = [case.key for case in case_queries.each(path, MERCHANT, query)]
    return sorted(found, key=rank, reverse=descending)


@pytest.mark.parametrize("few", [True, False], ids=["sorted", "walked"])
@pytest.mark.parametrize("descending", [True, False], ids=["descending", "ascending"])
@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("name", FILTERS)
def test_pages_put_together_are_all_cases_in_order(
    path: Path,
    name: str,
    sort: Sort,
    descending: bool,
    few: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_pages, "FEW", 1_000 if few else 0)
    monkeypatch.setattr(case_pages, "_DENSE", 0)
    query = FILTERS[name]
    expected = in_order(path, query, sort, descending)
    assert len(expected) > 1
    paged: list[str] = []
    for offset in range(0, len(expected) + 7, 7):
        page = case_queries.find(
            path, MERCHANT, query, sort=sort, descending=descending, offset=offset, limit=7
        )
        assert page.total == len(expected)
        paged += [case.key for case in page.cases]
    assert paged == expected


def test_a_page_of_chosen_cases_has_no_others(path: Path) -> None:
    keys = frozenset(in_order(path, EVERYTHING, "moment", descending=True)[::3])
    found = case_queries.find(path, MERCHANT, Filter(cases.STATES, keys=keys), limit=100)
    assert {case.key for case in found.cases} == keys
    assert found.total == len(keys)


@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("name", ["all", "open", "closed", "of Ana or nobody"])
def test_a_walk_sorts_nothing(
    path: Path, name: str, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_pages, "FEW", 0)
    statements: list[str] = []
    with state_file.reading(path) as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(statements.append)
        latest = Latest(number=2)
        case_pages.keys(
            connection, MERCHANT, FILTERS[name], latest, Order(sort, descending=True), 0, 100
        )
        driver.set_trace_callback(None)
        walks = [text for text in statements if "INDEXED BY" in text]
        plan = [row[3] for text in walks for row in driver.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert walks
    assert not [step for step in plan if "TEMP B-TREE" in step or "SCAN" in step]


def test_identical_cases_are_found_by_their_moment(path: Path) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        asked.append((statement, values))

    [key] = in_order(path, EVERYTHING, "moment", descending=True)[:1]
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert case_queries.identical(path, key) == {key}
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    statement, values = asked[-1]
    with state_file.reading(path) as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert "moment=?" in plan[-1].detail


def test_a_first_run_leaves_every_index(tmp_path: Path) -> None:
    def indexes(path: Path) -> set[str]:
        with state_file.reading(path) as connection:
            rows = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE type = 'index'")
            return {row.sql for row in rows}

    path = tmp_path / "history.sqlite"
    with state_file.writing(path):
        pass
    created = indexes(path)
    for run, cards in ((1, 3), (2, 30)):
        judging = Judging(run, MERCHANT, AT, (FIRST, FIRST), frozenset([FIRST]))
        found = cases.of_run(MERCHANT, rows((cases.LOG, card, 0) for card in range(cards)))
        case_store.judge(path, judging, found, lambda gone: Evidence())
        assert indexes(path) == created
    assert case_queries.find(path, MERCHANT, sort="first_seen").total == 30


def test_packed_texts_come_back_whole() -> None:
    table = rows([(cases.LOG, 1, 0), (cases.TRANSACTION, 2, 1)])
    at = table.column_names.index(cases.TEXT)
    table = table.set_column(at, cases.TEXT, [["negada\x1fsem saldo\n", None]])
    log, transaction = map(case_texts.unpacked, case_texts.packed(table))
    assert log[cases.TEXT] == "negada sem saldo\n"
    assert transaction[cases.TEXT] is None
    for number, values in enumerate((log, transaction)):
        for name in set(case_texts.PACKED) - {cases.TEXT, cases.TIME}:
            assert values[name] == table[name][number].as_py()


def test_one_case_has_its_values_after_they_change(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    for run, text in enumerate(("primeiro", "SEGUNDO"), start=1):
        table = rows([(cases.LOG, 1, 0)])
        at = table.column_names.index(cases.TEXT)
        table = table.set_column(at, cases.TEXT, [[text]])
        judging = Judging(run, MERCHANT, AT, (FIRST, FIRST), frozenset([FIRST]))
        case_store.judge(path, judging, cases.of_run(MERCHANT, table), lambda gone: Evidence())
        [case] = case_queries.find(path, MERCHANT, Filter(search=text)).cases
        assert case.values["des_log"] == text
