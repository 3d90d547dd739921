"""Signals to processes that wait for a server: they end within seconds and leave nothing there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main
from lib.config.settings import ROOT
from tests.support.command import (
    APPLICATION,
    Completed,
    configured,
    finish,
    slow_query,
    soon,
    start,
    statements,
    with_query,
    with_source,
)
from tests.support.faults import MERCHANT, PERIOD, Line
from tests.support.receivers import silent
from tests.support.servers import Databases

pytestmark = pytest.mark.fault

TABLES = {"transactions": "transactions", "auth_logs": "authentication.transaction_logs"}
SIGNALS = [signal.SIGINT, signal.SIGTERM]
_SECONDS = 20
"""Far less than the servers' time limits, far more than an interruption takes."""

SLEEPING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
    " AND wait_event = 'PgSleep'"
)

# The estimate before would wait for the same lock.
ENGINE = """
import sys
from lib.cli import main
from lib.engines import sizing
sizing.records = lambda *_: 1000
sys.exit(main.main(sys.argv[1:]))
"""
PROGRAM = """
import os, sys, time
from datetime import date
from pathlib import Path
from lib.config import loader
from lib.database import introspection, running_sessions, sessions
settings = loader.load(Path(sys.argv[1]))
"""
MERCHANTS = f"{PROGRAM}introspection.merchants(settings, date(2026, 11, 1))"
LATE = f"""{PROGRAM}
def late(side):
    os.write(1, b"before\\n")
    time.sleep(1)
    with sessions.session(settings, side) as cursor:
        cursor.execute("SELECT pg_sleep(240)")
running_sessions.together([lambda: late("transactions"), lambda: late("auth_logs")])
"""
SERVER = f"""{PROGRAM}
import threading, uvicorn
from starlette.applications import Starlette
from lib.config import defaults
from lib.delivery import diagnosis
from lib.ui import server_lifecycle
request = defaults.request(settings, date(2026, 11, 20))
ask = lambda: list(diagnosis.check_sources(settings, request))
threading.Thread(target=ask, daemon=True).start()
app = Starlette(lifespan=server_lifecycle.lifespan)
uvicorn.run(app, host="127.0.0.1", port=0, log_level="error")
"""


@contextmanager
def locked(databases: Databases, *sides: str) -> Iterator[None]:
    """Hold these sides' tables as an ALTER TABLE does."""
    with (
        closing(databases.connect("transactions")) as a,
        closing(databases.connect("auth_logs")) as b,
    ):
        for side, connection in (("transactions", a), ("auth_logs", b)):
            if side in sides:
                connection.cursor().execute(f"LOCK TABLE {TABLES[side]}")
        yield


def program(code: str, *words: str) -> subprocess.Popen[str]:
    """Run this code as a process."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(
    databases: Databases, process: subprocess.Popen[str], *sides: str, number: int = signal.SIGINT
) -> Completed:
    """Send the signal once the process waits on these sides; the ended process."""
    try:
        assert soon(lambda: all(statements(databases, side) == 1 for side in sides), 60)
        process.send_signal(number)
        return finish(process, _SECONDS)
    finally:
        process.kill()


def nothing_is_left(databases: Databases) -> bool:
    """True if no session of the product stays on either server, while the locks are still held."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = '{APPLICATION}'"
    )
    return all(soon(lambda s=side: databases.execute(s, sql) == [(0,)], 10) for side in TABLES)


@pytest.mark.parametrize(
    "sides", [("transactions",), ("auth_logs",), ("transactions", "auth_logs")]
)
@pytest.mark.parametrize("number", SIGNALS)
def test_the_snapshots_of_an_engine_are_not_waited_for(
    databases: Databases, tmp_path: Path, sides: tuple[str, ...], number: int
) -> None:
    engine = {"kind": "chunked", "workers": 2, "staging_dir": str(tmp_path / "staging")}
    file = configured(tmp_path, databases.values, engine=engine)
    words = ("--config", str(file), "--output", str(tmp_path / "a.xlsx"), *PERIOD)
    with locked(databases, *sides):
        result = interrupted(databases, program(ENGINE, *words), *sides, number=number)
        assert (result.code, result.sentence) == (main.INTERRUPTED, main.INTERRUPTED_SENTENCE)
        assert nothing_is_left(databases)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_examination_of_a_new_configuration_is_not_waited_for(
    databases: Databases, tmp_path: Path, number: int
) -> None:
    words = ["--config", str(tmp_path / "new.toml"), "--merchant", MERCHANT]
    for side in TABLES:
        source = databases.values[side]
        for key in ("host", "port", "database", "user"):
            words += [f"--{side.replace('_', '-')}-{key}", str(source[key])]
    with locked(databases, "transactions"):
        process = start("init", *words)
        result = interrupted(databases, process, "transactions", number=number)
        assert (result.code, result.sentence) == (main.INTERRUPTED, main.INTERRUPTED_SENTENCE)
        assert nothing_is_left(databases)


