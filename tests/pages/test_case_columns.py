"""The cases beside the rows of the tables of divergences: columns, filters, dialog, marks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.config.settings import Settings
from lib.domain import cases
from lib.security import audit_events
from lib.ui import case_columns, case_words, tables
from lib.ui.case_form import Names
from lib.ui.case_selection import Selection
from tests.support import judging
from tests.support.dashboard import Dashboard, frames, headings, texts
from tests.support.judging import stored
from tests.support.scenario import LONELY, UNKNOWN, masked

SELECTION = Selection("divergences")
ME = audit_events.account().name
ONE = Names(f"{SELECTION.chosen}_um")
MANY = Names(SELECTION.form)


@pytest.fixture
def judged(morning: Dashboard, tmp_path: Path) -> Settings:
    return judging.judge(tmp_path)


def situations(at: AppTest) -> dict[str, str]:
    table = frames(at)[0]
    return dict(zip(table["num_cartao"], table[case_words.SITUATION], strict=True))


def marks(at: AppTest) -> dict[str, str]:
    """The column that the table says it is sorted by, and how."""
    return {name: mark for name, mark in headings(at, "sort").items() if mark}


def open_row(at: AppTest, card: str) -> AppTest:
    row = list(frames(at)[0]["num_cartao"]).index(masked(card))
    at.session_state["divergences_aberta"] = row
    return at.run()


def test_without_a_report_a_table_has_no_columns_of_cases(morning: Dashboard) -> None:
    at = morning.open("divergences")
    assert case_words.SITUATION not in frames(at)[0]
    assert case_columns.SITUATION not in [box.key for box in at.multiselect]


@pytest.mark.parametrize(
    ("tab", "card"), [("divergencias", UNKNOWN), ("sem-log", LONELY)], ids=["logs", "transactions"]
)
def test_each_row_says_its_case_since_when_and_whose_it_is(
    morning: Dashboard, judged: Settings, tab: str, card: str
) -> None:
    at = morning.open("divergences", aba=tab)
    assert not at.exception
    table = frames(at)[0].set_index("num_cartao").loc[masked(card)]
    assert table[case_words.SITUATION] == "novo"
    assert (table[case_words.AGE], table[case_words.OWNER]) == ("0", "")


def test_a_row_that_is_no_case_has_none(morning: Dashboard, judged: Settings) -> None:
    shown = situations(morning.open("divergences"))
    assert {text for card, text in shown.items() if card != masked(UNKNOWN)} == {"–"}


def test_the_filters_leave_rows_by_situation_age_and_owner(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("divergences", **{case_columns.SITUATION: ["novo"]})
    assert set(situations(at)) == {masked(UNKNOWN)}
    at = morning.open("divergences", **{case_columns.SITUATION: ["sem-caso"]})
    assert masked(UNKNOWN) not in situations(at)
    at = morning.open("divergences", **{case_columns.AGE: ["0"]})
    assert set(situations(at)) == {masked(UNKNOWN)}
    at = morning.open("divergences", **{case_columns.AGE: ["3"]})
    assert tables.NO_MATCH in texts(at)
    at = morning.open("divergences", **{case_columns.OWNER: ["-"]})
    assert set(situations(at)) == {masked(UNKNOWN)}
    lines = Path(str(loader.load().audit.path)).read_text(encoding="utf-8").splitlines()
    assert any("Situação = novo" in json.loads(line).get("filters", "") for line in lines)


@pytest.mark.parametrize("column", [case_words.SITUATION, case_words.AGE, case_words.OWNER])
def test_a_heading_of_the_cases_sorts_its_rows_and_leaves_rows_without_a_case_last(
    morning: Dashboard, judged: Settings, column: str
) -> None:
    at = morning.open("divergences", **{"divergences_ordem": "data"})
    by_date = list(frames(at)[0]["num_cartao"])
    assert by_date.index(masked(UNKNOWN)) > 0
    for order, mark in ((column, "ascending"), (f"-{column}", "descending")):
        at.selectbox(key="divergences_ordem").set_value(order).run()
        assert list(frames(at)[0]["num_cartao"])[0] == masked(UNKNOWN)
        assert marks(at) == {column: mark}
        assert at.query_params["divergences_ordem"] == order
    at.selectbox(key="divergences_ordem").set_value("data").run()
    assert list(frames(at)[0]["num_cartao"]) == by_date


def test_a_rows_dialog_has_its_timeline_and_marks_its_case(
    morning: Dashboard, judged: Settings
) -> None:
    at = open_row(morning.open("divergences"), UNKNOWN)
    at.selectbox(key=ONE["responsavel"]).set_value(ME)
    at.text_area(key=ONE["nota"]).input("Perguntei ao emissor")
    at.button(key=ONE["marcar"]).click().run()
    assert not at.exception
    assert stored(judged)[UNKNOWN[-4:]].owner == ME
    assert "Perguntei ao emissor" in set(frames(at)[-1]["what"])
    assert frames(at)[0].set_index("num_cartao").loc[masked(UNKNOWN)][case_words.OWNER] == ME


def test_a_rows_dialog_without_a_case_says_so(morning: Dashboard, judged: Settings) -> None:
    at = morning.open("divergences", **{case_columns.SITUATION: ["sem-caso"]})
    at.session_state["divergences_aberta"] = 0
    at.run()
    assert case_columns.NO_CASE in texts(at)


def test_what_a_filter_finds_is_marked_at_once(morning: Dashboard, judged: Settings) -> None:
    at = morning.open("divergences")
    assert SELECTION.mark_all not in [button.key for button in at.button]
    at = morning.open("divergences", **{case_columns.SITUATION: ["novo"]})
    at.button(key=SELECTION.mark_all).click().run()
    at.selectbox(key=MANY["situacao"]).set_value(cases.IN_ANALYSIS)
    at.button(key=MANY["marcar"]).click().run()
    assert stored(judged)[UNKNOWN[-4:]].status == cases.IN_ANALYSIS
    assert stored(judged)[LONELY[-4:]].status is None


def test_a_saved_view_holds_the_filters_of_the_cases(morning: Dashboard, judged: Settings) -> None:
    at = morning.open("divergences", **{case_columns.SITUATION: ["novo"]})
    at.session_state["divergences_visoes"] = True
    at.run()
    at.text_input(key="divergences_visao_nome").set_value("Novos")
    at.button(key="divergences_salvar_visao").click().run()
    later = morning.open("divergences")
    later.session_state["divergences_visoes"] = True
    later.run()
    assert len(situations(later)) > 1
    later.button(key="divergences_visao_0").click().run()
    assert not later.exception
    assert set(situations(later)) == {masked(UNKNOWN)}
    assert later.query_params[case_columns.SITUATION] == "novo"


def test_the_columns_and_filters_are_in_english_for_who_reads_english(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("divergences", locale="en-US")
    named = headings(at)
    assert [named[name] for name in (case_words.SITUATION, case_words.AGE, case_words.OWNER)] == [
        "Status",
        "Age (days)",
        "Owner",
    ]
    assert situations(at)[masked(UNKNOWN)] == "new"
    [box] = [box for box in at.multiselect if box.key == case_columns.SITUATION]
    assert "new" in box.options
