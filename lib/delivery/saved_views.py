"""Views of a table that people save under a name, in the state file.

A view belongs to one person and one table, whatever the merchant and the period. Holds what the
page's inputs hold, whose search is masked; never a record. Decides nothing about its meaning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import state_file
from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.config.settings import Settings

NO_NAME: Final = "Escreva um nome para a visão."
TOO_MANY: Final = "Há {count} visões salvas para esta tabela: remova uma antes de salvar outra."

LONGEST_NAME: Final = 60
MOST: Final = 30
_SINCE_VERSION: Final = 2


@dataclass(frozen=True)
class View:
    """A saved view: its name, and the values of the table's inputs by name."""

    name: str
    values: Mapping[str, Any]


def read(settings: Settings, person: str, table: str) -> list[View]:
    """Return the person's views of a table by name. Raises HistoryError."""
    path = state_file.path_of(settings)
    if not state_file.exists(path):
        return []
    with state_file.reading(path) as connection:
        if state_file.version(connection) < _SINCE_VERSION:
            return []
        rows = connection.exec_driver_sql(
            "SELECT name, view FROM saved_views WHERE person = ? AND in_table = ? ORDER BY name",
            (person, table),
        ).all()
    return [View(name, json.loads(view)) for name, view in rows if _is_view(view)]


def save(settings: Settings, person: str, table: str, name: str, values: Mapping[str, Any]) -> View:
    """Save a view, in place of one of the same name.

    Raises ConfigError without a name or beyond the most, HistoryError.
    """
    name = " ".join(name.split())[:LONGEST_NAME]
    if not name:
        raise ConfigError(NO_NAME)
    with state_file.writing(state_file.path_of(settings)) as connection:
        others = connection.exec_driver_sql(
            "SELECT count(*) FROM saved_views WHERE person = ? AND in_table = ? AND name <> ?",
            (person, table, name),
        ).scalar_one()
        if others >= MOST:
            raise ConfigError(TOO_MANY, count=MOST)
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO saved_views (person, in_table, name, view) VALUES (?, ?, ?, ?)",
            (person, table, name, json.dumps(values)),
        )
    return View(name, values)


def remove(settings: Settings, person: str, table: str, name: str) -> None:
    """Remove a view; one that is gone already is no error. Raises HistoryError."""
    with state_file.writing(state_file.path_of(settings)) as connection:
        connection.exec_driver_sql(
            "DELETE FROM saved_views WHERE person = ? AND in_table = ? AND name = ?",
            (person, table, name),
        )


def _is_view(text: object) -> bool:
    """True for a JSON object; a damaged record is left out."""
    try:
        return isinstance(json.loads(str(text)), dict)
    except (ValueError, RecursionError):
        return False
