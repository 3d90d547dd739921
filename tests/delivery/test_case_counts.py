"""Counts of the cases that a reader may see, against those of all cases."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from lib.config.settings import Settings
from lib.delivery import case_queries
from lib.delivery.case_marks import Mark
from lib.domain import cases
from tests.support.stored_cases import ANA, AT, MERCHANT, everything, judge, mark

ACCEPT = Mark(status=cases.ACCEPTED, reason="ok")
RESOLVE = Mark(status=cases.RESOLVED, reason="feito")
UNMARK = Mark(status=None)


def counted(path: Path, seen: frozenset[str] | None = None) -> case_queries.Counts:
    return case_queries.counts(path, MERCHANT, date(2026, 11, 24), ZoneInfo("UTC"), seen)


def test_who_sees_every_case_by_rows_has_the_counts_of_all(settings: Settings, path: Path) -> None:
    judge(path, 1, list(range(1, 8)))
    seen = frozenset(case.key for case in everything(path).values())

    def put(change: Mark, *cards: str) -> None:
        by_card = everything(path)
        mark(settings, ANA, change, *(by_card[card] for card in cards))

    put(RESOLVE, "1", "2", "3")
    put(ACCEPT, "4")
    put(ACCEPT, "5")
    put(UNMARK, "5")
    judge(path, 2, [4, 5, 6, 7], at=AT + timedelta(days=1))
    assert counted(path, seen) == counted(path)
    # The run takes the mark off 1 and 2, which it reopens.
    judge(path, 3, list(range(1, 8)), at=AT + timedelta(days=2))
    put(RESOLVE, "2")
    # Settled before they close: 2 and 4. Not settled: 1, 3, 5 and 6.
    assert judge(path, 4, [7], at=AT + timedelta(days=3)).resolved == 4
    assert counted(path, seen) == counted(path)
    put(ACCEPT, "1", "6")
    assert counted(path, seen) == counted(path)
    put(UNMARK, "2", "4")
    assert counted(path, seen) == counted(path)
    assert counted(path).resolved == 4


def test_counts_by_rows_are_those_of_the_cases_seen(path: Path) -> None:
    judge(path, 1, [1, 2, 3, 4])
    by_card = everything(path)
    judge(path, 2, [3, 4], at=AT + timedelta(days=1))
    counts = [
        counted(path, frozenset(by_card[card].key for card in cards))
        for cards in (("1", "3"), ("1", "2", "4"), ())
    ]
    assert [(each.resolved, each.open) for each in counts] == [(1, 1), (2, 1), (0, 0)]
