"""The state file of a test, and settings that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.config import loader
from lib.config.settings import Settings
from tests.delivery.test_case_states import MERCHANT


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
