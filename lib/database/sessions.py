"""Open read-only sessions on the two source databases, on one pool of connections per side.

Owns the required properties of a session (read only, repeatable read, time limits, formats). They
are set and verified in each transaction, never in the startup packet, which poolers refuse or
ignore. Translates errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import psycopg2
import psycopg2.errors
from psycopg2.extensions import TRANSACTION_STATUS_INTRANS
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

from lib.config import libpq_environment
from lib.database import running_sessions
from lib.database.error_translation import UNUSABLE_SETTING, translate, translate_connecting
from lib.database.socket_timeout import Watchdog
from lib.domain.errors import ExtractionError, SnapshotError
from lib.domain.requests import Side

if TYPE_CHECKING:
    from lib.config.settings import Settings, Source

Cursor = Any
"""A psycopg2 cursor; the driver has no type annotations."""

SILENCE_SECONDS: Final = 5.0
"""Time that a server may be silent beyond its statement timeout."""
LOST_SNAPSHOT: Final = (
    "{side}: o instante guardado da leitura se perdeu com a conexão que o guardava; "
    "tente de novo em instantes."
)
RELOADED: Final = (
    "{side}: uma tabela da consulta foi recarregada durante a leitura; tente de novo em instantes."
)
_AS_USER: Final = "set_config('app.user', %s, true)"
# A pooled connection keeps what its last client set. None of these takes the snapshot.
_MODE: Final = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
    " RESET ALL; RESET SESSION AUTHORIZATION; RESET ROLE; SHOW search_path"
)
_APPLICATION: Final = "marketing-data-aggregator"
_ISOLATION: Final = {
    "transaction_isolation": "repeatable read",
    "transaction_read_only": "on",
}
_FORMATS: Final = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, DMY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",  # the shortest text that reads back as the same float
    "standard_conforming_strings": "on",
    "row_security": "on",
    "application_name": _APPLICATION,
}
_STANDARD_STRINGS: Final = "-c standard_conforming_strings=on"
_ADOPTED_LOCK_MS: Final = 5_000
# The server ends the statement of a process that was killed; other systems than Linux refuse it.
_CHECK_CLIENT: Final = (
    "CASE WHEN version() LIKE '%linux%'"
    " THEN set_config('client_connection_check_interval', '2s', true) END"
)
_CHECKS_CLIENT: Final = 140_000
"""The first version of PostgreSQL that checks its client."""
_CANCEL_POOLED: Final = (
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
    " WHERE pid = %s AND xact_start = %s::timestamptz"
)
_SCHEMA: Final = re.compile(r'"(?:[^"]|"")*"|[^\s,"]+')


def source_of(settings: Settings, side: Side) -> Source:
    """The side's configured connection."""
    return settings.transactions if side == "transactions" else settings.auth_logs


def silence_limit(settings: Settings, side: Side) -> float:
    """Seconds that the side's server may be silent during a read."""
    return source_of(settings, side).statement_timeout + SILENCE_SECONDS


def pool(settings: Settings, side: Side) -> QueuePool:
    """The side's pool of connections; equal configurations share one."""
    source = source_of(settings, side)
    source.require_trusted_files()  # a dashboard reads them long after its configuration
    return _pool(source, source.secret())


@dataclass(frozen=True)
class Backend:
    """The server process of a transaction.

    Behind a pooler, where the process later serves other clients, ``since`` is the transaction's
    start; None if the process serves this connection only.
    """

    process: int
    since: str | None = None


@contextmanager
def session(
    settings: Settings,
    side: Side,
    user: str | None = None,
    snapshot: str | None = None,
    *,
    limit: float | None = None,
) -> Iterator[Cursor]:
    """Open a driver cursor in a read-only snapshot of this side; driver errors are translated.

    With row-level security the session sees the rows of ``user``, by default the login.
    ``snapshot`` names a snapshot that another session has exported and still holds. ``limit`` is
    the session's time limit in seconds; without it, a caller has a watchdog of its own.
    """
    source = source_of(settings, side)
    connections = pool(settings, side)
    try:
        connection = connections.connect()
    except (psycopg2.Error, exc.SQLAlchemyError) as error:
        raise translate_connecting(error, side, source) from error
    try:
        with closing(connection):
            driver: Any = connection.driver_connection
            try:
                with ExitStack() as limits, closing(driver.cursor()) as cursor:
                    seconds = limit or source.connect_timeout
                    limits.enter_context(Watchdog(driver.fileno(), seconds))
                    own = begin(cursor, settings, side, user, snapshot)
                    if limit is None:
                        limits.close()
                    with running_sessions.registered(partial(cancel, settings, side, own)):
                        yield cursor
            finally:
                _roll_back(driver, source.connect_timeout)
                if driver.closed:
                    # Otherwise the pool would try to roll back, fail and log a traceback.
                    connection.invalidate()
    except psycopg2.Error as error:
        raise translate(error, side) from error


