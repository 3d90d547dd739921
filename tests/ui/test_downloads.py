"""The one way out of the dashboard: a link for a minute, one session, one browser, one sign-in."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from lib.config import loader
from lib.domain.errors import AuditError
from lib.domain.requests import Period
from lib.ui import app_state, downloads, guard, http_filter, session_user
from lib.ui.app_state import Site
from lib.ui.session_user import Visitor

FIRST, SECOND = "12345678000195", "98765432000198"
SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
ANA: dict[str, Any] = {"roles": ["analyst", "clear_data"], "merchants": [FIRST]}
MINE = {http_filter.BROWSER: "b" * 32, "_streamlit_user": "ana", "other": "1"}
CONTENT = b"PK the workbook"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def site(**people: Any) -> Site:
    """A site where these people have grants."""
    access = {"people": {f"{name}@example.com": grant for name, grant in people.items()}}
    merchants = {FIRST: "Loja", SECOND: "Outra"}
    keys = {"merchants": merchants, "transactions": SOURCE, "auth_logs": SOURCE, "access": access}
    settings = loader.from_values(keys, "teste", {})
    return cast(Site, SimpleNamespace(settings=settings, demo=False))


class World:
    """One session of Ana's browser, the configuration, and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sessions = {"session-1"}
        self.site: Site | None = site(ana=ANA)
        self.expires = time.time() + 3600
        self.cookies = dict(MINE)
        context = SimpleNamespace(
            session_id="session-1", cookies=SimpleNamespace(to_dict=lambda: dict(MINE))
        )
        runtime = SimpleNamespace(is_active_session=self.sessions.__contains__)
        monkeypatch.setattr(downloads, "get_script_run_ctx", lambda: context)
        monkeypatch.setattr(downloads.st, "context", context)
        monkeypatch.setattr(downloads.Runtime, "instance", lambda: runtime)
        monkeypatch.setattr(session_user, "sign_in_configured", lambda: True)
        monkeypatch.setattr(session_user, "visitor", self.visitor)
        monkeypatch.setattr(app_state, "find", lambda: self.site)
        monkeypatch.setattr(guard, "admission", self.admission)
        routes, middleware = downloads.routes(), http_filter.middleware()
        self._app = Starlette(routes=routes, middleware=middleware)

    def visitor(self) -> Visitor:
        claims = {"is_logged_in": True, "email": "ana@example.com", "exp": self.expires}
        return Visitor(claims, "10.1.2.3", at_this_machine=False)

    def admission(self) -> guard.Admission | None:
        decision = guard.decide(self.site, self.visitor()) if self.site else None
        return decision if isinstance(decision, guard.Admission) else None

    def get(self, link: str | None, **headers: str) -> Any:
        assert link is not None
        # Its own thread: a browser test of the same process leaves a loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(anyio.run, self._get, link, headers).result()

    async def _get(self, link: str, headers: dict[str, str]) -> Any:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8501", cookies=self.cookies
        ) as client:
            return await client.get(link, headers=headers)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(monkeypatch)
    downloads._OFFERS.clear()


def file(content: bytes | Path = CONTENT, merchant: str = FIRST, **more: Any) -> downloads.File:
    return downloads.File("relatório ção.xlsx", content, DIGEST, merchant, **more)


def test_the_link_gives_the_file_with_its_name_and_is_stored_nowhere(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "kept.xlsx"
    path.write_bytes(CONTENT)
    for content in (CONTENT, path):
        answer = world.get(downloads.link(file(content)))
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-length"] == str(len(CONTENT))
        name = "filename*=utf-8''relat%C3%B3rio%20%C3%A7%C3%A3o.xlsx"
        assert answer.headers["content-disposition"] == f"attachment; {name}"


@pytest.mark.parametrize(
    "cookies",
    [
        {},
        {http_filter.BROWSER: "c" * 32, "_streamlit_user": "ana"},
        {http_filter.BROWSER: "b" * 32},
        {http_filter.BROWSER: "b" * 32, "_streamlit_user": "rui"},
        {http_filter.BROWSER: "b" * 32, "_streamlit_user": "ana", "_streamlit_user__1": "x"},
    ],
    ids=["none", "another browser", "signed out", "another person", "another sign-in"],
)
@pytest.mark.parametrize("clear", [False, True])
def test_another_browser_or_sign_in_is_refused(
    world: World, cookies: dict[str, str], clear: bool
) -> None:
    link = downloads.link(file(clear=clear))
    world.cookies = cookies
    assert world.get(link).status_code == 403


def test_the_link_ends_with_its_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = downloads.link(file())
    now = time.monotonic()
    monkeypatch.setattr(downloads.time, "monotonic", lambda: now + downloads.LIFE_SECONDS - 1)
    assert world.get(link).status_code == 200
    monkeypatch.setattr(downloads.time, "monotonic", lambda: now + downloads.LIFE_SECONDS + 1)
    assert world.get(link).status_code == 403
    downloads.forget_old()
    assert downloads._OFFERS == {}


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.sessions.clear(),
        lambda world: setattr(world, "site", site(rui=ANA)),
        lambda world: setattr(world, "site", site(ana={**ANA, "roles": ["auditor"]})),
        lambda world: setattr(world, "site", site(ana={**ANA, "merchants": [SECOND]})),
        lambda world: setattr(world, "site", None),
    ],
    ids=["session over", "no grant", "another role", "another merchant", "being read again"],
)
def test_the_rights_are_those_at_the_click(world: World, change: Any, clear: bool) -> None:
    link = downloads.link(file(clear=clear))
    change(world)
    assert world.get(link).status_code == 403


