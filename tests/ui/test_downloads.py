"""A link to a workbook is valid for a minute, in its session, browser and sign-in only."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lib.ui import downloads

MINE = {downloads.BROWSER: "b" * 32, "_streamlit_user": "ana", "other": "1"}


class Context:
    """A stand-in for the current session and its cookies."""

    session_id = "session-1"
    cookies = SimpleNamespace(to_dict=lambda: MINE)


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The connected sessions; the script runs in the first."""
    sessions = {"session-1"}
    monkeypatch.setattr(downloads, "get_script_run_ctx", Context)
    monkeypatch.setattr(downloads.st, "context", Context)
    runtime = SimpleNamespace(is_active_session=sessions.__contains__)
    monkeypatch.setattr(downloads.Runtime, "instance", lambda: runtime)
    return sessions


def ticket() -> str:
    return downloads.link("version-1", "nome.xlsx").rsplit("/", 1)[1]


def test_a_link_is_valid_in_the_browser_it_was_made_for(alive: set[str]) -> None:
    held = downloads._valid_ticket(ticket(), MINE | {"other": "2"})
    assert held is not None
    assert (held["version"], held["name"]) == ("version-1", "nome.xlsx")


@pytest.mark.parametrize(
    "cookies",
    [
        {},
        {downloads.BROWSER: "c" * 32, "_streamlit_user": "ana"},
        {downloads.BROWSER: "b" * 32},
        {downloads.BROWSER: "b" * 32, "_streamlit_user": "rui"},
        {downloads.BROWSER: "b" * 32, "_streamlit_user": "ana", "_streamlit_user__1": "x"},
    ],
    ids=["none", "another browser", "signed out", "another person", "another sign-in"],
)
def test_it_is_invalid_elsewhere(alive: set[str], cookies: dict[str, str]) -> None:
    assert downloads._valid_ticket(ticket(), cookies) is None


def test_a_browser_without_a_cookie_gets_no_file(
    alive: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "cookies", SimpleNamespace(to_dict=dict))
    assert downloads._valid_ticket(ticket(), {}) is None


def test_it_lasts_a_minute(alive: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    link = ticket()
    now = downloads.time.time()
    monkeypatch.setattr(downloads.time, "time", lambda: now + downloads.LIFE_SECONDS - 1)
    assert downloads._valid_ticket(link, MINE) is not None
    monkeypatch.setattr(downloads.time, "time", lambda: now + downloads.LIFE_SECONDS + 1)
    assert downloads._valid_ticket(link, MINE) is None


def test_it_ends_with_its_session(alive: set[str]) -> None:
    link = ticket()
    alive.clear()
    assert downloads._valid_ticket(link, MINE) is None


def test_any_other_ticket_is_refused(alive: set[str]) -> None:
    good = ticket()
    text, _, signature = good.partition(".")
    for sent in ("", ".", text, f"{text}.", f"{text}x.{signature}", f".{signature}", "é.é"):
        assert downloads._valid_ticket(sent, MINE) is None
