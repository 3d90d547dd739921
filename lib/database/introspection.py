"""Facts about a database that a new configuration needs: its session, tables and merchants.

Opens the same sessions as a run, and examines the side's query as a run does. Ctrl-C ends each
question. Serves `lib.cli.init` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lib.database import column_types, sessions
from lib.database.error_translation import BY_STATE
from lib.database.running_sessions import interruptible
from lib.domain.errors import ExtractionError

if TYPE_CHECKING:
    from datetime import date

    from lib.config.settings import Settings
    from lib.domain.requests import Side, Window

MAX_MERCHANTS: Final = 20
_MAX_TABLES: Final = 40
_MAX_COLUMNS: Final = 40
_SECONDS: Final = 20
"""Time for counting merchants: a large table without an index on the date would take minutes."""
_MERCHANTS: Final = (
    "SELECT merchant_id::text, count(*) FROM transactions WHERE transaction_date >= %s"
    " GROUP BY merchant_id ORDER BY count(*) DESC, merchant_id LIMIT %s"
)
_TABLES: Final = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       array_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                 ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast|^pg_temp'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
GROUP BY 1 ORDER BY 1 LIMIT %s
"""


@dataclass(frozen=True)
class Connection:
    """Version of the server, and if the login is a superuser; ``tls`` is the protocol or empty."""

    version: str
    tls: str
    superuser: bool


@interruptible
def connect(settings: Settings, side: Side) -> Connection:
    """Open a session as a run does, with all its settings verified. Raises AggregatorError."""
    limit = sessions.silence_limit(settings, side)
    with sessions.session(settings, side, limit=limit) as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('is_superuser')")
        version, superuser = cursor.fetchone()
        # The client's own end of the connection: behind a pooler, the server sees another one.
        info = cursor.connection.info
        tls = str(info.ssl_attribute("protocol") or "") if info.ssl_in_use else ""
    return Connection(version.split(" ")[0], tls, superuser == "on")


@interruptible
def require_query(settings: Settings, side: Side, window: Window) -> None:
    """Examine the side's query: tables, permissions, columns and types. Raises AggregatorError."""
    limit = sessions.silence_limit(settings, side)
    with sessions.session(settings, side, limit=limit) as cursor:
        column_types.examine(cursor, settings, side, window)


@interruptible
def tables(settings: Settings, side: Side) -> dict[str, list[str]]:
    """The columns, each with its type, of the tables and views that the login may read."""
    limit = sessions.silence_limit(settings, side)
    with sessions.session(settings, side, limit=limit) as cursor:
        cursor.execute(_TABLES, (_MAX_TABLES,))
        return {name: columns[:_MAX_COLUMNS] for name, columns in cursor.fetchall()}


@interruptible
def merchants(settings: Settings, since: date) -> dict[str, int] | None:
    """Count the transactions of each merchant since a date, the largest merchants first.

    Reads the table of the default query. None if counting takes too long. Raises AggregatorError.
    """
    try:
        with sessions.session(settings, "transactions", limit=_SECONDS + 5) as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", (f"{_SECONDS}s",))
            cursor.execute(_MERCHANTS, (since, MAX_MERCHANTS))
            return dict(cursor.fetchall())
    except ExtractionError as problem:
        if problem.template == BY_STATE["57014"]:
            return None
        raise
