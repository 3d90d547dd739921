"""Snapshots in which every table is complete.

TRUNCATE, a rewrite and a swap of tables are not MVCC-safe: in an older snapshot the table appears
empty. The tables of a query are therefore locked before its snapshot exists; those that cannot be
locked (grants on single columns, materialized views, tables inside functions) are checked after the
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from lib.database import column_types, sessions, sides
from lib.database.socket_timeout import Watchdog
from lib.domain.errors import SnapshotError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.column_types import Layout
    from lib.database.sessions import Backend, Cursor
    from lib.domain.requests import Side, Window

# A table that this transaction uses and its snapshot does not know was created later; an index is
# not data. `pg_relation_filenode` sees the present, `pg_class` the snapshot.
_RELOADED: Final = """
    SELECT count(*)
    FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_class AS r ON r.oid = l.relation
    WHERE l.locktype = 'relation' AND l.pid = pg_backend_pid() AND l.relation >= 16384
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND CASE WHEN r.oid IS NULL THEN pg_get_indexdef(l.relation) IS NULL
               ELSE r.relkind IN ('r', 'm') AND pg_relation_filenode(r.oid) <> r.relfilenode END
"""
_USED: Final = """
    SELECT DISTINCT format('%I.%I', n.nspname, r.relname), r.relkind,
           r.relkind IN ('r', 'p', 'v') AND has_table_privilege(r.oid, 'SELECT')
    FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS r ON r.oid = l.relation
         JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
    WHERE l.locktype = 'relation' AND l.pid = pg_backend_pid() AND r.relkind IN ('r', 'p', 'v', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    ORDER BY 1
"""
FOREIGN: Final = "f"


def begin(cursor: Cursor, settings: Settings, side: Side, window: Window) -> tuple[Layout, Backend]:
    """Begin the read of a side's query: examine its columns, lock its tables, take the snapshot.

    Raises ContractError for columns that cannot be read, else ExtractionError.
    """
    layout = column_types.examine(cursor, settings, side, window)
    tables = [name for name, _, lockable in used(cursor) if lockable]
    return layout, sessions.begin(cursor, settings, side, window.user, tables=tables)


def used(cursor: Cursor) -> list[tuple[str, str, bool]]:
    """The tables and views that this transaction has used: name, kind and whether it may lock."""
    cursor.execute(_USED)
    tables: list[tuple[str, str, bool]] = cursor.fetchall()
    return tables


def require_unchanged(cursor: Cursor, side: Side) -> None:
    """Raise SnapshotError if the snapshot is older than the data of a table that was read."""
    cursor.execute(_RELOADED)
    if cursor.fetchone() != (0,):
        raise SnapshotError(sessions.RELOADED, side=side)


@contextmanager
def export(settings: Settings, window: Window) -> Iterator[dict[Side, str]]:
    """Take both snapshots at once and yield the names by which other sessions adopt them.

    Holds one connection per database until the block ends. Raises ExtractionError.
    """
    with ExitStack() as held:

        def exported(side: Side) -> str:
            limit = sessions.silence_limit(settings, side)
            with ExitStack() as stack:
                cursor = stack.enter_context(sessions.session(settings, side, window.user))
                with Watchdog(cursor.connection.fileno(), limit):
                    begin(cursor, settings, side, window)
                    cursor.execute("SELECT pg_export_snapshot()")
                (name,) = cursor.fetchone()
                # Only now: who is interrupted must not close a session that still waits.
                held.push(stack.pop_all())
            return str(name)

        yield sides.each(exported)
