"""Saved views of tables in the state file: by person and table, replaced by name, removable."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.delivery import history, saved_views, state_file
from lib.delivery.saved_views import MOST, NO_NAME, TOO_MANY, View
from lib.domain.errors import ConfigError, HistoryError
from tests.support.sentences import pattern

VIEW = {"busca": "140,71", "filtros": {"motivo": ["negada"]}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a state file of their own, not written yet."""
    side = {"host": "localhost", "database": "d", "user": "u"}
    values = {
        "merchants": {"12345678000190": "Loja"},
        "transactions": side,
        "auth_logs": side,
        "history": {"path": str(tmp_path / "state" / "history.sqlite")},
    }
    return loader.from_values(values, "teste", {})


def test_a_view_is_read_by_its_person_and_table_only(settings: Settings) -> None:
    assert saved_views.read(settings, "ana", "divergences") == []
    saved = saved_views.save(settings, "ana", "divergences", "  Negadas   do dia ", VIEW)
    assert saved == View("Negadas do dia", VIEW)
    assert saved_views.read(settings, "ana", "divergences") == [saved]
    assert saved_views.read(settings, "rui", "divergences") == []
    assert saved_views.read(settings, "ana", "consolidated") == []


def test_the_same_name_replaces_and_removal_removes(settings: Settings) -> None:
    saved_views.save(settings, "ana", "divergences", "Negadas", VIEW)
    saved_views.save(settings, "ana", "divergences", "Negadas", {"busca": ""})
    saved_views.save(settings, "rui", "divergences", "Negadas", VIEW)
    assert saved_views.read(settings, "ana", "divergences") == [View("Negadas", {"busca": ""})]
    for _ in range(2):
        saved_views.remove(settings, "ana", "divergences", "Negadas")
    assert saved_views.read(settings, "ana", "divergences") == []
    assert saved_views.read(settings, "rui", "divergences") == [View("Negadas", VIEW)]


def test_a_view_needs_a_name_and_a_person_has_a_limit(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=pattern(NO_NAME)):
        saved_views.save(settings, "ana", "divergences", "  ", VIEW)
    for number in range(MOST):
        saved_views.save(settings, "ana", "divergences", f"Visão {number:02}", VIEW)
    with pytest.raises(ConfigError, match=pattern(TOO_MANY)):
        saved_views.save(settings, "ana", "divergences", "Mais uma", VIEW)
    saved_views.save(settings, "ana", "divergences", "Visão 00", {})
    assert len(saved_views.read(settings, "ana", "divergences")) == MOST


def test_a_file_from_before_the_views_gets_them_and_keeps_its_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(state_file, "VERSION", 1)
        older.setattr(state_file, "MIGRATIONS", state_file.MIGRATIONS[:1])
        with state_file.writing(state_file.path_of(settings)):
            pass
    assert saved_views.read(settings, "ana", "divergences") == []
    saved_views.save(settings, "ana", "divergences", "Negadas", VIEW)
    assert saved_views.read(settings, "ana", "divergences") == [View("Negadas", VIEW)]
    assert history.of(settings).runs() == []


def test_a_damaged_view_is_left_out_and_a_damaged_file_is_one_sentence(settings: Settings) -> None:
    saved_views.save(settings, "ana", "divergences", "Boa", VIEW)
    path = state_file.path_of(settings)
    with sqlite3.connect(path) as connection:
        for name, view in (("a", "{"), ("b", "[1]"), ("c", "[" * 100_000)):
            row = ("ana", "divergences", name, view)
            connection.execute("INSERT INTO saved_views VALUES (?, ?, ?, ?)", row)
    connection.close()
    assert [view.name for view in saved_views.read(settings, "ana", "divergences")] == ["Boa"]
    path.write_bytes(b"isto nao e um banco" * 100)
    with pytest.raises(HistoryError, match=pattern(state_file.NOT_A_HISTORY)):
        saved_views.read(settings, "ana", "divergences")
