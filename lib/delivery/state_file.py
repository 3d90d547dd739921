"""The state file: one SQLite file in the user's state folder, with runs, cases and saved views.

Owns its place, its permissions, its tables, their version and their migration. Many processes may
read it while one writes. Every use may raise HistoryError; a report never depends on it.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import sqlalchemy as sa

from lib.analysis import table_query
from lib.delivery.state_migrations import MIGRATIONS
from lib.domain import cases, file_system
from lib.domain.errors import HistoryError
from lib.domain.messages import Notice

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
BUSY: Final = (
    "O histórico de execuções em {path} está em uso por outro programa há mais de {seconds} s: "
    "feche esse programa, ou tente de novo em instantes."
)
NOT_A_HISTORY: Final = (
    "O que está em {path} não é um histórico de execuções, ou está irreconhecível: mova-o dali, ou "
    "escolha outro lugar em [aggregator.history]."
)
DAMAGED: Final = (
    "O histórico de execuções em {path} está danificado: volte a uma cópia de segurança, ou mova-o "
    "para outra pasta; a próxima execução começa outro."
)
SET_ASIDE: Final = (
    "O histórico de execuções em {path} está danificado: foi guardado como {aside}, e outro "
    "começa vazio."
)
VERSION: Final = len(MIGRATIONS)
"""The version of the tables, kept in the file; version 0 has no more than the runs."""

_BUSY_SECONDS: Final = 10
_MAPPED_BYTES: Final = 1 << 30
_CACHE_KIB: Final = 65_536
_READ: Final = "BEGIN"
_WRITE: Final = "BEGIN IMMEDIATE"

_OWN_COLUMNS: Final = ("began_at", "outcome", "books")
"""Columns by which the table of runs is told from another program's, whatever its version."""
_HEADER: Final = b"SQLite format 3\0"
_PARTS: Final = ("-wal", "-shm", "-journal", "")
"""Names of a database's files. What completes it goes first: SQLite would add it to a new one."""
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BAD_VALUES: Final = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""Raised where a value is none that this program writes."""
_PATH_ERRORS: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})

_log: Final = logging.getLogger(__name__)
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
    """True if the file has been written. Raises HistoryError where it cannot be one."""
    with _errors_translated(path):
        return _size(path) > 0


@contextmanager
def writing(path: Path) -> Iterator[Connection]:
    """Open the file, created or migrated if necessary, for one transaction of the only writer.

    A damaged file is set aside, with a warning: it would stand in the way of every later run.
    """
    with _errors_translated(path):
        path = Path(os.path.realpath(path))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            found = path.stat()
            if _size(path) and _is_damaged(path):
                _set_aside(path, found)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        opened = path.stat()
        try:
            with _connected(path, _WRITE) as connection:
                _migrate(connection, path)
                yield connection
        except (sa.exc.DatabaseError, sqlite3.DatabaseError) as problem:
            if _code(problem) == sqlite3.SQLITE_CORRUPT:
                _set_aside(path, opened)
            raise


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Open an existing file and read it as it is at this moment, of any version up to this one."""
    with _errors_translated(path):
        _size(path)
        with _connected(path, _READ) as connection:
            _require_known(version(connection), path)
            yield connection


@contextmanager
def reading_cases(path: Path) -> Iterator[Connection | None]:
    """As `reading`, or None where no run has judged any case yet."""
    if not exists(path):
        yield None
        return
    with reading(path) as connection:
        if (current := version(connection)) in (0, VERSION):
            yield connection if current else None
            return
    with writing(path):
        pass  # migrated
    with reading(path) as connection:
        yield connection


@contextmanager
def indexed_afterwards(connection: Connection, table: str) -> Iterator[None]:
    """Write a large part of a table: its indexes are built anew, faster than row by row."""
    indexes = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?", (table,)
    ).all()
    for index in indexes:
        connection.exec_driver_sql(f"DROP INDEX {index.name}")
    yield
    for index in indexes:
        connection.exec_driver_sql(index.sql)


def text_of(moment: datetime) -> str:
    """A moment as it is stored: ISO 8601 in UTC, in whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def version(connection: Connection) -> int:
    """The version of the file's tables."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _require_known(number: int, path: Path) -> None:
    if number > VERSION:
        raise HistoryError(NEWER, path=path)
    if number < 0:
        raise HistoryError(DAMAGED, path=path)


def _size(path: Path) -> int:
    """The file's size, 0 where there is none. Raises HistoryError if it is no file."""
    sizes = {"": 0}
    for part in _PARTS:
        with suppress(FileNotFoundError):
            status = os.stat(f"{path}{part}")
            if not stat.S_ISREG(status.st_mode):
                raise HistoryError(NOT_A_HISTORY, path=f"{path}{part}")
            sizes[part] = status.st_size
    return sizes[""]


def _is_damaged(path: Path) -> bool:
    """True for a SQLite file that nobody can use: malformed, or of an impossible version.

    Raises HistoryError for another program's file.
    """
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise HistoryError(NOT_A_HISTORY, path=path)
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            columns = {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
    except sqlite3.DatabaseError as problem:
        return _code(problem) in _DAMAGE
    if tables and number <= VERSION and not columns.issuperset(_OWN_COLUMNS):
        raise HistoryError(NOT_A_HISTORY, path=path)
    return int(number) < 0


def _set_aside(path: Path, damaged: os.stat_result) -> None:
    """Rename this damaged file and the files that complete it, and warn of it."""
    aside = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}")
    lock = file_system.lock(path.with_name(f".{path.name}.lock"), wait_seconds=_BUSY_SECONDS)
    if lock is None:
        raise HistoryError(BUSY, path=path, seconds=_BUSY_SECONDS)
    try:
        if not os.path.samestat(path.stat(), damaged):  # another process was first
            return
        for part in _PARTS:
            with suppress(FileNotFoundError):
                os.replace(f"{path}{part}", f"{aside}{part}")
    finally:
        lock.remove()
    _log.warning("%s", Notice(SET_ASIDE, {"path": path, "aside": aside.name}))


def _migrate(connection: Connection, path: Path) -> None:
    current = version(connection)
    _require_known(current, path)
    if current == VERSION:
        return
    driver: Any = connection.connection.driver_connection
    driver.create_function("folded", 1, table_query.folded, deterministic=True)
    driver.create_function("first_key", 1, cases.first_key, deterministic=True)
    connection.execute(sa.schema.CreateTable(RUNS, if_not_exists=True))
    for statements in MIGRATIONS[current:]:
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
    except (OSError, *_BAD_VALUES, sqlite3.Error, sa.exc.SQLAlchemyError) as problem:
        raise _error(problem, path) from problem


def _error(problem: BaseException, path: Path) -> HistoryError:
    """The sentence that names what kept the file from use."""
    code = _code(problem)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return HistoryError(BUSY, path=path, seconds=_BUSY_SECONDS)
    if code == sqlite3.SQLITE_CORRUPT or isinstance(problem, _BAD_VALUES):
        return HistoryError(DAMAGED, path=path)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR) or (
        isinstance(problem, OSError) and problem.errno in _PATH_ERRORS
    ):
        return HistoryError(NOT_A_HISTORY, path=path)
    return HistoryError(UNUSABLE, path=path)


def _code(problem: BaseException) -> int:
    """SQLite's primary result code, -1 where there is none."""
    driver = getattr(problem, "orig", None) or problem
    return int(getattr(driver, "sqlite_errorcode", None) or -1) & 0xFF
