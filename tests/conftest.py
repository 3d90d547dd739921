"""Fixtures of every test, profiles of the property tests, and skipped tests."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.command import Command
    from tests.support.servers import Databases, Servers

# A configuration that a whole group may write is refused; tests write theirs under any umask.
os.umask(0o022)
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# A shell starts background jobs with SIGINT ignored, and `nohup` any with SIGHUP; programs inherit
# that. Behind any handler the programs that tests start and stop get the default back; the job
# itself still ignores it. Windows has no SIGHUP.
for number in {getattr(signal, name, None) for name in ("SIGINT", "SIGHUP")} - {None}:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("system"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report separately that tests were skipped because there is no browser."""
    skipped = terminalreporter.stats.get("skipped", [])
    if any("Chromium" in str(report.longrepr) for report in skipped):
        terminalreporter.section("CHROMIUM IS MISSING", red=True, bold=True)
        terminalreporter.line("No test drove a browser. Debian: apt-get install chromium.")


@pytest.fixture(autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the runs of a test beside the test, not in the user's own history."""
    folder = tmp_path_factory.getbasetemp() / "state" / secrets.token_hex(8)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


@pytest.fixture
def within_reach() -> Iterator[Path]:
    """A folder that other accounts may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One pair of PostgreSQL servers for each test process (with xdist, for each worker)."""
    # Imported here: tests without a database need neither the driver nor the servers' package.
    from tests.support.servers import Servers

    pair = Servers()
    yield pair
    pair.close()


@pytest.fixture
def databases(servers: Servers) -> Iterator[Databases]:
    """Empty databases on both servers, of this test alone."""
    pair = servers.fresh()
    yield pair
    servers.drop(pair)


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line over empty databases."""
    from tests.support.command import Command

    return Command(databases, tmp_path, capsys)


@pytest.fixture
def five_purchases(databases: Databases) -> None:
    """Five purchases of one day and their logs in the databases."""
    from tests.support.faults import fill

    fill(databases, 5)


@pytest.fixture
def scrubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process with redaction installed, as in the command's own process."""
    from lib.security import redaction

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = logging.getLogRecordFactory()
    redaction.install()
    yield
    logging.setLogRecordFactory(before)