def begin(
    cursor: Cursor,
    settings: Settings,
    side: Side,
    user: str | None = None,
    snapshot: str | None = None,
    tables: Sequence[str] = (),
) -> Backend:
    """Restart the session's transaction and lock these tables before its snapshot exists.

    The lock waits for a running reload by TRUNCATE, and delays a later one. ``tables`` are quoted
    names; those that the login may not lock stay unlocked (`snapshots.require_unchanged` detects
    their reload). Raises ExtractionError if the session lacks a required property.
    """
    if b"E'" in cursor.mogrify("%s", ("\\",)):
        # The driver quotes as the server's setting was when it connected, whatever is set later.
        raise ExtractionError(UNUSABLE_SETTING, side=side, name="standard_conforming_strings")
    source = source_of(settings, side)
    formats = {**_FORMATS, "timezone": settings.timezone}
    limits = {
        "statement_timeout": 1000 * source.statement_timeout,
        # A session that holds an exported snapshot is idle for the whole read.
        "idle_in_transaction_session_timeout": 0,
        # The holder of the snapshot keeps a waiting reload from ever ending.
        "lock_timeout": 0 if snapshot is None else _ADOPTED_LOCK_MS,
    }
    values = {**formats, **limits}
    if tables and cursor.connection.info.server_version >= _CHECKS_CLIENT:
        # As `_verified` has set it. Behind a pooler, no cancellation can name a transaction that
        # waits for a lock: its server ends it when the connection closes.
        cursor.execute("SHOW client_connection_check_interval")
        (values["client_connection_check_interval"],) = cursor.fetchone()
    _set(cursor, side, values)
    if tables:
        try:
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.WrongObjectType):
            _set(cursor, side, values)
        except psycopg2.errors.UndefinedTable as error:  # dropped or renamed a moment ago
            raise SnapshotError(RELOADED, side=side) from error
    if snapshot is not None:
        _adopt(cursor, side, snapshot)
    return _verified(cursor, settings, side, user, formats, limits)


def backend(cursor: Cursor) -> Backend:
    """The server process of the session's transaction."""
    cursor.execute("SELECT pg_backend_pid(), now()::text")
    return _backend(cursor, *cursor.fetchone())


def _backend(cursor: Cursor, process: int, since: str) -> Backend:
    own = process == cursor.connection.info.backend_pid
    return Backend(process, None if own else since)


def _set(cursor: Cursor, side: Side, values: Mapping[str, object]) -> None:
    """Begin a transaction with the login's own defaults and these parameters; take no snapshot."""
    cursor.connection.rollback()
    cursor.execute(_MODE)
    (path,) = cursor.fetchone()
    # Named behind others, pg_catalog would not have the say over the functions of masks and tokens.
    # Unnamed, the temporary tables that another client left would come before all others.
    schemas = ["pg_catalog", *map(_unquoted, _SCHEMA.findall(path)), "pg_temp"]
    sets = f"SET LOCAL search_path = {', '.join(['%s'] * len(schemas))}"
    sets += "".join(f"; SET LOCAL {name} = %s" for name in values)
    try:
        cursor.execute(sets, (*schemas, *map(str, values.values())))
    except psycopg2.Error as error:
        message = (error.diag.message_primary or "").casefold()
        name = next((name for name in values if name in message), None)
        if error.pgcode is None or name is None:
            raise
        raise ExtractionError(UNUSABLE_SETTING, side=side, name=name) from error


def _unquoted(identifier: str) -> str:
    """An identifier of a search path as its plain name."""
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier.lower()


