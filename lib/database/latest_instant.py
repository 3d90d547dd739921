"""Find the latest instant that a source holds, without fetching any record.

Of the contract's tables as a whole; of a query file, of what it returns. Cheap enough to be asked
every minute where an index leads with the date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib.database import column_types, date_validation, sessions, source_query
from lib.domain import columns as c

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side, Window

_SQL: Final = Path(__file__).with_name("sql")
_TABLES: Final = {
    "transactions": ("transactions", "transaction_date"),
    "auth_logs": ("authentication.transaction_logs", "log_date"),
}
_TIMES: Final = {"transactions": c.HORA_TRANSA, "auth_logs": c.HORA}
# An index that yields the latest date by itself: its first column, over all rows, in order.
_INDEXED: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
        WHERE i.indrelid = %s::regclass AND a.attname = %s AND m.amname = 'btree'
          AND i.indisvalid AND i.indpred IS NULL)"""
_SCANS: Final = ("Seq Scan", "Foreign Scan")


@dataclass(frozen=True)
class Latest:
    """The latest instant, a local clock reading, None without records.

    ``scans`` is true if finding it reads a whole table.
    """

    instant: datetime | None
    scans: bool


def latest(settings: Settings, side: Side, windows: Sequence[Window], limit: float) -> Latest:
    """The latest instant of this side up to the end of these windows, within so many seconds.

    Of a query file, the latest that it returns for any of the windows. Raises ExtractionError.
    """
    own = sessions.source_of(settings, side).query_file is not None
    with sessions.session(settings, side, windows[0].user, limit=limit) as cursor:
        # For this transaction: the planner takes whatever index there is.
        cursor.execute("SET LOCAL enable_seqscan = off")
        if own:
            return _of_query(cursor, settings, side, windows)
        return _of_table(cursor, side, windows[0])


def _of_table(cursor: Any, side: Side, window: Window) -> Latest:
    cursor.execute(_INDEXED, _TABLES[side])
    (indexed,) = cursor.fetchone()
    sql = (_SQL / f"latest_{side}.sql").read_text(encoding="utf-8")
    cursor.execute(source_query.render(cursor, side, sql, window.parameters))
    (instant,) = cursor.fetchone()
    return Latest(instant, not indexed)


def _of_query(cursor: Any, settings: Settings, side: Side, windows: Sequence[Window]) -> Latest:
    query = source_query.load(settings, side)
    day = f"q.{date_validation.DATES[side]}::date"
    instant = f"{day} + coalesce(q.{_TIMES[side]}::time, time '00:00')"
    select = f"SELECT max({instant}) FROM (\n{query}\n) AS q WHERE {day} <= :last"
    instants, scans = [], False
    for window in windows:
        layout = column_types.examine(cursor, settings, side, window)
        wide = column_types.widened(settings, side, window, layout).parameters
        rendered = source_query.render(cursor, side, select, wide | {"last": window.end})
        if not scans:
            cursor.execute(b"EXPLAIN " + rendered)
            scans = any(kind in line for (line,) in cursor.fetchall() for kind in _SCANS)
        cursor.execute(rendered)
        instants += [found for (found,) in cursor.fetchall() if found is not None]
    return Latest(max(instants, default=None), scans)
