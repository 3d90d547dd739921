"""The board of cases: what it lists, and marks that nobody may set or overwrite unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.config.settings import Settings
from lib.database import row_level_security
from lib.delivery import case_labels, case_marks, case_queries, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_marks import Mark
from lib.domain import cases
from lib.domain.outcomes import Outcome
from lib.security import audit_events
from lib.security.audit_events import Actor
from lib.ui import app_state, case_board, case_details, case_form, guard
from lib.ui.app_state import Site
from lib.ui.case_form import Names
from lib.ui.session_user import Visitor
from tests.support import judging
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.judging import stored
from tests.support.scenario import LONELY, MERCHANT, UNKNOWN, masked
from tests.support.sentences import says

ONE, MANY = Names("casos_um"), Names("casos_varios")
OTHER, ME = Actor("rui@example.com", "test"), audit_events.account().name


@pytest.fixture
def judged(morning: Dashboard, tmp_path: Path) -> Settings:
    """The settings after one report: a log and a transaction need somebody."""
    return judging.judge(tmp_path)


@pytest.fixture
def admitted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change what the guard decides for this reader."""
    decide = guard.decide

    def change(**fields: Any) -> None:
        def decided(site: Site, visitor: Visitor) -> Any:
            admission = decide(site, visitor)
            assert isinstance(admission, guard.Admission)
            return replace(admission, **fields)

        monkeypatch.setattr(guard, "decide", decided)

    return change


def cards(at: AppTest) -> set[str]:
    return {str(card) for frame in frames(at)[:1] for card in frame["card"]}


def open_case(dashboard: Dashboard, key: str) -> AppTest:
    at = dashboard.open("cases")
    at.session_state[case_board.OPENED] = key
    return at.run()


def by_somebody_else(settings: Settings, key: str, version: int, change: Mark) -> None:
    case_marks.mark(settings, [MERCHANT], OTHER, MERCHANT, {key: version}, change)


def audited(kind: str) -> list[dict[str, Any]]:
    lines = Path(str(loader.load().audit.path)).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def errors(at: AppTest) -> str:
    return "\n".join(unescaped(error.value) for error in at.error)


def keys(at: AppTest) -> list[str | None]:
    return [button.key for button in at.button]


def test_without_a_report_the_board_says_so(morning: Dashboard) -> None:
    at = morning.open("cases")
    assert not at.exception
    assert case_board.NO_CASES in texts(at)


def test_the_board_lists_the_open_cases_with_their_figures(
    morning: Dashboard, judged: Settings, tmp_path: Path
) -> None:
    at = morning.open("cases")
    assert not at.exception
    assert cards(at) == {masked(UNKNOWN), masked(LONELY)}
    assert set(frames(at)[0]["status"]) == {"novo"}
    assert [metric.value for metric in at.metric] == ["2", "0", "2", "0 dias"]
    judging.judge(tmp_path)
    assert set(frames(morning.open("cases"))[0]["status"]) == {"aberto"}


def test_the_filters_narrow_the_board_and_are_in_its_address(
    morning: Dashboard, judged: Settings
) -> None:
    key = stored(judged)[LONELY[-4:]].key
    by_somebody_else(judged, key, 0, Mark(status=cases.IN_ANALYSIS, owner="Ana"))
    at = morning.open("cases", **{case_board.OWNER: "Ana"})
    assert cards(at) == {masked(LONELY)}
    at = morning.open("cases", **{case_board.OWNER: "-"})
    assert cards(at) == {masked(UNKNOWN)}
    at.text_input(key=case_board.SEARCH).input("nada disso").run()
    assert case_board.NONE_FOUND in texts(at)
    assert at.query_params[case_board.SEARCH] == "nada disso"
    at = morning.open("cases", **{case_board.AGE: "4"})
    assert case_board.NONE_FOUND in texts(at)
    at = morning.open("cases", **{case_board.MARK: ["em análise"]})
    assert cards(at) == {masked(LONELY)}
    at = morning.open("cases", **{case_board.SHOW: "resolvidos"})
    assert case_board.NONE_FOUND in texts(at)


def test_the_owner_of_an_accepted_case_can_be_chosen(morning: Dashboard, judged: Settings) -> None:
    key = stored(judged)[LONELY[-4:]].key
    by_somebody_else(judged, key, 0, Mark(status=cases.ACCEPTED, reason="ok", owner="Ana"))
    at = morning.open("cases", **{case_board.OWNER: "Ana", case_board.MARK: [cases.ACCEPTED]})
    assert cards(at) == {masked(LONELY)}
    assert at.selectbox(key=case_board.OWNER).value == "Ana"