def test_the_count_of_merchants_is_not_waited_for(databases: Databases, tmp_path: Path) -> None:
    file = configured(tmp_path, databases.values)
    with locked(databases, "transactions"):
        result = interrupted(databases, program(MERCHANTS, str(file)), "transactions")
        assert "KeyboardInterrupt" in result.err
        assert nothing_is_left(databases)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_question_of_a_waiting_run_is_not_waited_for(
    databases: Databases, tmp_path: Path, number: int
) -> None:
    file = configured(tmp_path, databases.values, wait={"until": "00:00"})
    words = ("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
    with locked(databases, *TABLES):
        result = interrupted(databases, start(*words), *TABLES, number=number)
        assert (result.code, result.sentence) == (main.INTERRUPTED, main.INTERRUPTED_SENTENCE)
        assert nothing_is_left(databases)


@pytest.mark.parametrize("wait", [{}, {"until": "00:00"}])
def test_servers_that_can_no_longer_be_reached_delay_no_interruption(
    databases: Databases, tmp_path: Path, wait: dict[str, Any]
) -> None:
    values = databases.values
    limits = [1 << 30, *[0] * 40]
    with (
        locked(databases, *TABLES),
        Line(values["transactions"], limits, silent=True) as first,
        Line(values["auth_logs"], limits, silent=True) as second,
    ):
        for side, line in zip(TABLES, (first, second), strict=True):
            values = with_source(values, side, **line.source, connect_timeout=60)
        file = configured(tmp_path, values, **({"wait": wait} if wait else {}))
        process = start("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
        assert interrupted(databases, process, *TABLES).code == main.INTERRUPTED


@pytest.mark.parametrize("words", [("check",), ("run",)])
def test_servers_that_do_not_answer_delay_no_interruption(
    databases: Databases, tmp_path: Path, words: tuple[str, ...]
) -> None:
    values = databases.values
    with silent() as port:
        for side in TABLES:
            values = with_source(values, side, host="127.0.0.1", port=port, connect_timeout=60)
        keys = {"engine": {"kind": "memory"}, "output_path": str(tmp_path / "a.xlsx")}
        file = configured(tmp_path, values, allow_insecure=True, **keys)
        process = start(*words, "--config", str(file))
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(8)
            assert interrupted(databases, process).code == main.INTERRUPTED
        finally:
            process.kill()


def test_a_session_that_opens_after_the_interruption_asks_nothing(
    databases: Databases, tmp_path: Path
) -> None:
    process = program(LATE, str(configured(tmp_path, databases.values)))
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in TABLES] == ["before\n"] * 2
    assert "KeyboardInterrupt" in interrupted(databases, process).err
    assert nothing_is_left(databases)


@pytest.mark.parametrize("engine", ["memory", "chunked"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_statement_of_a_process_that_is_gone_ends_on_the_database(
    databases: Databases, tmp_path: Path, engine: str, number: int
) -> None:
    values = with_query(databases.values, "auth_logs", tmp_path, slow_query("auth_logs"))
    keys = {"kind": engine, "workers": 2, "staging_dir": str(tmp_path / "staging")}
    file = configured(tmp_path, values, engine=keys)
    process = start("--config", str(file), "--output", str(tmp_path / "a.xlsx"), *PERIOD)
    assert soon(lambda: bool(databases.execute("auth_logs", SLEEPING)))
    interrupted(databases, process, number=number)
    assert nothing_is_left(databases)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_questions_of_a_server_that_is_told_to_stop_end_on_the_databases(
    databases: Databases, tmp_path: Path, number: int
) -> None:
    file = configured(tmp_path, databases.values)
    with locked(databases, *TABLES):
        process = program(SERVER, str(file))
        interrupted(databases, process, *TABLES, number=number)
        assert nothing_is_left(databases)
