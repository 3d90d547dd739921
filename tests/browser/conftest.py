"""The dashboard in Chromium, over real databases; where there is no Chromium, loudly skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support import driving, scenario
from tests.support.driving import Server, Visit, new_page
from tests.support.provider import Provider
from tests.support.servers import Databases, Servers

Opened = Callable[..., Visit]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if driving.chromium() is None:
        terminalreporter.section("BROWSER TESTS", red=True, bold=True)
        terminalreporter.line(f"{driving.NOT_FOUND}. Install it (Debian: apt install chromium).")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if driving.chromium() is None:
        pytest.skip(driving.NOT_FOUND)
    with sync_playwright() as playwright:
        browser = driving.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """An OpenID provider of the tests' own."""
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="session")
def filled(chromium: Browser, servers: Servers) -> Iterator[Databases]:
    """One record of every kind, for tests that change nothing."""
    databases = servers.fresh()
    scenario.fill(databases)
    yield databases
    servers.drop(databases)


@pytest.fixture(scope="session")
def configuration(filled: Databases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that leads to them."""
    return scenario.site(tmp_path_factory.mktemp("configuration"), filled.values)


@pytest.fixture(scope="session")
def server(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard that the tests share."""
    running = Server(tmp_path_factory.mktemp("server"), configuration)
    yield running
    running.stop()


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Opened]:
    """Opens the shared dashboard (or the one given) in a browser of its own.

    Whatever a test does there, the console has no error and no request goes elsewhere.
    """
    visits: list[Visit] = []

    def opened(
        address: str = "/", *, at: Server | None = None, settled: bool = True, **options: Any
    ) -> Visit:
        seen = Visit(new_page(chromium, **options), at or server)
        visits.append(seen)
        return seen.open(address) if settled else seen.go(address)

    yield opened
    for one in visits:
        one.page.context.close()
    assert [one.errors for one in visits if one.errors] == []
    assert [one.elsewhere for one in visits if one.elsewhere] == []
