"""A dashboard over real databases, empty or with one record of every kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import config
from lib.ui import identity, site
from tests.pages import scenario
from tests.pages.dashboard import Dashboard
from tests.servers import Databases


@pytest.fixture
def dashboard(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dashboard]:
    """A dashboard over empty databases."""
    monkeypatch.setenv(config.FILE_VARIABLE, str(scenario.site(tmp_path, databases.values)))
    # Nothing is served here, so there is no address to look at.
    monkeypatch.setattr(identity, "at_this_machine", lambda: True)
    site.forget()
    yield Dashboard(databases)
    site.forget()


@pytest.fixture
def morning(dashboard: Dashboard) -> Dashboard:
    """A dashboard over the records of `scenario`."""
    scenario.fill(dashboard.databases)
    return dashboard


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """A page that runs takes the place of the main module, which worker processes load."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
