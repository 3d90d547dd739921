"""Faults of a scheduled read, produced on real servers, and the outcome of the run."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from tenacity import Retrying

from lib import pipeline
from lib.cli import main
from lib.config import defaults, loader
from lib.database import copy_reader, retry, sessions
from lib.database.error_translation import BY_STATE, NOT_CONNECTED
from lib.domain import requests
from tests.support import faults
from tests.support.command import (
    Command,
    Sheets,
    behind_gate,
    gate,
    gated_query,
    nothing_runs,
    sheets,
    with_query,
    with_source,
)
from tests.support.faults import PERIOD, Line, fill, while_reading
from tests.support.sentences import says
from tests.support.servers import NEEDS_PASSWORD, Servers

pytestmark = pytest.mark.fault

ROWS = 5_000
MIDDLE = 100_000  # bytes; a side's stream has about 700,000
QUICK = {"connect_timeout": 10, "statement_timeout": 3}
LOST = BY_STATE["08"].format(side="auth_logs")
ENDED = BY_STATE["57P"].format(side="auth_logs")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(sessions, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(copy_reader, "_CANCEL_SECONDS", 0.5)


@pytest.fixture
def attempts(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The errors of the attempts that were followed by another, from the log."""
    return lambda: [str(r.args[0]) for r in caplog.records if r.msg == retry.RETRYING]


def undisturbed(command: Command, rows: int = ROWS) -> Sheets:
    fill(command.databases, rows)
    report = command.reported(*PERIOD)
    assert (len(report.consolidated), len(report.divergences)) == (rows, 0)
    command.__post_init__()
    return report


def gated(command: Command, side: str = "auth_logs") -> dict[str, object]:
    values = with_query(command.databases.values, side, command.folder, gated_query(side))
    return with_source(values, side, **QUICK)


