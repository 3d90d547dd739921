"""One moment of each database for all who read it: an exported snapshot, held while they do."""

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
def held(settings: Settings, user: str | None) -> Iterator[dict[Side, str]]:
    """The names under which other sessions adopt the snapshots; both are taken on entering.

    One connection a database is busy with it until the block ends. Raises ExtractionError.
    """
    with ExitStack() as open_sessions:
        names: dict[Side, str] = {}
        for side in requests.SIDES:
            cursor = open_sessions.enter_context(sessions.session(settings, side, user))
            cursor.execute("SELECT pg_export_snapshot()")
            (names[side],) = cursor.fetchone()
        yield names
