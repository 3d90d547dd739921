"""What the server keeps for all sessions: one collector, and the current configuration."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.config import loader
from lib.config.settings import ROOT
from lib.ui import app_state, garbage_collection
from tests.support.command import configured, with_query

SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
VALUES = {"merchants": {"12345678000195": "Loja"}, "transactions": SOURCE, "auth_logs": SOURCE}
QUERY = (ROOT / "lib" / "database" / "sql" / "transactions.sql").read_text(encoding="utf-8")


def test_sessions_that_open_at_once_start_one_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    together = threading.Barrier(8)
    monkeypatch.setattr(garbage_collection.temp_folders, "sweep", lambda: started.append(1))
    monkeypatch.setattr(garbage_collection, "_collect", lambda: None)
    garbage_collection._started.cache_clear()

    def open_page() -> None:
        together.wait(30)
        garbage_collection.start()

    sessions = [threading.Thread(target=open_page) for _ in range(8)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    garbage_collection._started.cache_clear()
    assert started == [1]


def edited(file: Path) -> None:
    file.write_text(f"{QUERY}\n-- edited", encoding="utf-8")


def replaced(file: Path) -> None:
    other = file.with_name("other.sql")
    other.write_text(QUERY, encoding="utf-8")
    os.replace(other, file)


def removed(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("side", ["transactions", "auth_logs"])
@pytest.mark.parametrize("change", [edited, replaced, removed])
def test_a_changed_query_file_is_read_at_the_next_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str, change: Callable[[Path], None]
) -> None:
    values = with_query(VALUES, side, tmp_path, QUERY)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(configured(tmp_path, values)))
    settings = loader.load()
    site = app_state.Site(settings, False, app_state.defaults.local_today(settings))
    assert site.is_current
    change(tmp_path / f"{side}.sql")
    assert not site.is_current
