"""The state file: one SQLite file in the user's state folder, with runs, cases and saved views.

Owns its place, its permissions, its tables, their version and their migration. Many processes may
read it while one writes. Every use may raise HistoryError; a report never depends on it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import sqlalchemy as sa

from lib.domain import file_system
from lib.domain.errors import HistoryError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lib.config.settings import Settings

UNUSABLE: Final = (
    "Não foi possível usar o histórico de execuções em {path}: confira a permissão da pasta e o "
    "espaço em disco, ou escolha outro lugar em [aggregator.history]."
)
NEWER: Final = (
    "O histórico de execuções em {path} é de uma versão mais nova do programa: atualize o "
    "programa, ou escolha outro lugar em [aggregator.history]."
)
VERSION: Final = 3
"""The version of the tables, kept in the file; version 0 has no more than the runs."""

_BUSY_SECONDS: Final = 10
_MAPPED_BYTES: Final = 1 << 30
_CACHE_KIB: Final = 65_536
_READ: Final = "BEGIN"
_WRITE: Final = "BEGIN IMMEDIATE"

_METADATA: Final = sa.MetaData()
RUNS: Final = sa.Table(
    "runs",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("began_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("origin", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("process_born", sa.Float, nullable=False),
    sa.Column("merchant", sa.String, nullable=False),
    sa.Column("merchant_name", sa.String, nullable=False),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("tolerance_seconds", sa.Integer, nullable=False),
    sa.Column("clear", sa.Boolean, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("message", sa.String),
    sa.Column("note", sa.String),
    sa.Column("books", sa.JSON),
    sa.Column("seconds", sa.JSON),
    sa.Column("file", sa.String),
    sa.Column("size_bytes", sa.Integer),
    sa.Column("sha256", sa.String),
    sqlite_autoincrement=True,
)

# Of the migrations, the one at index n leads from version n to n + 1. Moments are ISO 8601 in UTC;
# `moment` is the order of a sheet (`column_arrays.Instants.sheet_order`), from which a page and a
# range of days are read. `case_counts` sums up the cases of each day, so that no count needs all.
_CASES: Final = (
    """CREATE TABLE cases (
        key INTEGER PRIMARY KEY, merchant TEXT NOT NULL, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, moment INTEGER NOT NULL, first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL, status TEXT, owner TEXT, version INTEGER NOT NULL DEFAULT 0,
        base INTEGER NOT NULL, ordinal INTEGER NOT NULL, digest INTEGER NOT NULL,
        kind TEXT NOT NULL, day TEXT, time TEXT, card TEXT, code TEXT, amount TEXT, cpf TEXT,
        virtual TEXT, merchant_field TEXT, text TEXT, motivo TEXT, counterpart TEXT)""",
    "CREATE INDEX cases_by_moment ON cases (merchant, moment, key)",
    "CREATE INDEX cases_by_state ON cases (merchant, state, moment, key)",
    "CREATE INDEX cases_by_age ON cases (merchant, state, first_seen, key)",
    "CREATE INDEX cases_by_owner ON cases (merchant, state, owner, key)",
    "CREATE INDEX cases_by_status ON cases (merchant, state, status, key)",
    "CREATE INDEX cases_by_amount ON cases (merchant, state, CAST(amount AS REAL), key)",
    """CREATE TABLE case_counts (
        merchant TEXT NOT NULL, day TEXT, kind TEXT NOT NULL, motivo TEXT, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, first_seen TEXT NOT NULL, status TEXT, owner TEXT,
        cases INTEGER NOT NULL)""",
    "CREATE INDEX case_counts_by_day ON case_counts (merchant, day)",
    """CREATE TABLE case_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL, at TEXT NOT NULL,
        who TEXT NOT NULL, kind TEXT NOT NULL, text TEXT)""",
    "CREATE INDEX case_events_by_key ON case_events (key)",
    """CREATE TABLE judgements (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL UNIQUE, merchant TEXT NOT NULL,
        at TEXT NOT NULL, period_start TEXT NOT NULL, period_end TEXT NOT NULL,
        transactions_until TEXT, logs_until TEXT, new INTEGER NOT NULL DEFAULT 0,
        resolved INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0,
        outside INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX judgements_by_merchant ON judgements (merchant, id)",
    """CREATE TABLE judged_days (
        merchant TEXT NOT NULL, day TEXT NOT NULL, judgement INTEGER NOT NULL,
        PRIMARY KEY (merchant, day)) WITHOUT ROWID""",
)
_SAVED_VIEWS: Final = (
    """CREATE TABLE saved_views (
        person TEXT NOT NULL, in_table TEXT NOT NULL, name TEXT NOT NULL, view TEXT NOT NULL,
        PRIMARY KEY (person, in_table, name)) WITHOUT ROWID""",
)
_DISPATCHES: Final = (
    """CREATE TABLE dispatches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, kind TEXT NOT NULL,
        event TEXT, target TEXT NOT NULL, at TEXT NOT NULL, problem TEXT)""",
    "CREATE INDEX dispatches_by_run ON dispatches (run)",
)
_MIGRATIONS: Final = (_CASES, _SAVED_VIEWS, _DISPATCHES)


def path_of(settings: Settings) -> Path:
    """The configured file, by default in the system user's state folder.

    Raises HistoryError for an account that has no usable folder.
    """
    if settings.history.path:
        return settings.history.path
    try:
        folder = file_system.user_folder(platformdirs.user_state_path)
    except OSError as problem:
        raise HistoryError(UNUSABLE, path=problem.filename) from problem
    return folder / "history.sqlite"


def exists(path: Path) -> bool:
    """True if the file has been written."""
    with _errors_translated(path):
        return path.exists()


@contextmanager
def writing(path: Path) -> Iterator[Connection]:
    """Open the file, created or migrated if necessary, for one transaction of the only writer."""
    with _errors_translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        with _connected(path, _WRITE) as connection:
            _migrate(connection, path)
            yield connection


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Open an existing file and read it as it is at this moment, whatever its version."""
    with _errors_translated(path), _connected(path, _READ) as connection:
        yield connection


@contextmanager
def reading_cases(path: Path) -> Iterator[Connection | None]:
    """As `reading`, or None where no run has judged any case yet."""
    if not exists(path):
        yield None
        return
    with reading(path) as connection:
        yield connection if version(connection) else None


def text_of(moment: datetime) -> str:
    """A moment as it is stored: ISO 8601 in UTC, in whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def version(connection: Connection) -> int:
    """The version of the file's tables."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _migrate(connection: Connection, path: Path) -> None:
    current = version(connection)
    if current > VERSION:
        raise HistoryError(NEWER, path=path)
    if current == VERSION:
        return
    connection.execute(sa.schema.CreateTable(RUNS, if_not_exists=True))
    for statements in _MIGRATIONS[current:]:
        for statement in statements:
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _connected(path: Path, begin: str) -> Iterator[Connection]:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
        poolclass=sa.NullPool,
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(driver: Any, _: object) -> None:
        driver.text_factory = lambda text: text.decode(errors="replace")
        driver.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        driver.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if begin == _WRITE:
            # Where another process or the file system does not allow it, the file stays as it is.
            with suppress(sqlite3.Error):
                driver.execute("PRAGMA journal_mode = WAL")

    @sa.event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        # The driver itself begins at the first write only, and commits before some statements.
        connection.exec_driver_sql(begin)

    with engine.begin() as connection:
        yield connection


@contextmanager
def _errors_translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, sa.exc.SQLAlchemyError) as problem:
        raise HistoryError(UNUSABLE, path=path) from problem
