"""The landing page's line about cases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lib.delivery import state_file
from lib.ui import case_board, cases_summary
from tests.support import judging
from tests.support.dashboard import Dashboard, texts
from tests.support.scenario import FIELD, LONELY, today
from tests.support.sentences import says


def counted(forms: tuple[str, str], count: int) -> str:
    return forms[count != 1].format(count=count)


def test_before_the_first_report_nothing_is_said_of_cases(morning: Dashboard) -> None:
    assert not says(texts(morning.open("overview")), cases_summary.SINCE)


def test_new_resolved_and_open_cases_and_the_oldest_are_one_line(
    morning: Dashboard, tmp_path: Path
) -> None:
    judging.judge(tmp_path)
    said = texts(morning.open("overview"))
    assert says(said, cases_summary.SINCE)
    assert counted(cases_summary.NEW, 2) in said
    yesterday = today() - timedelta(days=1)
    log = (LONELY, yesterday, "12:00:05", "00", "Compra aprovada", f"0100{FIELD}")
    morning.databases.fill(auth_logs=[log])
    judging.judge(tmp_path)
    said = texts(morning.open("overview"))
    for forms, count in (
        (cases_summary.NEW, 0),
        (cases_summary.RESOLVED, 1),
        (cases_summary.OPEN, 1),
        (cases_summary.OLDEST, 0),
    ):
        assert counted(forms, count) in said


@pytest.mark.parametrize(
    ("key", "shown"), [(cases_summary.SHOW_NEW, "novos"), (cases_summary.SHOW_OPEN, "abertos")]
)
def test_the_line_leads_to_the_cases(
    morning: Dashboard, tmp_path: Path, key: str, shown: str
) -> None:
    judging.judge(tmp_path)
    at = morning.open("overview")
    at.button(key=key).click().run()
    assert at.title[0].value == "Acompanhamento"
    assert at.selectbox(key=case_board.SHOW).value == shown


def test_a_store_that_cannot_be_read_is_said_and_not_shown_as_no_cases(
    morning: Dashboard, tmp_path: Path
) -> None:
    state_file.path_of(judging.judge(tmp_path)).write_bytes(b"isto nao e um banco" * 100)
    at = morning.open("overview")
    assert not at.exception
    assert says(texts(at), state_file.NOT_A_HISTORY)
