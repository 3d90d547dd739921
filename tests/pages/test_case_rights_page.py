"""Cases under real row-level security: a reader sees and marks those of their own rows only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.config.settings import Settings
from lib.dashboard.dataset_store import Rights
from lib.demo import servers
from lib.domain import cases
from lib.ui import app_state, case_board, guard
from lib.ui.case_form import Names
from tests.support import judging, scenario
from tests.support.dashboard import Dashboard, frames, texts
from tests.support.judging import stored
from tests.support.scenario import LONELY, MERCHANT, UNKNOWN, masked
from tests.support.servers import Databases

READER = "ana@example.com"
MANY = Names(case_board.SELECTION.form)
# The scheduled run reads every row of the merchant, any other user only those of some cards.
PART = """
CREATE POLICY part ON {table} AS RESTRICTIVE FOR SELECT TO {login}
USING (current_setting('app.user', true) = '{login}' OR card_number <> '{card}')
"""


@pytest.fixture
def shared(
    databases: Databases, dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Databases:
    """A dashboard whose reader has every row of the merchant but those of one card."""
    decide = guard.decide

    def decided(*session: Any) -> Any:
        admission = decide(*session)
        assert isinstance(admission, guard.Admission)
        return replace(admission, rights=Rights(READER))

    monkeypatch.setattr(guard, "decide", decided)  # there is no sign-in here
    scenario.fill(databases)
    login = servers.USER_BY_ROWS
    for side in servers.SIDES:
        for person in (READER, login):
            grant = f"INSERT INTO {side.access} VALUES ('{person}', '{MERCHANT}')"
            databases.execute(side.name, grant)
    databases.execute("transactions", PART.format(table="transactions", login=login, card=LONELY))
    values = databases.values_for(login) | {"row_level_security": True}
    scenario.site(tmp_path, values)
    app_state.forget()
    return databases


@pytest.fixture
def judged(shared: Databases, tmp_path: Path) -> Settings:
    return judging.judge(tmp_path)


def shown(at: AppTest) -> set[str]:
    assert not at.exception
    return {str(card) for frame in frames(at)[:1] for card in frame["card"]}


def test_the_board_has_the_cases_of_the_readers_rows(
    judged: Settings, dashboard: Dashboard
) -> None:
    assert set(stored(judged)) == {UNKNOWN[-4:], LONELY[-4:]}
    at = dashboard.open("cases")
    assert shown(at) == {masked(UNKNOWN)}
    assert case_board.OWN_ROWS in texts(at)
    assert [metric.value for metric in at.metric] == ["1", "0", "1", "0 dias"]
    assert masked(LONELY) not in texts(dashboard.open("divergences", aba="sem-log"))
    assert shown(dashboard.open("cases", **{case_board.SEARCH: LONELY[-4:]})) == set()


def test_a_case_of_a_row_that_the_reader_has_not_is_neither_opened_nor_marked(
    judged: Settings, dashboard: Dashboard
) -> None:
    mine, other = stored(judged)[UNKNOWN[-4:]], stored(judged)[LONELY[-4:]]
    at = dashboard.open("cases")
    at.session_state[case_board.OPENED] = other.key
    assert Names("casos_um")["marcar"] not in [button.key for button in at.run().button]
    at = dashboard.open("cases")
    at.session_state[case_board.SELECTION.chosen] = {mine.key: 0, other.key: 0}
    at.run()
    at.button(key=case_board.SELECTION.mark_chosen).click().run()
    at.selectbox(key=MANY["situacao"]).set_value(cases.IN_ANALYSIS)
    at.number_input(key=MANY["numero"]).set_value(2)
    at.button(key=MANY["marcar"]).click().run()
    now = stored(judged)
    assert now[UNKNOWN[-4:]].status == cases.IN_ANALYSIS
    assert (now[LONELY[-4:]].status, now[LONELY[-4:]].version) == (None, 0)


def test_a_reader_whose_rows_are_taken_away_has_no_case_left(
    judged: Settings, dashboard: Dashboard, shared: Databases
) -> None:
    for side in servers.SIDES:
        shared.execute(side.name, f"DELETE FROM {side.access} WHERE user_name = '{READER}'")
    assert shown(dashboard.open("cases")) == set()
    assert len(stored(loader.load())) == 2
