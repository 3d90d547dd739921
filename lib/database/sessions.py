"""The two source databases: one pooled, read-only engine a side, and sessions on it.

Owns connection settings and sessions (READ ONLY, REPEATABLE READ, timeouts, keepalives), whose
errors come out as sentences. Passwords travel in `URL` objects only. Runs no query of the product's
own.
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
"""A psycopg2 cursor; the driver ships no types."""

SILENCE_SECONDS: Final = 5.0
_AS_USER: Final = "SELECT set_config('app.user', %s, true)"
_DIALECT: Final = PGDialect_psycopg2()  # type: ignore[no-untyped-call]
_SETTING_UP: ContextVar[ExitStack | None] = ContextVar("_SETTING_UP", default=None)
_DEFAULT_QUERIES: Final = Path(__file__).with_name("sql")


def source(settings: Settings, side: Side) -> Source:
    """The configured connection of this side."""
    return settings.transactions if side == "transactions" else settings.auth_logs


def silence_limit(settings: Settings, side: Side) -> float:
    """Seconds a server may be silent: its own statement timeout and a margin."""
    return source(settings, side).statement_timeout + SILENCE_SECONDS


def engine(settings: Settings, side: Side) -> Engine:
    """The pooled engine of this side, the same one for the same configuration."""
    where = source(settings, side)
    return _engine(where, where.secret())


@contextmanager
def session(
    settings: Settings,
    side: Side,
    user: str | None = None,
    snapshot: str | None = None,
    *,
    limit: float | None = None,
) -> Iterator[Cursor]:
    """A driver cursor in a read-only snapshot of this side; its errors come out translated.

    With row-level security the snapshot is this user's, and without a name the login's own.
    ``snapshot`` names one that another session exported, and still holds. Who has no watchdog of
    their own give a ``limit`` in seconds, beyond which a server that stands still is left.
    """
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
                        # Of this transaction only: the next one on this connection is nobody's.
                        cursor.execute(_AS_USER, (user or source(settings, side).user,))
                    yield cursor
            finally:
                _end(driver, source(settings, side).connect_timeout)
                if driver.closed:
                    # The pool would otherwise try to roll back, fail and log a traceback.
                    connection.invalidate()
    except (psycopg2.Error, exc.SQLAlchemyError) as problem:
        raise translate(problem, side, source(settings, side)) from problem


def _adopt(cursor: Cursor, side: Side, snapshot: str) -> None:
    try:
        cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
    except (psycopg2.errors.UndefinedObject, psycopg2.errors.InvalidParameterValue) as problem:
        raise TransientError(
            "{side}: o instante guardado da leitura se perdeu com a conexão que o guardava; "
            "tente de novo em instantes.",
            side=side,
        ) from problem


def _end(driver: Any, seconds: float) -> None:
    """Roll back, as the pool would without a time limit; a server that stands still is left."""
    # What was read is whole: a connection that is lost from here on fails nobody.
    with suppress(psycopg2.Error):
        if not driver.closed:
            with Watchdog(driver.fileno(), seconds):
                driver.rollback()


def lacks_permission(problem: BaseException) -> bool:
    """Whether this failure of a session is the server's refusal to let its login read."""
    cause = problem.__cause__
    return isinstance(cause, psycopg2.errors.InsufficientPrivilege)


def cancel(settings: Settings, side: Side, process: int) -> None:
    """Ask the side's server to end this process's statement. Raises ExtractionError."""
    # Over a connection of its own: the driver's way has no time limit and holds up the program.
    with session(settings, side, limit=source(settings, side).connect_timeout) as cursor:
        cursor.execute("SELECT pg_cancel_backend(%s)", (process,))


def render(cursor: Cursor, side: Side, sql: str, parameters: dict[str, object]) -> bytes:
    """The side's statement with its parameters written in by the driver, as COPY needs it."""
    # SQLAlchemy takes a parameter with a cast right behind it for no parameter.
    spaced = re.sub(r"(?<![:\w\\])(:\w+)::", r"\1 ::", sql)
    compiled = text(spaced).compile(dialect=_DIALECT)
    unknown = sorted(set(compiled.params) - set(parameters))
    if unknown:
        raise ContractError(
            "{side}: a consulta usa o parâmetro desconhecido :{name}; há {known} "
            "(escreva \\: para um dois-pontos comum).",
            side=side,
            name=unknown[0],
            known=", ".join(f":{name}" for name in sorted(parameters)),
        )
    rendered: bytes = cursor.mogrify(str(compiled), parameters)
    return rendered


def query(settings: Settings, side: Side) -> str:
    """The SQL of this side: its query file, else the default of the contract's tables."""
    where = source(settings, side)
    path = where.query_file or _DEFAULT_QUERIES / f"{side}.sql"
    try:
        return path.read_text(encoding="utf-8-sig").strip().rstrip(";")
    except (OSError, UnicodeDecodeError) as problem:
        raise ExtractionError(
            "{side}: não foi possível ler o arquivo de consulta {path}; confira query_file.",
            side=side,
            path=path,
        ) from problem


def _open(pool: Engine) -> Connection:
    """A connection of the pool; setting up a new one is under a time limit until it is here."""
    with ExitStack() as limits:
        token = _SETTING_UP.set(limits)
        try:
            return pool.connect()
        finally:
            _SETTING_UP.reset(token)


@lru_cache(maxsize=16)
def _engine(where: Source, password: str | None) -> Engine:
    url = URL.create(
        "postgresql+psycopg2",
        username=where.user,
        password=password,
        host=where.host,
        port=where.port,
        database=where.database,
    )
    options = {
        "statement_timeout": str(where.statement_timeout * 1000),
        # A snapshot is held by a session that has nothing else to do.
        "idle_in_transaction_session_timeout": "0",
        "default_transaction_read_only": "on",
        "default_transaction_isolation": r"repeatable\ read",
        "datestyle": "ISO,DMY",
        "standard_conforming_strings": "on",
    }
    arguments: dict[str, object] = {
        "sslmode": where.sslmode,
        "connect_timeout": where.connect_timeout,
        "client_encoding": "utf8",
        "application_name": "marketing-data-aggregator",
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    for name in ("sslrootcert", "sslcert", "sslkey"):
        if path := getattr(where, name):
            arguments[name] = str(path)
    made = create_engine(
        url,
        pool_recycle=1800,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=arguments,
    )

    @event.listens_for(made, "do_connect")
    def connect(dialect: Any, _: object, words: Any, options: Any) -> Any:
        # The pool asks a new connection questions of its own, which no time limit of libpq covers.
        driver = dialect.connect(*words, **options)
        if limits := _SETTING_UP.get():
            limits.enter_context(Watchdog(driver.fileno(), where.connect_timeout))
        return driver

    @event.listens_for(made, "checkout")
    def ping(driver: Any, *_: object) -> None:
        # The pool's own ping would wait for ever where the server's process is stopped.
        try:
            with Watchdog(driver.fileno(), where.connect_timeout):
                _DIALECT.do_ping(driver)  # type: ignore[no-untyped-call]
        except psycopg2.Error as problem:
            raise exc.DisconnectionError from problem

    return made
