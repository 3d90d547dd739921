"""A real PgBouncer in front of a test's server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lib.database import sessions
from tests.support.command import soon

NEEDED = (
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer"),
    pytest.mark.system,
)
"""The marks of a parameter that runs behind PgBouncer."""


@contextmanager
def pooler(source: dict[str, Any], folder: Path, mode: str, **options: str) -> Iterator[Any]:
    """A real PgBouncer in front of this source; the source's address behind it."""
    account = pwd.getpwuid(Path(source["host"]).stat().st_uid)
    os.chown(folder, account.pw_uid, account.pw_gid)
    lines = {
        "listen_addr": "",
        "unix_socket_dir": str(folder),
        "listen_port": "6432",
        "auth_type": "any",
        "pool_mode": mode,
        "logfile": str(folder / "log"),
        "pidfile": str(folder / "pid"),
        **options,
    }
    target = (
        f"host={source['host']} port={source['port']} dbname={source['database']}"
        f" user={source['user']}"
    )
    text = "[databases]\n" + f"{source['database']} = {target}\n[pgbouncer]\n"
    text += "".join(f"{name} = {value}\n" for name, value in lines.items())
    (folder / "pgbouncer.ini").write_text(text)
    process = subprocess.Popen(
        ["pgbouncer", "-q", "-u", account.pw_name, str(folder / "pgbouncer.ini")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = lines["listen_port"]
        assert soon((folder / f".s.PGSQL.{port}").exists, 60), (folder / "log").read_text()
        yield {"host": str(folder), "port": int(port)}
    finally:
        process.kill()  # from version 1.23 on, it waits for its clients after SIGTERM
        process.wait(30)
        sessions._pool.cache_clear()
