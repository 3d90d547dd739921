"""Dashboards over real databases, and Chromium to open them; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from lib.ui import tables
from tests.support import driving, scenario
from tests.support.driving import Server, Visit, new_page
from tests.support.provider import Provider
from tests.support.servers import Databases, Servers

Opened = Callable[..., Visit]


def rows(count: int) -> str:
    """The number of rows, as a table says it."""
    return tables.ROWS[1].format(count=count)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a process."""
    if driving.chromium() is None:
        pytest.skip(driving.NOT_FOUND)
    with sync_playwright() as playwright:
        browser = driving.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """An OpenID provider on this machine."""
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="session")
def filled(chromium: Browser, servers: Servers) -> Iterator[Databases]:
    """Databases with one record of every kind, for tests that only read."""
    databases = servers.fresh()
    scenario.fill(databases)
    yield databases
    servers.drop(databases)


@pytest.fixture(scope="session")
def configuration(filled: Databases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file that reads those databases."""
    return scenario.site(tmp_path_factory.mktemp("configuration"), filled.values)


@pytest.fixture(scope="session")
def server(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard that the tests of a process share."""
    running = Server(tmp_path_factory.mktemp("server"), configuration)
    yield running
    running.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[Path | None], Server]]:
    """Start a server without any session yet."""
    running: list[Server] = []

    def start(configuration: Path | None) -> Server:
        running.append(Server(tmp_path, configuration))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Opened]:
    """Open the shared dashboard, or the given one, in a browser profile of its own.

    At the end of the test, the console must have no error and no request may have left for
    another address.
    """
    visits: list[Visit] = []

    def open_page(
        address: str = "/", *, at: Server | None = None, settled: bool = True, **options: Any
    ) -> Visit:
        visit = Visit(new_page(chromium, **options), at or server)
        visits.append(visit)
        return visit.open(address) if settled else visit.go(address)

    yield open_page
    for visit in visits:
        visit.page.context.close()
    assert [visit.errors for visit in visits if visit.errors] == []
    assert [visit.elsewhere for visit in visits if visit.elsewhere] == []
