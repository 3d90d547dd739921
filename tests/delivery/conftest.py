"""The state file of a test, its history of runs, and what copies and notices go through."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.database import retry
from lib.delivery import notice_sending
from lib.delivery.history import History
from tests.support.stored_cases import MERCHANT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


@pytest.fixture
def record(path: Path) -> History:
    return History(path)


@pytest.fixture
def settings(path: Path, tmp_path: Path) -> Settings:
    source = {"host": "localhost", "database": "d", "user": "u"}
    values = {
        "merchants": {MERCHANT: "Loja Exemplo"},
        "transactions": source,
        "auth_logs": source,
        "history": {"path": str(path)},
        "audit": {"path": str(tmp_path / "audit.jsonl")},
    }
    return loader.from_values(values, "teste", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for copies, as if it were mounted."""
    there = tmp_path / "montada"
    there.mkdir()
    return there


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture(scope="session")
def library() -> None:
    """Load Apprise, which takes most of the time limit on a busy machine, before the tests."""
    notice_sending._Library.load()
