"""The system's PostgreSQL (Debian: postgresql), which has TLS and listens on loopback.

The embedded servers are built without TLS.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.certificates import Authority, Pair

HERE = "127.0.0.1"
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = off
"""
TLS = """
ssl = on
ssl_ca_file = 'root.crt'
"""
ACCESS = """
hostssl all certified all trust clientcert=verify-full
hostssl all aggregator all trust
hostssl all guarded all scram-sha-256
"""
OPEN = "host all aggregator all trust"


class Server:
    """The system's PostgreSQL, with TLS if there is an authority.

    Runs as the system's user postgres if root runs the tests.
    """

    def __init__(self, folder: Path, authority: Authority | None) -> None:
        self._bin = BINARIES[-1].parent
        self._data = folder / "data"
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        with socket.create_server((HERE, 0)) as free:
            self.port = free.getsockname()[1]
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", str(self._data))
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(CONFIGURATION.format(port=self.port))
            conf.write(TLS if authority else "")
        access = ACCESS if authority else OPEN
        (self._data / "pg_hba.conf").write_text(f"host all postgres all trust\n{access}\n")
        if authority:
            self._install(authority.root, "root.crt")

    def present(self, pair: Pair) -> None:
        """Restart with this certificate."""
        self._install(pair.certificate, "server.crt")
        self._install(pair.key, "server.key")
        self.restart()

    def restart(self) -> None:
        """Start, after stopping what runs."""
        self.stop()
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._data / "log"), "start")

    def execute(self, statement: str) -> None:
        self._run("psql", "-h", HERE, "-p", str(self.port), "-U", "postgres", "-c", statement)

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def _install(self, file: Path, name: str) -> None:
        shutil.copy(file, self._data / name)
        (self._data / name).chmod(0o600)
        if self._user:
            shutil.chown(self._data / name, self._user)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._bin / program, *words],
            user=self._user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
