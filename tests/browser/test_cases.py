"""A morning with cases in Chromium: what is new since yesterday, and what was noted about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.cli import main
from lib.config import loader
from lib.delivery import case_marks
from lib.delivery.case_marks import Mark
from lib.domain import cases
from lib.security.audit_events import Actor
from lib.ui import case_board, cases_summary
from lib.ui.case_form import Names
from tests.browser.conftest import Opened
from tests.support import scenario
from tests.support.command import finish, start
from tests.support.driving import Server
from tests.support.judging import stored
from tests.support.scenario import LONELY, MERCHANT, UNKNOWN, masked
from tests.support.servers import Databases

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("cases")]

NOTE = "Pedi o extrato à adquirente"
ONE, MANY = Names("casos_um"), Names(case_board.SELECTION.form)


@pytest.fixture
def configuration(filled: Databases, tmp_path: Path) -> Path:
    """A dashboard after one report, with a note that somebody left on a case."""
    keys = {
        "output_path": str(tmp_path / "report.xlsx"),
        "history": {"path": str(tmp_path / "history.sqlite")},
        "audit": {"path": str(tmp_path / "audit.jsonl")},
    }
    file = scenario.site(tmp_path, filled.values, **keys)
    said = finish(start("--config", str(file)))
    assert said.code == main.DONE, said.err
    settings = loader.load(file)
    case = stored(settings)[UNKNOWN[-4:]]
    actor = Actor("rui@example.com", "test")
    case_marks.mark(settings, [MERCHANT], actor, MERCHANT, {case.key: 0}, Mark(note=NOTE))
    return file


@pytest.fixture
def server(configuration: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path, configuration)
    yield running
    running.stop()


def test_what_is_new_since_yesterday_and_what_was_noted_about_it(
    visit: Opened, configuration: Path
) -> None:
    seen = visit("/")
    seen.button(cases_summary.SHOW_NEW).click()
    seen.page.wait_for_url("**/cases*")
    seen.settle()
    shown = seen.cells("card")
    assert set(shown) == {masked(UNKNOWN), masked(LONELY)}
    seen.open_row(shown.index(masked(UNKNOWN)))
    assert NOTE in seen.cells("what", 1)
    seen.field(ONE["nota"]).fill("Chegou; confere")
    seen.button(ONE["marcar"]).click()
    seen.settle()
    assert "Chegou; confere" in seen.cells("what", 1)
    seen.page.keyboard.press("Escape")
    seen.settle()

    # Both rows by the box of the page, confirmed by their number.
    seen.table().locator("th input").click()
    seen.settle()
    seen.button(case_board.SELECTION.mark_chosen).click()
    seen.settle()
    owner = seen.field(MANY["responsavel"])
    owner.fill("Bia")
    owner.press("Enter")
    seen.settle()
    seen.field(MANY["numero"]).fill("2")
    seen.field(MANY["numero"]).press("Enter")
    seen.settle()
    seen.button(MANY["marcar"]).last.click()
    seen.settle()
    found = stored(loader.load(configuration))
    assert {case.owner for case in found.values()} == {"Bia"}
    assert {case.state for case in found.values()} == {cases.NEW}
