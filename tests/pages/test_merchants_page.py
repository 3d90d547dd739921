"""The page of the merchants: their figures side by side, for readers of more than one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.database import row_level_security
from lib.ui import app_state, guard, merchants
from lib.ui.app_state import Site
from lib.ui.session_user import Visitor
from tests.support import judging
from tests.support.dashboard import Dashboard, texts
from tests.support.scenario import MERCHANT
from tests.support.sentences import says


def test_each_merchant_has_its_last_run_its_cases_and_its_reach(
    morning: Dashboard, tmp_path: Path
) -> None:
    judging.judge(tmp_path)
    at = morning.open("merchants")
    assert not at.exception
    said = texts(at)
    assert says(said, merchants.LAST_RUN)
    assert says(said, merchants.REACH)
    assert says(said, merchants.NO_RUN)  # of the other merchant
    assert {metric.label: metric.value for metric in at.metric}["Abertos"] == "2"
    at.button(key=f"{merchants.CASES}_{MERCHANT}").click().run()
    assert not at.exception
    assert at.session_state["estabelecimento"] == MERCHANT


def test_a_merchant_that_is_not_the_readers_is_not_shown(
    morning: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging.judge(tmp_path)
    decide = guard.decide

    def decided(site: Site, visitor: Visitor) -> Any:
        admission = decide(site, visitor)
        assert isinstance(admission, guard.Admission)
        others = {k: v for k, v in admission.merchants.items() if k != MERCHANT}
        return replace(admission, merchants=others)

    monkeypatch.setattr(guard, "decide", decided)
    said = texts(morning.open("merchants"))
    assert "Loja Exemplo" not in said
    assert says(said, merchants.NO_RUN)


def test_with_row_level_security_no_figures_of_whole_merchants_are_shown(
    morning: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging.judge(tmp_path)
    monkeypatch.setenv("AGGREGATOR__ROW_LEVEL_SECURITY", "true")
    monkeypatch.setattr(row_level_security, "prove", lambda *_: None)
    app_state.forget()
    at = morning.open("merchants")
    assert merchants.WHOLE_MERCHANTS in texts(at)
    assert len(at.metric) == 0
