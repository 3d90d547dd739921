"""One moment of each database for all who read it: an exported snapshot, held while they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lib import sources

if TYPE_CHECKING:
    from lib.settings import Settings
    from lib.sources import Side


@contextmanager
def held(settings: Settings, user: str | None) -> Iterator[dict[Side, str]]:
    """The names under which other sessions adopt the snapshots; both are taken on entering.

    One connection a database is busy with it until the block ends. Raises ExtractionError.
    """
    with ExitStack() as open_sessions:
        names: dict[Side, str] = {}
        for side in sources.SIDES:
            cursor = open_sessions.enter_context(sources.session(settings, side, user))
            cursor.execute("SELECT pg_export_snapshot()")
            (names[side],) = cursor.fetchone()
        yield names
