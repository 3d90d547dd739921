"""A dashboard over real databases, empty or with one record of every kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.config import loader
from lib.ui import app_state, downloads, session_user
from tests.support import scenario
from tests.support.dashboard import Dashboard
from tests.support.servers import Databases


@pytest.fixture
def dashboard(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dashboard]:
    """A dashboard over empty databases."""
    monkeypatch.setenv(loader.FILE_VARIABLE, str(scenario.site(tmp_path, databases.values)))
    # There is no server here, so the session has no address.
    monkeypatch.setattr(session_user, "at_this_machine", lambda: True)
    app_state.forget()
    downloads._OFFERS.clear()
    yield Dashboard(databases)
    app_state.forget()
    downloads._OFFERS.clear()


@pytest.fixture
def morning(dashboard: Dashboard) -> Dashboard:
    """A dashboard over the records of `scenario`."""
    scenario.fill(dashboard.databases)
    return dashboard


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Restores the main module, which a page replaces and worker processes load."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
