"""What every test may ask for: real databases, and how hard hypothesis tries."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.servers import Databases, Servers

# A configuration that a whole group may write is refused, and these are written by any account.
os.umask(0o022)
settings.register_profile("default", max_examples=200, deadline=None)
settings.register_profile("nightly", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a test are recorded with the test, and not in the user's own history."""
    folder = tmp_path_factory.getbasetemp() / "state" / secrets.token_hex(8)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


@pytest.fixture
def within_reach() -> Iterator[Path]:
    """A folder that other accounts may enter, as they cannot pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One pair of PostgreSQL servers for each test process (with xdist, for each worker)."""
    # Tests without a database do not wait for the driver and the servers' package.
    from tests.support.servers import Servers

    pair = Servers()
    yield pair
    pair.close()


@pytest.fixture
def databases(servers: Servers) -> Iterator[Databases]:
    """Empty databases on both servers, this test's own."""
    pair = servers.fresh()
    yield pair
    servers.drop(pair)
