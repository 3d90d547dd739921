"""The page that leads to one's own databases: steps, both sides checked, what sign-in needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.delivery import diagnosis
from lib.demo import servers as demo
from lib.ui import app_state, navigation, page, session_user, setup, source_check
from tests.support.dashboard import Dashboard, texts, unescaped
from tests.support.sentences import says
from tests.support.servers import Servers


def check(at: AppTest) -> None:
    """Press the button that checks both databases."""
    # The test's runner opens the page's file without the entry, and the rerun loses the click.
    at.session_state[navigation._ENTERED] = True
    at.button(key=source_check.CHECK).click().run()


@pytest.fixture
def demonstration(morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dashboard:
    """A dashboard without a configuration, whose demonstration is this test's databases."""
    monkeypatch.delenv(loader.FILE_VARIABLE)
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(demo, "start", lambda: morning.databases.values)
    record = {"history": {"path": str(tmp_path / "history.sqlite")}}
    monkeypatch.setattr(app_state, "history_of_demo", lambda: record)
    app_state.forget()
    return morning


def test_the_banner_of_the_demonstration_leads_to_the_page(demonstration: Dashboard) -> None:
    [link] = demonstration.open("runs").get("page_link")
    assert link.proto.label == page.OWN
    assert link.proto.page.endswith("setup")
    said = texts(demonstration.open("setup"))
    assert setup.INIT in said
    assert setup.IN_USE_DEMO in said


def test_the_commands_are_those_of_the_servers_system() -> None:
    def codes(system: str) -> str:
        at = AppTest.from_string(f"from lib.ui import setup\nsetup.steps({system!r})").run()
        assert not at.exception
        return "\n".join(code.value for code in at.code)

    assert "make run" in codes("posix")
    assert "make" not in codes("nt")
    assert r".venv\Scripts\python aggregator.py dashboard" in codes("nt")


def test_both_sides_are_checked_together(morning: Dashboard) -> None:
    at = morning.open("setup")
    assert not at.exception
    for side in ("transactions", "auth_logs"):
        assert morning.databases.values[side]["database"] in texts(at)
    assert setup.IN_USE_DEMO not in texts(at)
    check(at)
    found = [unescaped(notice.value) for notice in at.success]
    assert len(found) == 2
    assert all(says(text, diagnosis.CONNECTED) for text in found)


def test_a_side_that_is_down_is_named_below_what_the_other_says(
    morning: Dashboard, servers: Servers
) -> None:
    at = morning.open("setup")
    servers.stop("auth_logs")
    try:
        check(at)
    finally:
        servers.start("auth_logs")
    [problem] = at.error
    assert unescaped(problem.value).startswith("auth_logs")
    [found] = at.success
    assert unescaped(found.value).startswith("transactions: PostgreSQL ")


def test_no_secret_is_asked_for_or_shown(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGGREGATOR__TRANSACTIONS__PASSWORD", "senha-secreta")
    app_state.forget()
    at = morning.open("setup")
    assert "senha-secreta" not in texts(at) + "".join(code.value for code in at.code)
    assert len(at.text_input) == len(at.text_area) == 0


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ({}, {"redirect_uri", "cookie_secret", "client_id", "client_secret"}),
        ({"redirect_uri": "u", "cookie_secret": "geheim"}, {"client_id", "client_secret"}),
        (
            {"redirect_uri": "u", "cookie_secret": "c", "idp": {"client_id": "i"}},
            {"client_secret"},
        ),
    ],
)
def test_what_sign_in_lacks_is_told_by_key(
    monkeypatch: pytest.MonkeyPatch, auth: dict[str, Any], missing: set[str]
) -> None:
    monkeypatch.setattr(session_user, "sign_in_configured", lambda: True)
    monkeypatch.setattr(session_user.st, "secrets", {"auth": auth})
    keys = session_user.sign_in_keys()
    assert {key for key, present in keys.items() if not present} == {
        *missing,
        "server_metadata_url",
    }
    assert set(keys.values()) <= {True, False}
