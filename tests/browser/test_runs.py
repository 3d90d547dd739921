"""The page of the runs in Chromium: its columns, and the download of a kept report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from lib.cli import main
from lib.delivery import history
from lib.ui import runs
from tests.browser.conftest import Opened
from tests.support import scenario
from tests.support.command import finish, start
from tests.support.driving import Server, Visit
from tests.support.servers import Databases

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("runs")]


OUTCOMES = (
    *(history.RUNNING, history.WAITING, history.DONE, history.FAILED),
    *(history.INTERRUPTED, history.VANISHED, history.SKIPPED),
)


def spare_width(seen: Visit) -> int:
    """Spare pixels of a table's width; negative where it scrolls."""
    return int(seen.table().evaluate("e => e.parentElement.clientWidth - e.scrollWidth"))


@pytest.fixture
def scheduled(filled: Databases, tmp_path: Path) -> Path:
    """The configuration of a dashboard after two scheduled runs, with the older report kept."""
    keys = {
        "keep": 3,
        "output_path": str(tmp_path / "resultado_{merchant}.xlsx"),
        "history": {"path": str(tmp_path / "history.sqlite")},
        "audit": {"path": str(tmp_path / "audit.jsonl")},
    }
    file = scenario.site(tmp_path, filled.values, **keys)
    for _ in range(2):
        said = finish(start("--config", str(file)))
        assert said.code == main.DONE, said.err
    return file


@pytest.fixture
def server(scheduled: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path, scheduled)
    yield running
    running.stop()


@pytest.mark.parametrize("locale", ["pt-BR", "en-US"])
def test_the_table_has_room_for_every_outcome(
    visit: Opened, server: Server, tmp_path: Path, locale: str
) -> None:
    record = history.History(tmp_path / "history.sqlite")
    day = date(2026, 11, 20)
    for outcome in OUTCOMES:
        number = record.begin(
            origin=history.SCHEDULED,
            merchant=scenario.MERCHANT,
            merchant_name="Loja Exemplo",
            period_start=day - timedelta(days=10),
            period_end=day,
            rule="card",
            tolerance_seconds=300,
            clear=False,
        )
        books = {"transactions": 1_000_000, "logs": 1_000_000, "divergences": 100_000}
        if outcome != history.RUNNING:
            record.end(number, outcome, books=books, seconds={"reconcile": 123.4})
    seen = visit("/runs", locale=locale)
    assert len(set(seen.cells("outcome"))) == len(OUTCOMES)
    assert spare_width(seen) >= 0, "a screen of 1280 pixels shows every column"


def test_a_kept_report_is_downloaded_and_the_download_is_audited(
    visit: Opened, server: Server, tmp_path: Path
) -> None:
    current = tmp_path / f"resultado_{scenario.MERCHANT}.xlsx"
    [older] = set(tmp_path.glob("*.xlsx")) - {current}
    seen = visit("/runs")
    assert seen.cells("outcome") == ["concluída", "concluída"]
    assert spare_width(seen) >= 0, "a screen of 1280 pixels shows every column"
    for row, file in enumerate((current, older)):
        seen.open_row(row)
        with seen.page.expect_download() as waiting:
            seen.button(runs.DOWNLOAD).click()
        assert waiting.value.suggested_filename == file.name
        waiting.value.save_as(tmp_path / "download")
        assert (tmp_path / "download").read_bytes() == file.read_bytes()
    assert (tmp_path / "audit.jsonl").read_text().count('"kind":"export"') == 2
    assert seen.errors == []
