"""Open read-only sessions on the two source databases, on one pooled engine per side.

Owns connection settings (READ ONLY, REPEATABLE READ, timeouts, keepalives) and translates errors.
Passwords stay in `URL` objects. Also loads and renders the side's query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg2
import psycopg2.errors
from sqlalchemy import URL, create_engine, event, exc, text
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from lib.database.error_translation import translate
from lib.database.socket_timeout import Watchdog
from lib.domain.errors import ContractError, ExtractionError, TransientError
from lib.domain.requests import Side

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from lib.config.settings import Settings, Source

Cursor = Any
"""A psycopg2 cursor; the driver has no type annotations."""

SILENCE_SECONDS: Final = 5.0
"""Time that a server may be silent beyond its statement timeout."""
LOST_SNAPSHOT: Final = (
    "{side}: o instante guardado da leitura se perdeu com a conexão que o guardava; "
    "tente de novo em instantes."
)
UNKNOWN_PARAMETER: Final = (
    "{side}: a consulta usa o parâmetro desconhecido :{name}; há {known} "
    "(escreva \\: para um dois-pontos comum)."
)
UNREADABLE_QUERY: Final = (
    "{side}: não foi possível ler o arquivo de consulta {path}; confira query_file."
)
_AS_USER: Final = "SELECT set_config('app.user', %s, true)"
_DIALECT: Final = PGDialect_psycopg2()  # type: ignore[no-untyped-call]
_SETTING_UP: ContextVar[ExitStack | None] = ContextVar("_SETTING_UP", default=None)
_DEFAULT_QUERIES: Final = Path(__file__).with_name("sql")


def source_of(settings: Settings, side: Side) -> Source:
    """The side's configured connection."""
    return settings.transactions if side == "transactions" else settings.auth_logs


def silence_limit(settings: Settings, side: Side) -> float:
    """Seconds that the side's server may be silent during a read."""
    return source_of(settings, side).statement_timeout + SILENCE_SECONDS


def engine(settings: Settings, side: Side) -> Engine:
    """The side's pooled engine; equal configurations share one."""
    source = source_of(settings, side)
    return _engine(source, source.secret())


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
    the session's time limit in seconds, for callers without a watchdog of their own.
    """
    source = source_of(settings, side)
    try:
        with _open(engine(settings, side)) as connection:
            driver: Any = connection.connection.driver_connection
            try:
                with ExitStack() as limits, closing(driver.cursor()) as cursor:
                    if limit is not None:
                        limits.enter_context(Watchdog(driver.fileno(), limit))
                    if snapshot is not None:
                        _adopt(cursor, side, snapshot)
                    if settings.row_level_security:
                        # Transaction-local: the connection's next transaction has no user.
                        cursor.execute(_AS_USER, (user or source.user,))
                    yield cursor
            finally:
                _roll_back(driver, source.connect_timeout)
                if driver.closed:
                    # Otherwise the pool would try to roll back, fail and log a traceback.
                    connection.invalidate()
    except (psycopg2.Error, exc.SQLAlchemyError) as error:
        raise translate(error, side, source) from error


def _adopt(cursor: Cursor, side: Side, snapshot: str) -> None:
    try:
        cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
    except (psycopg2.errors.UndefinedObject, psycopg2.errors.InvalidParameterValue) as error:
        raise TransientError(LOST_SNAPSHOT, side=side) from error


def _roll_back(driver: Any, seconds: float) -> None:
    """Roll back within a time limit, which the pool's own rollback does not have."""
    # The read is complete: a connection lost from here on is no failure.
    with suppress(psycopg2.Error):
        if not driver.closed:
            with Watchdog(driver.fileno(), seconds):
                driver.rollback()


def lacks_permission(error: BaseException) -> bool:
    """Check if a session's error is the server's refusal of a permission to its login."""
    return isinstance(error.__cause__, psycopg2.errors.InsufficientPrivilege)


def cancel(settings: Settings, side: Side, process: int) -> None:
    """Cancel the statement of this server process. Raises ExtractionError."""
    # On a separate connection: the driver's own cancel has no time limit and blocks the process.
    with session(settings, side, limit=source_of(settings, side).connect_timeout) as cursor:
        cursor.execute("SELECT pg_cancel_backend(%s)", (process,))


def render(cursor: Cursor, side: Side, sql: str, parameters: dict[str, object]) -> bytes:
    """The statement with its parameters rendered in by the driver, because COPY takes none."""
    # SQLAlchemy does not recognise a parameter that is followed by a cast without a space.
    spaced = re.sub(r"(?<![:\w\\])(:\w+)::", r"\1 ::", sql)
    compiled = text(spaced).compile(dialect=_DIALECT)
    unknown = sorted(set(compiled.params) - set(parameters))
    if unknown:
        known = ", ".join(f":{name}" for name in sorted(parameters))
        raise ContractError(UNKNOWN_PARAMETER, side=side, name=unknown[0], known=known)
    rendered: bytes = cursor.mogrify(str(compiled), parameters)
    return rendered


def query(settings: Settings, side: Side) -> str:
    """The side's SQL: its query file, or by default the query on the contract's tables."""
    path = source_of(settings, side).query_file or _DEFAULT_QUERIES / f"{side}.sql"
    try:
        return path.read_text(encoding="utf-8-sig").strip().rstrip(";")
    except (OSError, UnicodeDecodeError) as error:
        raise ExtractionError(UNREADABLE_QUERY, side=side, path=path) from error


def _open(pool: Engine) -> Connection:
    """Check a connection out of the pool; the set-up of a new one has a time limit."""
    with ExitStack() as limits:
        token = _SETTING_UP.set(limits)
        try:
            return pool.connect()
        finally:
            _SETTING_UP.reset(token)


@lru_cache(maxsize=16)
def _engine(source: Source, password: str | None) -> Engine:
    url = URL.create(
        "postgresql+psycopg2",
        username=source.user,
        password=password,
        host=source.host,
        port=source.port,
        database=source.database,
    )
    options = {
        "statement_timeout": str(source.statement_timeout * 1000),
        # A session that holds an exported snapshot is idle for the whole read.
        "idle_in_transaction_session_timeout": "0",
        "default_transaction_read_only": "on",
        "default_transaction_isolation": r"repeatable\ read",
        "datestyle": "ISO,DMY",
        "standard_conforming_strings": "on",
    }
    arguments: dict[str, object] = {
        "sslmode": source.sslmode,
        "connect_timeout": source.connect_timeout,
        "client_encoding": "utf8",
        "application_name": "marketing-data-aggregator",
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    for name in ("sslrootcert", "sslcert", "sslkey"):
        if path := getattr(source, name):
            arguments[name] = str(path)
    engine = create_engine(
        url,
        pool_recycle=1800,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=arguments,
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: object, args: Any, options: Any) -> Any:
        # SQLAlchemy queries each new connection, and no time limit of libpq covers that.
        driver = dialect.connect(*args, **options)
        if limits := _SETTING_UP.get():
            limits.enter_context(Watchdog(driver.fileno(), source.connect_timeout))
        return driver

    @event.listens_for(engine, "checkout")
    def ping(driver: Any, *_: object) -> None:
        # The pool's own ping has no time limit and would wait forever for a stopped server process.
        try:
            with Watchdog(driver.fileno(), source.connect_timeout):
                _DIALECT.do_ping(driver)  # type: ignore[no-untyped-call]
        except psycopg2.Error as error:
            raise exc.DisconnectionError from error

    return engine
