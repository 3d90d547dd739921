"""The demonstration's past over small data: one case of each kind of change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.dashboard import demo_past
from lib.delivery import case_queries, history, state_file
from lib.domain import cases
from tests.support import scenario
from tests.support.judging import stored
from tests.support.scenario import FIELD, MERCHANT, today
from tests.support.servers import Databases


@pytest.fixture
def settings(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Databases with a log alone of yesterday, a late log, and a purchase without log."""

    def log(card: str, days: int, at: str) -> tuple[Any, ...]:
        return (card, today() - timedelta(days=days), at, "00", "Compra", f"0100{FIELD}")

    def bought(card: str, days: int, at: str) -> tuple[Any, ...]:
        return (card, today() - timedelta(days=days), at, MERCHANT, None, "10.00")

    databases.fill(
        transactions=[
            bought("4000001111110002", 2, "22:00:00"),
            bought("4000001111110003", 3, "12:00:00"),
            bought("4000001111110004", 1, "12:00:00"),
        ],
        auth_logs=[
            log("4000001111110001", 1, "10:00:00"),
            log("4000001111110002", 2, "22:00:05"),
            log("4000001111110004", 1, "12:00:05"),
        ],
    )
    keys = {"history": {"path": str(tmp_path / "history.sqlite")}}
    file = scenario.site(tmp_path, databases.values, **keys)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(file))
    return loader.load()


def test_the_past_has_new_resolved_and_open_cases_and_a_note(settings: Settings) -> None:
    demo_past.prepare(settings, today()).join()
    found = stored(settings, MERCHANT)
    assert {number: case.state for number, case in found.items()} == {
        "0001": cases.NEW,
        "0002": cases.MATCHED,
        "0003": cases.OPEN,
    }
    path = state_file.path_of(settings)
    counts = case_queries.counts(path, MERCHANT, today(), settings.zone)
    assert (counts.new, counts.resolved, counts.open) == (1, 1, 2)
    noted = [case for case in found.values() if case.owner == demo_past.ANALYST.name]
    assert [case.status for case in noted] == [cases.IN_ANALYSIS]
    assert demo_past.NOTE in {event.text for event in case_queries.timeline(path, noted[0].key)}


def test_each_merchant_has_both_runs_once_a_day(settings: Settings) -> None:
    for _ in range(2):
        demo_past.prepare(settings, today()).join()
    for merchant in settings.merchants:
        runs = history.of(settings).runs(origin=history.SCHEDULED, merchant=merchant)
        days = [run.began_at.astimezone(settings.zone).date() for run in runs]
        assert days == [today(), today() - timedelta(days=1)]
        assert [run.outcome for run in runs] == [history.DONE] * 2


def test_a_past_of_another_day_is_replaced(settings: Settings, databases: Databases) -> None:
    demo_past.prepare(settings, today() - timedelta(days=1)).join()
    demo_past.prepare(settings, today()).join()
    assert {case.state for case in stored(settings, MERCHANT).values()} == {
        cases.NEW,
        cases.MATCHED,
        cases.OPEN,
    }