def test_a_case_is_marked_with_owner_and_note_and_its_timeline_says_by_whom(
    morning: Dashboard, judged: Settings
) -> None:
    case = stored(judged)[UNKNOWN[-4:]]
    at = open_case(morning, case.key)
    at.selectbox(key=ONE["situacao"]).set_value(cases.IN_ANALYSIS)
    at.text_area(key=ONE["nota"]).input("Pedi o extrato, cartão 4539578763621486")
    at.button(key=ONE["marcar"]).click().run()
    assert not at.exception
    now = stored(judged)[UNKNOWN[-4:]]
    assert (now.status, now.owner, now.version) == (cases.IN_ANALYSIS, None, 1)
    timeline = frames(at)[-1]
    assert "Pedi o extrato, cartão ******" in set(timeline["what"])
    assert any("em análise" in text for text in timeline["what"])
    [record] = audited("mark")
    assert (record["merchant"], record["keys"]) == (MERCHANT, [case.key])
    # The reader's own mark is no conflict with the next one.
    at.selectbox(key=ONE["responsavel"]).set_value(ME)
    at.button(key=ONE["marcar"]).click().run()
    assert stored(judged)[UNKNOWN[-4:]].owner == ME


def test_a_mark_on_what_somebody_changed_meanwhile_is_shown_and_not_overwritten(
    morning: Dashboard, judged: Settings
) -> None:
    case = stored(judged)[UNKNOWN[-4:]]
    at = open_case(morning, case.key)
    by_somebody_else(judged, case.key, case.version, Mark(status=cases.RESOLVED, owner="Rui"))
    at.selectbox(key=ONE["situacao"]).set_value(cases.IN_ANALYSIS)
    at.button(key=ONE["marcar"]).click().run()
    assert says("\n".join(unescaped(w.value) for w in at.warning), case_form.CONFLICT[0])
    assert OTHER.name in {who for frame in frames(at) if "who" in frame for who in frame["who"]}
    assert stored(judged)[UNKNOWN[-4:]].status == cases.RESOLVED
    # Who has seen the change may mark the case.
    at.button(key=ONE["marcar"]).click().run()
    assert stored(judged)[UNKNOWN[-4:]].status == cases.IN_ANALYSIS


def test_each_of_identical_records_says_that_they_are_interchangeable(
    morning: Dashboard, tmp_path: Path
) -> None:
    logs = "authentication.transaction_logs"
    again = f"INSERT INTO {logs} SELECT * FROM {logs} WHERE card_number = '{UNKNOWN}'"
    morning.databases.execute("auth_logs", again)
    settings = judging.judge(tmp_path)
    path = state_file.path_of(settings)
    alike: dict[str | None, list[Any]] = {}
    for case in case_queries.each(path, MERCHANT, Filter()):
        at = open_case(morning, case.key)
        said = "\n".join(unescaped(caption.value) for caption in at.caption)
        number = case.alike if says(said, case_details.ALIKE) else None
        alike.setdefault(case.values["num_cartao"], []).append(number)
    assert sorted(alike[masked(UNKNOWN)]) == [1, 2]
    assert alike[masked(LONELY)] == [None]


