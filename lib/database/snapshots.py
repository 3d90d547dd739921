"""Export one snapshot of each database, which several sessions read at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lib.database import sessions
from lib.domain import requests

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side


@contextmanager
def export(settings: Settings, user: str | None) -> Iterator[dict[Side, str]]:
    """Take both snapshots and give the names under which other sessions adopt them.

    Holds one connection per database until the block ends. Raises ExtractionError.
    """
    with ExitStack() as open_sessions:
        names: dict[Side, str] = {}
        for side in requests.SIDES:
            cursor = open_sessions.enter_context(sessions.session(settings, side, user))
            cursor.execute("SELECT pg_export_snapshot()")
            (names[side],) = cursor.fetchone()
        yield names
