"""Embedded PostgreSQL servers for the tests: a pair with fresh databases, and the demonstration's.

A pair belongs to one test process, and `Servers.close` removes it. The servers trade durability
for speed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from psycopg2.extras import execute_values

from lib.config.settings import ROOT
from lib.demo import data, servers

MERCHANTS = {"12345678000190": "Loja Exemplo", "7KM2Q9B4000149": "Café do Porto"}
NEEDS_PASSWORD = "needs_password"
PASSWORD = "senha@certa"

_TEMPLATE = "empty_tables"
_SETTINGS = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off"
_ACCESS = f"local all {NEEDS_PASSWORD} scram-sha-256\nhost all {NEEDS_PASSWORD} all scram-sha-256"
_HOLDER = """
import sys
from pathlib import Path
from lib.demo import servers
servers.start(Path(sys.argv[1]), rows=300)
print("ready", flush=True)
sys.stdin.read()
"""


class Servers:
    """Two running servers, one for each side, with all logins."""

    def __init__(self) -> None:
        self._folder = new_folder()
        self._down: set[str] = set()
        self._number = count(1)
        self.addresses = {side.name: self._boot(side.name) for side in servers.SIDES}
        for side in servers.SIDES:
            source = servers.create_database(self.addresses[side.name], _TEMPLATE)
            _execute(source, side.schema)
            _execute(source, f"CREATE ROLE {NEEDS_PASSWORD} LOGIN PASSWORD '{PASSWORD}'")
            _execute(source, f"GRANT {servers.USER} TO {NEEDS_PASSWORD}")

    def fresh(self, encoding: str | None = None) -> Databases:
        """Create a pair of databases with the empty tables of both sides, by default in UTF-8."""
        name = f"test_{next(self._number)}"
        template = f"TEMPLATE {_TEMPLATE} STRATEGY file_copy"
        if encoding:
            template = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        for side in servers.SIDES:
            self._administer(side.name, f"CREATE DATABASE {name} {template}")
            if encoding:
                _execute({**self.addresses[side.name], "database": name}, side.schema)
        sources = {
            side: {**address, "database": name, "user": servers.USER}
            for side, address in self.addresses.items()
        }
        audit = {"path": str(self._folder / f"{name}.audit.jsonl")}
        return Databases({"merchants": dict(MERCHANTS), **sources, "audit": audit})

    def drop(self, databases: Databases) -> None:
        """Remove the pair despite open connections, and restart a server that a test stopped."""
        for side in self.addresses:
            self.start(side)
            name = databases.values[side]["database"]
            self._administer(side, f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self, side: str) -> None:
        """Stop one server and cut its connections, as an administrator's restart does."""
        servers.get_server(self._folder / side, start=False).stop()
        self._down.add(side)

    def start(self, side: str) -> None:
        """Start a server again at the same address, if `stop` stopped it."""
        if side in self._down:
            self._boot(side)
            self._down.remove(side)

    def close(self) -> None:
        """Stop both servers and remove their folders."""
        for side in self.addresses:
            servers.get_server(self._folder / side, start=False).cleanup()
        shutil.rmtree(self._folder)

    def _boot(self, side: str) -> dict[str, Any]:
        return servers.start_server(self._folder / side, _SETTINGS, _ACCESS)

    def _administer(self, side: str, statement: str) -> None:
        _execute({**self.addresses[side], "database": "postgres"}, statement)


@dataclass(frozen=True)
class Databases:
    """A pair of databases, and the `[aggregator]` values that read them."""

    values: dict[str, Any]

    def fill(
        self,
        transactions: Sequence[tuple[Any, ...]] = (),
        customer_cards: Sequence[tuple[Any, ...]] = (),
        auth_logs: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        """Insert these rows, each a tuple in the order of its table's columns."""
        for side, table, rows in (
            ("transactions", data.TRANSACTIONS, transactions),
            ("transactions", data.CUSTOMER_CARDS, customer_cards),
            ("auth_logs", data.AUTH_LOGS, auth_logs),
        ):
            with (
                closing(self.connect(side)) as connection,
                connection,
                connection.cursor() as cursor,
            ):
                execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, page_size=10_000)

    def execute(self, side: str, statement: str) -> list[tuple[Any, ...]]:
        """Execute and commit SQL as the superuser, and return its rows, if any."""
        return _execute(self.values[side], statement)

    def connect(self, side: str) -> Any:
        """A superuser's connection; the caller closes it."""
        return servers.connect(self.values[side], database=self.values[side]["database"])

    def values_for(self, user: str, password: str | None = None) -> dict[str, Any]:
        """The values with another login on both sides."""
        login = {"user": user} if password is None else {"user": user, "password": password}
        return self.values | {side.name: self.values[side.name] | login for side in servers.SIDES}


def new_folder() -> Path:
    """A folder for servers, in memory if it has space: a fresh pair takes a quarter of the time.

    It is not pytest's: a later pytest run would remove the servers' user's access to it.
    """
    memory = Path("/dev/shm")  # noqa: S108
    has_space = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    return Path(tempfile.mkdtemp(prefix="mda-", dir=memory if has_space else None))


def holding_demo(root: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that starts the demonstration, prints "ready" and holds it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _HOLDER, str(root)],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running_under(folder: Path) -> list[psutil.Process]:
    """The PostgreSQL server processes with data in this folder."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if (process.info["name"] or "").startswith("postgres")
        and any(part.startswith(str(folder)) for part in process.info["cmdline"] or [])
    ]


def _execute(source: dict[str, Any], statement: str) -> list[tuple[Any, ...]]:
    with closing(servers.connect(source, database=source["database"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
