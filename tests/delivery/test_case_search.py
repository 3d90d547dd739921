"""Searches and orders of stored cases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from lib.analysis.case_evidence import Evidence
from lib.config.settings import Settings
from lib.delivery import case_pages, case_queries, case_store, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_marks import Mark
from lib.delivery.case_store import Judging
from lib.domain import cases
from tests.support.stored_cases import ANA, AT, DAY, MERCHANT, everything, judge, mark, rows


@pytest.mark.parametrize("version", [5, state_file.VERSION])
@pytest.mark.parametrize("words", ["transacao", "TRANSAÇÃO não", "livia", "LÍVIA çao"])
def test_a_search_looks_past_accents_as_in_the_tables(
    settings: Settings, path: Path, words: str, version: int
) -> None:
    table = rows([(cases.LOG, 1, 0), (cases.LOG, 2, 0)])
    at = table.column_names.index(cases.TEXT)
    table = table.set_column(at, cases.TEXT, [["TRANSAÇÃO NÃO CONCLUÍDA", None]])
    judging = Judging(1, MERCHANT, AT, (DAY, DAY), frozenset([DAY]))
    case_store.judge(path, judging, cases.of_run(MERCHANT, table), lambda gone: Evidence())
    mark(settings, ANA, Mark(owner="Lívia"), everything(path)["1"])
    if version == 5:
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE cases SET words = replace(words, 'cao nao', 'ção não')")
            file.execute("PRAGMA user_version = 5")
            file.commit()
    assert case_queries.find(path, MERCHANT, Filter(search=words)).total == 1


@pytest.mark.parametrize(
    ("words", "cards"),
    [
        ("0002", {"2"}),
        ("400000", {"1", "2", "3"}),
        ("bia", {"3"}),
        ("BIA 0003", {"3"}),
        ("0002 bia", set[str]()),
        ("00 ****", {"1", "2", "3"}),
        ("100%", set[str]()),
    ],
)
@pytest.mark.parametrize("few", [100, 1])
def test_a_search_finds_cards_codes_texts_and_owners(
    settings: Settings,
    path: Path,
    words: str,
    cards: set[str],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_pages, "FEW", few)
    judge(path, 1, [1, 2, 3])
    mark(settings, ANA, Mark(owner="Bia"), everything(path)["3"])
    query = Filter(search=words)
    found = case_queries.find(path, MERCHANT, query, sort="owner")
    assert {str(case.values["num_cartao"])[-1] for case in found.cases} == cards
    assert found.total == len(cards) == len(case_queries.versions(path, MERCHANT, query))


def test_cases_rank_by_situation_age_and_owner(settings: Settings, path: Path) -> None:
    judge(path, 1, [1, 2, 3])
    mark(settings, ANA, Mark(owner="Ana"), everything(path)["1"])
    judge(path, 2, [1, 2, 4], at=AT + timedelta(days=1))
    named = {case.key: card for card, case in everything(path).items()}

    def ranks(order: case_queries.RankedBy) -> dict[str, int]:
        found = case_queries.ranks(path, [*named, "f" * 16], order)
        return {named[key]: rank for key, rank in found.items()}

    assert ranks("situation") == {"4": 1, "1": 2, "2": 2, "3": 3}
    assert ranks("age") == {"4": 1, "1": 2, "2": 2, "3": 2}
    assert ranks("owner") == {"1": 1, "2": 2, "3": 2, "4": 2}


@pytest.mark.parametrize("sort", ["moment", "first_seen", "owner", "status", "amount"])
@pytest.mark.parametrize("descending", [True, False])
def test_the_pages_of_an_order_hold_every_case_once(
    path: Path, sort: case_queries.Sort, descending: bool
) -> None:
    judge(path, 1, list(range(1, 8)))
    query = Filter(states=cases.STATES)
    order = {"sort": sort, "descending": descending}
    whole = case_queries.find(path, MERCHANT, query, limit=50, **order)
    pages = [
        case_queries.find(path, MERCHANT, query, offset=at, limit=3, **order) for at in (0, 3, 6)
    ]
    assert [case.key for page in pages for case in page.cases] == [c.key for c in whole.cases]
    assert case_queries.find(path, MERCHANT, query, offset=9, **order).cases == ()
    assert whole.total == 7