def test_a_refused_connection_is_tried_three_times_and_then_reported(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    with Line(command.databases.values["auth_logs"]) as gone:
        source = gone.source
    values = with_source(command.databases.values, "auth_logs", **source)
    sentence = NOT_CONNECTED.format(side="auth_logs", host="127.0.0.1", port=source["port"])
    assert command.refused(*PERIOD, values=values) == sentence
    assert attempts() == [sentence] * 2


@pytest.mark.timeout(120)
def test_a_server_that_accepts_and_stays_silent_is_given_up(command: Command) -> None:
    values = command.databases.values
    with Line(values["auth_logs"], limits=[0, 0, 0], silent=True) as line:
        # Without the time limit the run would wait forever.
        values = with_source(values, "auth_logs", **line.source, connect_timeout=1)
        sentence = command.refused(*PERIOD, values=values)
        assert line.connections == retry.ATTEMPTS
    assert says(sentence, NOT_CONNECTED)


def test_a_side_whose_line_is_cut_in_the_middle_is_read_again_from_the_start(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command)
    for side in requests.SIDES:
        with Line(command.databases.values[side], limits=[MIDDLE]) as line:
            values = with_source(command.databases.values, side, **line.source)
            assert command.run(*PERIOD, values=values).code == main.DONE
            assert line.connections == 2
        assert sheets(command.target) == expected
    assert len(attempts()) == 2


def test_the_table_that_a_failed_attempt_has_read_is_released_before_the_next(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(command.databases, ROWS)
    extract, transactions_read = copy_reader.extract, threading.Event()
    tables: list[weakref.ref[pa.Table]] = []
    still_held: list[int] = []

    def observed(*arguments: Any, arrived: copy_reader.Arrived, **options: Any) -> Any:
        def kept(side: requests.Side, table: pa.Table) -> None:
            tables.append(weakref.ref(table))
            arrived(side, table)
            transactions_read.set()

        still_held.append(sum(table() is not None for table in tables))
        return extract(*arguments, arrived=kept, **options)

    def progress(stage: str, _: int) -> None:
        if stage == "auth_logs":
            assert transactions_read.wait(60)

    monkeypatch.setattr(copy_reader, "extract", observed)
    gc.disable()  # it would release the table at some time
    try:
        with Line(command.databases.values["auth_logs"], limits=[MIDDLE]) as line:
            values = with_source(command.databases.values, "auth_logs", **line.source)
            settings = loader.from_values(values, "teste", {})
            day = date.fromisoformat(faults.DAY)
            pipeline.run(settings, defaults.request(settings, day), progress=progress)
    finally:
        gc.enable()
    assert (still_held, len(tables)) == ([0, 0], 3)


def test_a_line_that_is_cut_every_time_leaves_the_previous_report(command: Command) -> None:
    fill(command.databases, ROWS)
    with Line(command.databases.values["auth_logs"], limits=[MIDDLE] * 9) as line:
        values = with_source(command.databases.values, "auth_logs", **line.source)
        assert command.refused(*PERIOD, values=values) == LOST
    assert nothing_runs(command.databases)


def test_a_line_that_falls_silent_in_the_middle_is_closed_and_the_side_read_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command)
    with Line(command.databases.values["auth_logs"], limits=[MIDDLE], silent=True) as line:
        source = {**line.source, **QUICK}
        values = with_source(command.databases.values, "auth_logs", **source)
        assert command.run(*PERIOD, values=values).code == main.DONE
    assert sheets(command.target) == expected
    assert attempts() == [copy_reader.SILENT.format(side="auth_logs", seconds=3.5)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("limit", [300, 450, 500, 600, 900])
def test_a_server_that_falls_silent_while_a_connection_is_set_up_is_given_up(
    command: Command, limit: int
) -> None:
    """The limits cut the handshake, the first query and the settings of the session."""
    fill(command.databases, 3)
    with Line(command.databases.values["auth_logs"], limits=[limit], silent=True) as line:
        source = {**line.source, "connect_timeout": 3, "statement_timeout": 3}
        values = with_source(command.databases.values, "auth_logs", **source)
        assert command.run(*PERIOD, values=values).code == main.DONE
        assert line.connections == 2
    assert len(sheets(command.target).consolidated) == 3


def test_a_server_that_crashes_and_restarts_in_the_middle_is_read_again(
    command: Command,
    servers: Servers,
    attempts: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = undisturbed(command, rows=100)

    restarted = threading.Event()

    def crash(_: int) -> None:
        faults.restart_at_once(servers, command.databases, "auth_logs")
        restarted.set()

    values = with_source(gated(command), "auth_logs", statement_timeout=60)
    monkeypatch.setattr(retry, "Retrying", partial(Retrying, sleep=lambda _: restarted.wait(120)))
    with while_reading(command.databases, "auth_logs", crash):
        result = command.run(*PERIOD, values=values)
    assert (result.code, sheets(command.target)) == (main.DONE, expected)
    assert attempts()


def test_a_side_whose_server_process_is_terminated_is_read_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command, rows=100)

    def end(pid: int) -> None:
        command.databases.execute("auth_logs", f"SELECT pg_terminate_backend({pid})")

    with while_reading(command.databases, "auth_logs", end):
        result = command.run(*PERIOD, values=gated(command))
    assert (result.code, sheets(command.target)) == (main.DONE, expected)
    [error] = attempts()
    assert error in (ENDED, LOST)


def test_a_side_whose_server_process_is_stopped_is_read_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command, rows=100)
    with while_reading(command.databases, "auth_logs", lambda pid: os.kill(pid, signal.SIGSTOP)):
        result = command.run(*PERIOD, values=gated(command))
    assert (result.code, sheets(command.target)) == (main.DONE, expected)
    [error] = attempts()
    assert says(error, copy_reader.SILENT)


def test_a_server_process_stopped_after_the_read_blocks_no_session(
    command: Command,
) -> None:
    values = with_source(command.databases.values, "auth_logs", connect_timeout=1)
    settings = loader.from_values(values, "teste", {})
    stopped: list[int] = []

    def read() -> Any:
        with sessions.session(settings, "auth_logs") as cursor:
            cursor.execute("SELECT 1")
            stopped.append(cursor.connection.info.backend_pid)
            os.kill(stopped[0], signal.SIGSTOP)
            return cursor.fetchone()

    with ThreadPoolExecutor(1) as pool:
        row = pool.submit(read)
        try:
            assert row.result(120) == (1,)
        finally:
            os.kill(stopped[0], signal.SIGCONT)


def test_a_session_with_a_limit_gives_up_a_stopped_server_process(command: Command) -> None:
    settings = loader.from_values(command.databases.values, "teste", {})
    pids: list[int] = []

    def read() -> None:
        with sessions.session(settings, "auth_logs", limit=1) as cursor:
            pids.append(cursor.connection.info.backend_pid)
            os.kill(pids[0], signal.SIGSTOP)
            cursor.execute("SELECT 1")

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(read)
        try:
            assert str(outcome.exception(120)) == LOST
        finally:
            os.kill(pids[0], signal.SIGCONT)


def test_a_failing_side_does_not_wait_for_a_stopped_one(command: Command) -> None:
    # Only the other side's failure ends the read of a stopped process before an hour.
    values = with_source(gated(command), "auth_logs", statement_timeout=3_600)
    broken = "SELECT 1 / (n - 3) FROM generate_series(1, 9) AS n"
    columns = "NULL AS num_cpf, NULL AS num_cartao, NULL AS num_cartao_virtual, NULL AS data_transa"
    columns += ", NULL AS hora_transa, NULL AS des_cnpj_reduzido"
    query = behind_gate(f"SELECT {columns}, b.* FROM ({broken}) AS b(vlr_total)")
    values = with_query(values, "transactions", command.folder, query)
    with gate(command.databases, "transactions") as let_fail:

        def stop(pid: int) -> None:
            os.kill(pid, signal.SIGSTOP)
            let_fail()

        with while_reading(command.databases, "auth_logs", stop):
            assert command.refused(*PERIOD, values=values).startswith("transactions: ")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "stopped"])