def _verified(
    cursor: Cursor,
    settings: Settings,
    side: Side,
    user: str | None,
    formats: Mapping[str, object],
    limits: Mapping[str, int],
) -> Backend:
    """Take the snapshot and verify the parameters. Raises ExtractionError, naming the wrong one."""
    names = [*_ISOLATION, *formats, *limits]
    columns = ["pg_backend_pid()", "now()::text"]
    columns += [f"current_setting('{name}')" for name in (*_ISOLATION, *formats)]
    columns += [
        f"(current_setting('{name}')::interval = interval '{milliseconds} ms')::text"
        for name, milliseconds in limits.items()
    ]
    if settings.row_level_security:
        # Transaction-local: the connection's next transaction has no user.
        login = source_of(settings, side).user
        columns.append(cursor.mogrify(_AS_USER, (user or login,)).decode())
    if cursor.connection.info.server_version >= _CHECKS_CLIENT:
        columns.append(_CHECK_CLIENT)
    cursor.execute(f"SELECT {', '.join(columns)}")
    process, since, *values = cursor.fetchone()
    expected = [*_ISOLATION.values(), *formats.values(), *["true"] * len(limits)]
    for name, value, wanted in zip(names, values, expected, strict=False):
        if value.casefold() != str(wanted).casefold():
            raise ExtractionError(UNUSABLE_SETTING, side=side, name=name)
    return _backend(cursor, process, since)


def _adopt(cursor: Cursor, side: Side, snapshot: str) -> None:
    try:
        cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
    except (psycopg2.errors.UndefinedObject, psycopg2.errors.InvalidParameterValue) as error:
        raise SnapshotError(LOST_SNAPSHOT, side=side) from error


def _roll_back(driver: Any, seconds: float) -> None:
    """Roll back within a time limit, which the pool's own rollback does not have."""
    # The read is complete: a connection lost from here on is no failure.
    with suppress(psycopg2.Error):
        if not driver.closed:
            with Watchdog(driver.fileno(), seconds):
                driver.rollback()


def lacks_permission(error: BaseException) -> bool:
    """Check if a session failed because its login lacks a permission."""
    return isinstance(error.__cause__, psycopg2.errors.InsufficientPrivilege)


def cancel(settings: Settings, side: Side, backend: Backend) -> None:
    """Cancel the statement of this server process. Raises ExtractionError."""
    # On a separate connection: the driver's own cancel has no time limit and blocks the process.
    with session(settings, side, limit=source_of(settings, side).connect_timeout) as cursor:
        if backend.since is None:
            cursor.execute("SELECT pg_cancel_backend(%s)", (backend.process,))
        else:
            cursor.execute(_CANCEL_POOLED, (backend.process, backend.since))


@lru_cache(maxsize=16)
def _pool(source: Source, password: str | None) -> QueuePool:
    files = {name: getattr(source, name) for name in ("sslrootcert", "sslcert", "sslkey")}
    arguments = {
        "user": source.user,
        "password": password,
        "host": source.host,
        "port": source.port,
        "dbname": source.database,
        "sslmode": source.sslmode,
        "connect_timeout": source.connect_timeout,
        "client_encoding": "utf8",
        "application_name": _APPLICATION,
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **{name: str(path) for name, path in files.items() if path},
    }
    # A `partial` would show the password wherever it is printed.
    connections = QueuePool(lambda: _connect(arguments), recycle=1800)

    @event.listens_for(connections, "checkout")
    def require_live(driver: Any, *_: object) -> None:
        if driver.info.transaction_status == TRANSACTION_STATUS_INTRANS:
            return  # a new connection, which has just answered
        try:
            _ping(driver, source.connect_timeout)
        except psycopg2.Error as error:
            raise exc.DisconnectionError from error

    return connections


def _connect(arguments: Mapping[str, Any]) -> Any:
    """Connect and make sure that the server, or the pooler before it, answers in time."""
    libpq_environment.remove()
    try:
        driver = psycopg2.connect(**arguments)
        if driver.info.parameter_status("standard_conforming_strings") != "on":
            # The driver keeps its way of quoting for good, so this cannot wait for the session.
            driver.close()
            driver = psycopg2.connect(**arguments, options=_STANDARD_STRINGS)
    except UnicodeDecodeError as error:
        # Before the login, a server sends its messages in the encoding of its own locale.
        raise psycopg2.OperationalError(error.object.decode("latin-1")) from error
    _ping(driver, arguments["connect_timeout"])
    return driver


def _ping(driver: Any, seconds: float) -> None:
    """Ask the server for an answer, which no time limit of libpq covers. Begins a transaction."""
    with Watchdog(driver.fileno(), seconds), driver.cursor() as cursor:
        cursor.execute("SELECT 1")
