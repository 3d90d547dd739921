"""Faults for tests: a connection that is cut, a server that crashes or stops, a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from lib.config.settings import ROOT
from lib.demo import servers as demo
from tests.support.command import APPLICATION, gate, soon
from tests.support.servers import Databases, Servers

MERCHANT = "12345678000190"
DAY = "2026-11-20"
PERIOD = ("--start", DAY, "--end", DAY)


@dataclass
class Line:
    """A TCP proxy to a server's socket that breaks connections after a number of bytes.

    ``server`` has the host of a database (its socket directory) and port, or a port alone.
    ``limits`` are the bytes from the server that the first, second… connection lets through; later
    connections are not limited. A broken connection is closed, or stays open and silent.
    """

    server: dict[str, Any]
    limits: list[int] = field(default_factory=list)
    silent: bool = False
    address: str = "127.0.0.1"
    connections: int = 0

    def __enter__(self) -> Self:
        self._listening = socket.create_server((self.address, 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listening, *self._open):
            _close(end)

    @property
    def source(self) -> dict[str, Any]:
        """The keys of a source that connects through this line."""
        port = self._listening.getsockname()[1]
        return {"host": self.address, "port": port, "sslmode": "prefer"}

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = self._connected()
                limit = self.limits[self.connections] if self._limited() else None
                self.connections += 1
                self._open += [client, server]
                threading.Thread(target=_carry, args=(client, server), daemon=True).start()
                threading.Thread(
                    target=_carry, args=(server, client, limit, self.silent), daemon=True
                ).start()

    def _connected(self) -> socket.socket:
        if "host" not in self.server:
            return socket.create_connection(("127.0.0.1", self.server["port"]))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self.server['host']}/.s.PGSQL.{self.server['port']}")
        return server

    def _limited(self) -> bool:
        return self.connections < len(self.limits)


def fill(databases: Databases, rows: int = 100) -> None:
    """Insert this many purchases of one day, each with its log."""
    number = "lpad(n::text, 12, '0')"
    when = f"date '{DAY}', time '08:00' + n * interval '1 second'"
    databases.execute(
        "transactions",
        f"INSERT INTO transactions SELECT '4000' || {number}, {when}, '{MERCHANT}', NULL, n / 100.0"
        f" FROM generate_series(1, {rows}) AS n",
    )
    databases.execute(
        "auth_logs",
        f"INSERT INTO authentication.transaction_logs SELECT '4000' || {number}, {when}, '00',"
        f" 'compra aprovada na loja', '0{MERCHANT}' FROM generate_series(1, {rows}) AS n",
    )


def backends(databases: Databases, side: str) -> list[int]:
    """The server processes whose statement of the product waits at the gate."""
    rows = databases.execute(
        side,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = '{APPLICATION}' AND wait_event = 'advisory'",
    )
    return [pid for (pid,) in rows]


@contextmanager
def while_reading(databases: Databases, side: str, strike: Callable[[int], None]) -> Iterator[None]:
    """Call ``strike`` once with the server process of this side's first `gated_query`.

    The statement continues only after the strike.
    """
    struck: list[int] = []

    def reading() -> bool:
        struck[:] = backends(databases, side)
        return bool(struck)

    def work(release: Callable[[], None]) -> None:
        try:
            if soon(reading):
                strike(struck[0])
        finally:
            release()

    try:
        with gate(databases, side) as release:
            thread = threading.Thread(target=work, args=(release,))
            thread.start()
            yield
    finally:
        thread.join()
        for pid in struck:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert struck


def restart_at_once(servers: Servers, databases: Databases, side: str) -> None:
    """Kill the server as a crash does, and start it again."""
    # The test servers commit without waiting for the disk, so a crash would lose committed rows.
    databases.execute(side, "CHECKPOINT")
    server = demo.get_server(servers._folder / side, start=False)
    process = psutil.Process(server.get_pid())
    process.send_signal(signal.SIGQUIT)
    process.wait(120)
    servers._down.add(side)
    servers.start(side)


def aggregator() -> tuple[str, str]:
    """The command line as a scheduler runs it."""
    return sys.executable, str(ROOT / "aggregator.py")


def require(*tools: str) -> None:
    """Skip a test whose system tools are missing."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system of this size on the folder, or skip the test."""
    require("mount")
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _carry(
    source: socket.socket, target: socket.socket, limit: int | None = None, silent: bool = False
) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            if limit is not None:
                chunk, limit = chunk[:limit], limit - len(chunk)
            target.sendall(chunk)
            if limit is not None and limit <= 0:
                if silent:
                    return
                break
    _close(source)
    _close(target)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
