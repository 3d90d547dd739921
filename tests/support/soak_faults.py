"""Faults of the soak: each starts a run and strikes it; the codes that the run may end with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.cli import main as cli
from lib.delivery import history
from lib.demo import servers as demo
from lib.reports import file_lock
from tests.support import command, faults, soak_notices
from tests.support.command import (
    Completed,
    configured,
    gated_query,
    slow_query,
    soon,
    with_query,
    with_source,
)
from tests.support.copy_servers import Sftp
from tests.support.faults import PERIOD, Line
from tests.support.ports import free_port
from tests.support.receivers import Hook
from tests.support.sentences import says
from tests.support.servers import NEEDS_PASSWORD, Databases, Servers

ROWS = 500
HELD_SECONDS = 120
PATIENCE_SECONDS = 90
LONGEST_RUN_SECONDS = 300
QUICK = {"connect_timeout": 2, "statement_timeout": 120}
KILLED = -signal.SIGKILL


@dataclass
class Bench:
    """The servers, the folder of the report, and the number of purchases in the databases."""

    servers: Servers
    databases: Databases
    folder: Path
    random: random.Random
    hook: Hook
    sftp: Sftp
    rows: int = ROWS

    @property
    def target(self) -> Path:
        return self.folder / "resultado_transacoes.xlsx"

    @property
    def record(self) -> history.History:
        return history.History(self.folder.with_name("history.sqlite"))

    @property
    def trail(self) -> Path:
        return self.folder.with_name("audit.jsonl")

    def values(self, **keys: Any) -> dict[str, Any]:
        values = {
            **self.databases.values_for(demo.USER_BY_ROWS),
            "row_level_security": True,
            "history": {"path": str(self.record.path)},
            "notify": soak_notices.settings(self.hook),
            "audit": {"path": str(self.trail)},
            "copies": self.sftp.copies(),
            **keys,
        }
        for side in ("transactions", "auth_logs"):
            values = with_source(values, side, **QUICK)
        return values

    def grow(self) -> None:
        """Add a purchase, so that an old report cannot pass for a new one."""
        self.rows += 1
        number = f"lpad('{self.rows}', 12, '0')"
        day = faults.DAY
        self.databases.execute(
            "transactions",
            f"INSERT INTO transactions VALUES ('4000' || {number}, '{day}', '12:00',"
            f" '{faults.MERCHANT}', NULL, 1)",
        )
        self.databases.execute(
            "auth_logs",
            f"INSERT INTO authentication.transaction_logs VALUES ('4000' || {number}, '{day}',"
            f" '12:00', '00', 'compra', '0{faults.MERCHANT}')",
        )

    def start(self, values: dict[str, Any]) -> subprocess.Popen[str]:
        # Two runs at once need separate configuration files.
        file = configured(Path(tempfile.mkdtemp(dir=self.folder.parent)), values)
        return command.start("--config", str(file), "--output", str(self.target), *PERIOD)

    def wait_until_reading(self, process: subprocess.Popen[str]) -> None:
        """Wait until this run reads; raise AssertionError, with its output, if it never does."""
        reads = soon(lambda: command.statements(self.databases, "auth_logs") == 1, PATIENCE_SECONDS)
        if not reads:
            process.kill()
        assert reads, ("the run never began to read", finish(process))

    def slow(self, seconds: int) -> dict[str, Any]:
        return self._by(slow_query("auth_logs", seconds))

    def gated(self) -> dict[str, Any]:
        return self._by(gated_query("auth_logs"))

    def _by(self, query: str) -> dict[str, Any]:
        return with_query(self.values(), "auth_logs", self.folder.parent, query)


Fault = Callable[[Bench], Completed]


def none(bench: Bench) -> Completed:
    return finish(bench.start(bench.values()))


def refused(bench: Bench) -> Completed:
    with Line(bench.databases.values["auth_logs"]) as gone:
        source = gone.source
    return finish(bench.start(with_source(bench.values(), "auth_logs", **source)))


def silent(bench: Bench) -> Completed:
    return _over_a_line(bench, limits=[0], silent=True)


def cut_once(bench: Bench) -> Completed:
    return _over_a_line(bench, limits=[bench.random.randrange(300, 60_000)])


def cut_always(bench: Bench) -> Completed:
    return _over_a_line(bench, limits=[bench.random.randrange(300, 30_000) for _ in range(9)])


def terminated(bench: Bench) -> Completed:
    def strike(pid: int) -> None:
        bench.databases.execute("auth_logs", f"SELECT pg_terminate_backend({pid})")

    return _while_reading(bench, strike)


def stopped(bench: Bench) -> Completed:
    values = with_source(bench.gated(), "auth_logs", statement_timeout=6)
    return _while_reading(bench, lambda pid: os.kill(pid, signal.SIGSTOP), values)


def crashed(bench: Bench) -> Completed:
    return _while_reading(
        bench, lambda _: faults.restart_at_once(bench.servers, bench.databases, "auth_logs")
    )


def wrong_password(bench: Bench) -> Completed:
    login = {"user": NEEDS_PASSWORD, "password": "errada"}
    with Line(bench.databases.values["auth_logs"]) as line:
        values = with_source(bench.values(), "auth_logs", **line.source, **login)
        return finish(bench.start(values))


def no_permission(bench: Bench) -> Completed:
    table = "authentication.transaction_logs"
    with _changed(
        bench,
        f"REVOKE SELECT ON {table} FROM {demo.USER_BY_ROWS}",
        f"GRANT SELECT ON {table} TO {demo.USER_BY_ROWS}",
    ):
        return none(bench)


def renamed_column(bench: Bench) -> Completed:
    table = "ALTER TABLE authentication.transaction_logs RENAME "
    with _changed(bench, f"{table} log_date TO dia", f"{table} dia TO log_date"):
        return none(bench)


def folder_gone(bench: Bench) -> Completed:
    moved = bench.folder.with_name("away")
    bench.folder.rename(moved)
    try:
        return none(bench)
    finally:
        moved.rename(bench.folder)


def killed(bench: Bench) -> Completed:
    with bench.start(bench.values()) as process:
        time.sleep(bench.random.uniform(0.2, 2.5))
        process.kill()
        out, err = process.communicate()
    return Completed(process.returncode, out, err)


def told_to_stop(bench: Bench) -> Completed:
    process = bench.start(bench.slow(HELD_SECONDS))
    bench.wait_until_reading(process)
    process.send_signal(bench.random.choice([signal.SIGTERM, signal.SIGINT]))
    return finish(process)


def two_at_once(bench: Bench) -> Completed:
    first = bench.start(bench.slow(HELD_SECONDS))
    bench.wait_until_reading(first)
    before = bench.target.read_bytes()
    second = none(bench)
    held = first.poll() is None and command.statements(bench.databases, "auth_logs") == 1
    first.terminate()
    result = finish(first)
    # If the first run had already ended, the second one could not have met its lock.
    assert held, ("the first run did not last as long as the second", result, second)
    assert (second.code, bench.target.read_bytes()) == (cli.FAILED, before), (result, second)
    assert says(second.sentence, file_lock.TAKEN), second
    return result


def copy_cut(bench: Bench) -> Completed:
    """The copy goes over a line that breaks once, or each time."""
    limits = [bench.random.randrange(0, 6_000) for _ in range(bench.random.choice([1, 2, 3]))]
    with Line({"port": bench.sftp.port}, limits) as line:
        copies = bench.sftp.copies(int(line.source["port"]))
        return finish(bench.start(bench.values(copies=copies)))


def copy_refused(bench: Bench) -> Completed:
    return finish(bench.start(bench.values(copies=bench.sftp.copies(free_port()))))


def copy_killed(bench: Bench) -> Completed:
    """The run is killed while it copies, or a little before or after."""
    begun = bench.target.stat().st_mtime
    process = bench.start(bench.values())
    soon(lambda: process.poll() is not None or bench.target.stat().st_mtime > begun, 60)
    time.sleep(bench.random.uniform(0, 1.5))
    process.kill()
    return finish(process)


HEALS, MAY_HEAL = {cli.DONE}, {cli.DONE, cli.FAILED}
FAILS, STOPS = {cli.FAILED}, {cli.INTERRUPTED}
KILLS = (killed, copy_killed)
EXPECTED: dict[Fault, set[int]] = {
    **dict.fromkeys((none, silent, cut_once, terminated), HEALS),
    **dict.fromkeys((stopped, crashed), MAY_HEAL),
    **dict.fromkeys((refused, cut_always, wrong_password, no_permission), FAILS),
    **dict.fromkeys((renamed_column, folder_gone), FAILS),
    **dict.fromkeys((told_to_stop, two_at_once), STOPS),
    **dict.fromkeys(KILLS, {KILLED, cli.DONE}),
    copy_cut: MAY_HEAL,
    copy_refused: FAILS,
}
FAULTS: tuple[Fault, ...] = (*EXPECTED, killed)


def finish(process: subprocess.Popen[str]) -> Completed:
    return command.finish(process, LONGEST_RUN_SECONDS)


def _over_a_line(bench: Bench, **faults_of_line: Any) -> Completed:
    with Line(bench.databases.values["auth_logs"], **faults_of_line) as line:
        values = with_source(bench.values(), "auth_logs", **line.source)
        return finish(bench.start(values))


def _while_reading(
    bench: Bench, strike: Callable[[int], None], values: dict[str, Any] | None = None
) -> Completed:
    with faults.while_reading(bench.databases, "auth_logs", strike):
        return finish(bench.start(values or bench.gated()))


@contextmanager
def _changed(bench: Bench, change: str, back: str) -> Iterator[None]:
    bench.databases.execute("auth_logs", change)
    try:
        yield
    finally:
        bench.databases.execute("auth_logs", back)
