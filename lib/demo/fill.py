"""Fill two running PostgreSQL servers with the demonstration's data, as `compose.yaml` does.

    python -m lib.demo.fill --admin-password-file F --password-file F TRANSACTIONS AUTH_LOGS

Both servers are named by host or socket folder. Creates databases, tables and the login of
`lib.demo.servers`; data that are of today already stay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import psycopg2
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from lib.config.file_permissions import read_secret
from lib.demo import servers
from lib.domain.errors import AggregatorError

ROWS: Final = 20_000
_LABEL: Final = "a senha (password_file)"


def main(arguments: list[str]) -> None:
    """Fill the servers that the arguments name. Raises SystemExit with a sentence."""
    parser = argparse.ArgumentParser("python -m lib.demo.fill", description="Fill two servers.")
    parser.add_argument("hosts", nargs=2, metavar="HOST", help="host or socket folder of each side")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--admin-password-file", type=Path, required=True, metavar="F")
    parser.add_argument("--password-file", type=Path, required=True, metavar="F")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS")
    options = parser.parse_args(arguments)
    try:
        passwords = {
            "postgres": read_secret(options.admin_password_file, _LABEL).rstrip("\r\n"),
            servers.USER: read_secret(options.password_file, _LABEL).rstrip("\r\n"),
        }
    except AggregatorError as problem:
        sys.exit(str(problem))
    access = {"port": options.port, "passwords": passwords}
    hosts = zip(servers.SIDES, options.hosts, strict=True)
    attempts = Retrying(
        retry=retry_if_exception_type((psycopg2.OperationalError, psycopg2.InterfaceError)),
        stop=stop_after_delay(options.wait),  # a new server restarts once it is initialised
        wait=wait_fixed(1),
        reraise=True,
    )
    try:
        attempts(_fill, {side: {"host": host, **access} for side, host in hosts})
    except psycopg2.Error as problem:
        sys.exit(str(problem))


def _fill(hosts: dict[servers.Side, dict[str, Any]]) -> None:
    sources = {
        side.name: servers.create_database(server, side.database) for side, server in hosts.items()
    }
    servers.fill(sources, servers.until(), ROWS)


if __name__ == "__main__":
    main(sys.argv[1:])
