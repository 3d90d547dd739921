"""Slow reads of a server that is told to stop, and of a program that ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lib.config.settings import ROOT
from tests.support.command import nothing_runs, slow_query, with_query, with_source
from tests.support.pgbouncer import NEEDED, pooler
from tests.support.servers import Databases

# Begins a read that lasts longer than any test, and ends once both statements are under way.
MODES = ("session", "transaction")
READING = """
import json, os, signal, sys, time
from lib.config import defaults, loader
from lib.dashboard.dataset_store import Key, Rights, Store

def read():
    settings = loader.from_values(json.loads(sys.argv[1]), "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    loading = Store().load(settings, Key(request, Rights()))
    while len(loading.stages) < 2:
        assert not loading.future.done(), loading.future.exception()
        time.sleep(0.01)
"""
# As `streamlit run` serves: SIGTERM ends the process without `atexit`.
TOLD_TO_STOP = f"""{READING}
import uvicorn
from starlette.applications import Starlette
from lib.ui import server_lifecycle
class Server(uvicorn.Server):
    async def startup(self, *_, **__):
        await super().startup()
        read()
        os.kill(os.getpid(), signal.SIGTERM)
app = Starlette(lifespan=server_lifecycle.lifespan)
Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")).run()
"""


@pytest.mark.parametrize("mode", [None, *(pytest.param(m, marks=NEEDED) for m in MODES)])
def test_a_server_that_is_told_to_stop_does_not_wait_for_a_slow_read_and_leaves_nothing_running(
    databases: Databases, tmp_path: Path, within_reach: Path, mode: str | None
) -> None:
    values = databases.values
    with ExitStack() as poolers:
        for side in ("transactions", "auth_logs"):
            if mode:
                folder = within_reach / side
                folder.mkdir()
                address = poolers.enter_context(pooler(databases.values[side], folder, mode))
                values = with_source(values, side, **address)
        assert ended(TOLD_TO_STOP, values, tmp_path) == -signal.SIGTERM
        assert nothing_runs(databases)


# These start no thread while the interpreter ends, so no request to cancel leaves them.
@pytest.mark.skipif(
    (3, 12, 0) <= sys.version_info < (3, 12, 2), reason="a fault of Python 3.12.0 and 3.12.1"
)
def test_an_interpreter_that_ends_does_not_wait_for_a_slow_read_and_leaves_nothing_running(
    databases: Databases, tmp_path: Path
) -> None:
    assert ended(f"{READING}\nread()", databases.values, tmp_path) == 0
    assert nothing_runs(databases)


def ended(program: str, values: Mapping[str, Any], folder: Path) -> int:
    """Run a program over slow queries to its end, which must be silent; its status."""
    for side in ("transactions", "auth_logs"):
        values = with_query(values, side, folder, slow_query(side))
    process = subprocess.run(
        [sys.executable, "-c", program, json.dumps(values)],
        cwd=ROOT,
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stderr == "", "the end of a server is no failure of its reads"
    return process.returncode
