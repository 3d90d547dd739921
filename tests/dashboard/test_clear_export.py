"""Clear exports: nothing stays behind, and few run at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from lib.config import defaults, loader
from lib.config.settings import ROOT
from lib.dashboard import clear_export
from lib.domain.errors import ReportError
from lib.security.audit_events import Actor
from tests.support.command import configured, slow_query, soon, statements, with_query
from tests.support.sentences import pattern
from tests.support.servers import Databases

pytestmark = pytest.mark.slow

SETTINGS = """
import sys
from pathlib import Path
from lib.config import defaults, loader
from lib.dashboard import clear_export
from lib.security.audit_events import Actor
settings = loader.load(Path(sys.argv[1]))
request = defaults.request(settings, defaults.local_today(settings))
actor = Actor("rui@example.com", "10.1.2.3")
"""
SERVER = f"""{SETTINGS}
clear_export.start(settings, request, actor, "Pedido 77 da auditoria")
sys.stdin.readline()
"""

# As `streamlit run` serves: the signal ends the process without `atexit`.
SERVED = f"""{SETTINGS}
import uvicorn
from starlette.applications import Starlette
from lib.ui import server_lifecycle
class Server(uvicorn.Server):
    async def startup(self, *_, **__):
        await super().startup()
        clear_export.start(settings, request, actor, "Pedido 77 da auditoria")
app = Starlette(lifespan=server_lifecycle.lifespan)
Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")).run()
"""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def program() -> str:
    return SERVER


@pytest.fixture
def server(
    program: str, databases: Databases, tmp_path: Path, temporary: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a clear export that is still reading."""
    merchant = next(iter(databases.values["merchants"]))
    day = date.today() - timedelta(days=2)  # noqa: DTZ011  # any day of the default period
    databases.fill(transactions=[("4539578763621486", day, time(10), merchant, None, 10)])
    values = with_query(databases.values, "auth_logs", tmp_path, slow_query("auth_logs"))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(configured(tmp_path, values))],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
    ) as process:
        try:
            assert soon(lambda: statements(databases, "auth_logs") == 1)
            [folder] = temporary.glob("agregador-*")
            assert folder.name.startswith(f"agregador-claro-{process.pid}-")
            yield process
        finally:
            process.kill()


def test_a_killed_server_leaves_nothing_in_clear(
    server: subprocess.Popen[bytes], temporary: Path
) -> None:
    server.send_signal(signal.SIGKILL)
    assert soon(lambda: list(temporary.iterdir()) == [])


def test_a_server_that_ends_leaves_nothing_in_clear_and_says_that_the_export_failed(
    server: subprocess.Popen[bytes], temporary: Path, databases: Databases
) -> None:
    server.communicate(b"\n", timeout=120)
    assert list(temporary.iterdir()) == []
    trail = Path(databases.values["audit"]["path"]).read_text().splitlines()
    assert [json.loads(line).get("outcome") for line in trail] == [None, "started", "failed"]


@pytest.mark.parametrize("program", [SERVED])
def test_a_server_that_is_told_to_stop_leaves_nothing_in_clear_and_records_the_failure(
    server: subprocess.Popen[bytes], temporary: Path, databases: Databases
) -> None:
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=120)
    assert list(temporary.glob("agregador-*")) == []
    trail = Path(databases.values["audit"]["path"]).read_text().splitlines()
    assert [json.loads(line).get("outcome") for line in trail] == [None, "started", "failed"]


def test_a_clear_export_that_has_no_thread_to_run_in_fails_in_one_sentence(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    settings = loader.from_values(databases.values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    export = clear_export.start(
        settings, request, Actor("rui", "10.1.2.3"), "Pedido 77 da auditoria"
    )
    with pytest.raises(ReportError, match=pattern(clear_export.NO_THREAD)):
        export.future.result(timeout=120)
    # The end of the server waits for these.
    assert clear_export._UNDER_WAY == {}


def test_what_is_configured_for_scheduled_runs_does_not_reach_a_clear_export(
    databases: Databases, tmp_path: Path
) -> None:
    values = databases.values | {
        "wait": {"until": "07:30"},
        "notify": {"urls": ["json://user:secret@127.0.0.1:9"]},
        "metrics": {"token": "a" * 40},
        "copies": {"to": [str(tmp_path)]},
    }
    settings = loader.from_values(values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    export = clear_export.start(settings, request, Actor("rui", "10.1.2.3"), "Pedido 77 do setor")
    assert export.future.result(timeout=120)
    assert list(tmp_path.iterdir()) == []


def test_a_third_clear_export_at_once_is_refused(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loader.from_values(databases.values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    go = threading.Event()

    def wait(*_: object) -> bytes:
        assert go.wait(120)
        return b"x"

    def begin() -> clear_export.ClearExport:
        return clear_export.start(settings, request, Actor("rui", "10.1.2.3"), "Pedido 77 do setor")

    monkeypatch.setattr(clear_export, "_content", wait)
    try:
        begun = [begin(), begin()]
        with pytest.raises(ReportError, match=pattern(clear_export.TOO_MANY)):
            begin()
    finally:
        go.set()
    assert [export.future.result(timeout=120) for export in begun] == [b"x", b"x"]
    assert soon(lambda: clear_export._UNDER_WAY == {})
    assert begin().future.result(timeout=120) == b"x"