def test_a_connection_that_died_or_froze_in_the_pool_is_replaced(
    command: Command, signal_number: signal.Signals
) -> None:
    values = command.databases.values
    for side in requests.SIDES:
        values = with_source(values, side, connect_timeout=1)
    expected = undisturbed(command, rows=100)
    assert command.run(*PERIOD, values=values).code == main.DONE
    [(pid,)] = command.databases.execute(
        "auth_logs",
        "SELECT max(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'marketing-data-aggregator'",
    )
    if signal_number == signal.SIGKILL:
        command.databases.execute("auth_logs", f"SELECT pg_terminate_backend({pid}, 5000)")
    else:
        os.kill(pid, signal_number)
    try:
        assert command.run(*PERIOD, values=values).code == main.DONE
    finally:
        if signal_number == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
    assert sheets(command.target) == expected


def test_a_full_server_is_tried_again_until_a_connection_is_free(
    command: Command, attempts: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    command.databases.execute("auth_logs", "CREATE ROLE lotado LOGIN CONNECTION LIMIT 0")
    command.databases.execute("auth_logs", "GRANT aggregator TO lotado")
    try:
        values = with_source(command.databases.values, "auth_logs", user="lotado")
        assert command.refused(*PERIOD, values=values) == BY_STATE["53"].format(side="auth_logs")
        assert len(attempts()) == retry.ATTEMPTS - 1
        more = "ALTER ROLE lotado CONNECTION LIMIT 9"
        raising = partial(Retrying, sleep=lambda _: command.databases.execute("auth_logs", more))
        monkeypatch.setattr(retry, "Retrying", raising)
        assert command.run(*PERIOD, values=values).code == main.DONE
    finally:
        sessions._pool.cache_clear()
        command.databases.execute(
            "auth_logs",
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'lotado'",
        )
        command.databases.execute("auth_logs", "DROP ROLE lotado")


def test_a_wrong_password_is_tried_exactly_once(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    with Line(command.databases.values["auth_logs"]) as line:
        login = {"user": NEEDS_PASSWORD, "password": "errada"}
        values = with_source(command.databases.values, "auth_logs", **line.source, **login)
        assert command.refused(*PERIOD, values=values) == BY_STATE["28"].format(side="auth_logs")
        assert line.connections == 1
    assert attempts() == []


def test_a_permission_revoked_between_runs_is_named_and_not_retried(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    undisturbed(command, rows=3)
    table = "authentication.transaction_logs"
    command.databases.execute("auth_logs", f"REVOKE SELECT ON {table} FROM aggregator")
    assert command.refused(*PERIOD) == BY_STATE["42501"].format(
        side="auth_logs", name="transaction_logs"
    )
    assert attempts() == []


def test_a_table_altered_between_runs_is_read_or_its_missing_column_named(
    command: Command,
) -> None:
    expected = undisturbed(command, rows=3)
    command.databases.execute("transactions", "ALTER TABLE transactions ADD COLUMN loja text")
    assert command.reported(*PERIOD) == expected
    command.__post_init__()
    command.databases.execute("transactions", "ALTER TABLE transactions RENAME amount TO valor")
    sentence = command.refused(*PERIOD)
    assert says(sentence, BY_STATE["42703"])
    assert "amount" in sentence


def test_rows_committed_during_the_read_are_not_in_the_report(command: Command) -> None:
    expected = undisturbed(command, rows=100)

    def arrive(_: int) -> None:
        command.databases.execute(
            "auth_logs",
            "INSERT INTO authentication.transaction_logs"
            " SELECT * FROM authentication.transaction_logs",
        )

    with while_reading(command.databases, "auth_logs", arrive):
        assert command.run(*PERIOD, values=gated(command)).code == main.DONE
    assert sheets(command.target) == expected