def test_all_found_cases_are_marked_once_their_number_is_confirmed(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("cases")
    at.button(key=case_board.SELECTION.mark_all).click().run()
    at.selectbox(key=MANY["situacao"]).set_value(cases.ACCEPTED)
    at.button(key=MANY["marcar"]).click().run()
    assert says(errors(at), case_form.WRONG_NUMBER)
    at.number_input(key=MANY["numero"]).set_value(3)
    at.button(key=MANY["marcar"]).click().run()
    assert says(errors(at), case_form.WRONG_NUMBER)
    at.number_input(key=MANY["numero"]).set_value(2)
    at.button(key=MANY["marcar"]).click().run()
    assert case_marks.NO_REASON in errors(at)
    at.text_input(key=MANY["motivo"]).input("Tarifa conhecida")
    at.button(key=MANY["marcar"]).click().run()
    assert {case.status for case in stored(judged).values()} == {cases.ACCEPTED}
    assert len(audited("mark")[0]["keys"]) == 2


def test_selected_cases_are_marked_and_the_others_are_not(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("cases")
    case = stored(judged)[LONELY[-4:]]
    at.session_state[case_board.SELECTION.chosen] = {case.key: case.version}
    at.run()
    at.button(key=case_board.SELECTION.mark_chosen).click().run()
    at.selectbox(key=MANY["responsavel"]).set_value(ME)
    at.button(key=MANY["marcar"]).click().run()
    assert {number: case.owner for number, case in stored(judged).items()} == {
        LONELY[-4:]: ME,
        UNKNOWN[-4:]: None,
    }


def test_without_the_role_there_is_no_form_and_a_late_click_marks_nothing(
    morning: Dashboard, judged: Settings, admitted: Callable[..., None]
) -> None:
    case = stored(judged)[UNKNOWN[-4:]]
    at = open_case(morning, case.key)
    at.selectbox(key=ONE["situacao"]).set_value(cases.RESOLVED)
    admitted(analyst=())
    at.button(key=ONE["marcar"]).click().run()
    assert stored(judged)[UNKNOWN[-4:]].status is None
    at = open_case(morning, case.key)
    assert case_form.READ_ONLY in texts(at)
    assert ONE["marcar"] not in keys(at)
    assert case_board.SELECTION.mark_all not in keys(at)
    assert audited("mark") == []


def test_a_case_of_another_merchant_is_neither_shown_nor_marked(
    morning: Dashboard, judged: Settings, admitted: Callable[..., None]
) -> None:
    [foreign] = [cnpj for cnpj in judged.merchants if cnpj != MERCHANT][:1]
    case = stored(judged)[UNKNOWN[-4:]]
    admitted(merchants={foreign: judged.merchants[foreign]}, analyst=(foreign,))
    at = morning.open("cases", estabelecimento=MERCHANT)
    assert masked(UNKNOWN) not in texts(at)
    assert case_board.NO_CASES in texts(at)
    # A key in the session, and one handed to the form of the reader's own merchant.
    at = open_case(morning, case.key)
    assert ONE["marcar"] not in keys(at)
    at.session_state[case_board.SELECTION.marking] = {case.key: case.version}
    at.run()
    assert not at.exception
    assert stored(judged)[UNKNOWN[-4:]].version == 0
    assert audited("mark") == []


def test_with_row_level_security_only_cases_of_the_readers_rows_are_shown(
    morning: Dashboard, judged: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGGREGATOR__ROW_LEVEL_SECURITY", "true")
    monkeypatch.setattr(row_level_security, "prove", lambda *_: None)
    app_state.forget()
    mine = stored(judged)[LONELY[-4:]].key
    visible, seen = case_labels.visible, set[str]()

    def some(path: Path, outcome: Outcome) -> frozenset[str]:
        seen.update(visible(path, outcome))
        return frozenset([mine])

    monkeypatch.setattr(case_labels, "visible", some)
    at = morning.open("cases")
    assert not at.exception
    assert case_board.OWN_ROWS in texts(at)
    assert cards(at) == {masked(LONELY)}
    assert [metric.value for metric in at.metric] == ["1", "0", "1", "0 dias"]
    assert seen == {case.key for case in stored(judged).values()}
    foreign = stored(judged)[UNKNOWN[-4:]].key
    at.session_state[case_board.OPENED] = foreign
    assert ONE["marcar"] not in keys(at.run())


def test_what_a_reader_sees_of_the_board_is_in_the_audit(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("cases")
    at.text_input(key=case_board.SEARCH).input("4539578763621486").run()
    views = [record for record in audited("view") if record["page"] == "cases"]
    assert [view.get("search") for view in views] == [None, "453957******1486"]


def test_the_board_is_in_english_for_who_reads_english(
    morning: Dashboard, judged: Settings
) -> None:
    at = morning.open("cases", locale="en-US")
    assert at.title[0].value == "Cases"
    assert set(frames(at)[0]["status"]) == {"new"}


def test_a_case_its_timeline_and_its_form_are_in_english(
    morning: Dashboard, judged: Settings
) -> None:
    case = stored(judged)[UNKNOWN[-4:]]
    by_somebody_else(judged, case.key, 0, Mark(status=cases.IN_ANALYSIS, owner="Rui"))
    at = morning.open("cases", locale="en-US")
    at.session_state[case_board.OPENED] = case.key
    at.run()
    timeline = frames(at)[-1]
    assert set(timeline["what"]) == {"case opened", "marked: in analysis", "owner: Rui"}
    assert "in analysis" in at.selectbox(key=ONE["situacao"]).options
    portuguese = re.compile(r"[ãõç]|\b(caso|casos|situação|marca|responsável|dias|desde)\b", re.I)
    shown = [texts(at), *(str(x.label) for x in (*at.selectbox, *at.button, *at.text_area))]
    # The names of the page's records stay as they are stored.
    assert [text for text in shown if portuguese.search(text)] == []


def test_a_store_that_cannot_be_read_is_one_sentence(morning: Dashboard, judged: Settings) -> None:
    state_file.path_of(judged).write_bytes(b"isto nao e um banco" * 100)
    at = morning.open("cases")
    assert not at.exception
    assert says(errors(at), state_file.NOT_A_HISTORY)