def test_a_sign_in_that_expired_since_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = downloads.link(file())
    monkeypatch.setattr(session_user.time, "time", lambda: world.expires + 1)
    assert world.get(link).status_code == 403


def test_a_clear_file_needs_the_clear_role_of_its_merchant(world: World) -> None:
    world.site = site(ana={"roles": ["analyst"], "merchants": [FIRST]})
    assert downloads.link(file()) is not None
    assert downloads.link(file(clear=True)) is None
    assert downloads.link(file(merchant=SECOND)) is None
    world.site = site(ana=ANA)
    link = downloads.link(file(clear=True))
    world.site = site(ana={"roles": ["analyst"], "merchants": [FIRST]})
    assert world.get(link).status_code == 403


def test_a_file_that_is_another_by_now_is_not_sent(world: World, tmp_path: Path) -> None:
    path = tmp_path / "kept.xlsx"
    path.write_bytes(CONTENT)
    link = downloads.link(file(path))
    path.write_bytes(b"PK a clear one in its place")
    assert world.get(link).status_code == 403
    path.unlink()
    assert world.get(link).status_code == 403
    assert world.get(downloads.link(file(b"PK other bytes"))).status_code == 403


def test_the_delivery_is_recorded_before_the_file_leaves(world: World) -> None:
    recorded: list[str] = []
    link = downloads.link(file(record=lambda: recorded.append("export")))
    assert recorded == []
    assert world.get(link).content == CONTENT
    assert recorded == ["export"]
    world.cookies = {}
    world.get(link)
    assert recorded == ["export"], "a refused request is no delivery"


def test_without_its_record_no_file_leaves(world: World) -> None:
    def fail() -> None:
        raise AuditError("A auditoria não aceita registros.")

    answer = world.get(downloads.link(file(clear=True, record=fail)))
    assert (answer.status_code, CONTENT in answer.content) == (503, False)


def test_any_other_ticket_is_refused(world: World) -> None:
    good = downloads.link(file())
    assert good is not None
    text, _, signature = good.partition(".")
    for sent in (text, f"{text}.", f"{text}x.{signature}", f"/planilha/.{signature}"):
        assert world.get(sent).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8501.evil.example"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_a_page_of_another_origin_gets_nothing(world: World, headers: dict[str, str]) -> None:
    link = downloads.link(file())
    assert world.get(link, **headers).status_code == 403
    for own in ({"Origin": "http://127.0.0.1:8501"}, {"Sec-Fetch-Site": "same-origin"}):
        assert world.get(link, **own).status_code == 200


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/base/_stcore/metrics"])
def test_the_servers_own_figures_are_closed(world: World, path: str) -> None:
    assert world.get(path).status_code == 404


def test_a_name_holds_nothing_that_a_file_system_refuses() -> None:
    days = Period(date(2026, 11, 18), date(2026, 11, 28), date(2026, 11, 28))
    day = Period(date(2026, 11, 28), date(2026, 11, 28), date(2026, 11, 28))
    named = downloads.file_name
    assert named("Loja Exemplo", days) == "Loja Exemplo 2026-11-18 a 2026-11-28.xlsx"
    assert named(r'..A/B\C:"<*?>|' + "\n", day, "em claro") == "A B C 2026-11-28 (em claro).xlsx"
    assert named("/", day, ending="csv") == "2026-11-28.csv"
    assert len(named("é" * 400, days).encode()) < 255
