"""The state file of a test, settings that name it, and a folder for copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.database import retry
from tests.support.stored_cases import MERCHANT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


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
