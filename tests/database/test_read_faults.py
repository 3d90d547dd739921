"""What can happen to a read in the night, made to happen on real servers, and how the run ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tenacity import Retrying

from lib.cli import main
from lib.config import loader
from lib.database import copy_reader, retry, sessions
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
from tests.support.servers import NEEDS_PASSWORD, Databases, Servers

pytestmark = pytest.mark.fault

ROWS = 5_000
MIDDLE = 100_000  # bytes of a side's stream, which has some seven hundred thousand
QUICK = {"connect_timeout": 10, "statement_timeout": 3}
LOST = "auth_logs: a conexão com o servidor caiu durante a leitura; tente de novo em instantes."
ENDED = (
    "auth_logs: o servidor encerrou a conexão durante a leitura; tente de novo em instantes.",
    LOST,
)


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(databases, tmp_path, capsys)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(sessions, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(copy_reader, "_CANCEL_SECONDS", 0.5)


@pytest.fixture
def attempts(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the log says of the attempts that failed and were followed by another."""
    return lambda: [r.getMessage() for r in caplog.records if r.name == retry.__name__]


def undisturbed(command: Command, rows: int = ROWS) -> Sheets:
    fill(command.databases, rows)
    found = command.reported(*PERIOD)
    assert (len(found.consolidated), len(found.divergences)) == (rows, 0)
    command.__post_init__()
    return found


def gated(command: Command, side: str = "auth_logs") -> dict[str, object]:
    values = with_query(command.databases.values, side, command.folder, gated_query(side))
    return with_source(values, side, **QUICK)


def test_a_refused_connection_is_asked_three_times_and_then_told(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    with Line(command.databases.values["auth_logs"]) as gone:
        source = gone.source
    values = with_source(command.databases.values, "auth_logs", **source)
    assert command.refused(*PERIOD, values=values) == (
        f"auth_logs: não foi possível conectar a 127.0.0.1, porta {source['port']}; "
        "confira se o banco está no ar e se o endereço está certo."
    )
    assert [line.rpartition("(")[2] for line in attempts()] == [
        "tentativa 1 de 3; a próxima em 0 s)",
        "tentativa 2 de 3; a próxima em 0 s)",
    ]


def test_a_server_that_accepts_and_stays_silent_is_given_up_in_time(command: Command) -> None:
    values = command.databases.values
    with Line(values["auth_logs"], limits=[0, 0, 0], silent=True) as line:
        # Without the limit it would wait for an answer for ever.
        values = with_source(values, "auth_logs", **line.source, connect_timeout=1)
        sentence = command.refused(*PERIOD, values=values)
        assert line.connections == retry.ATTEMPTS
    assert "não foi possível conectar" in sentence


def test_a_line_cut_in_the_middle_is_read_again_whole(
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


def test_a_line_that_is_cut_every_time_leaves_the_previous_report(command: Command) -> None:
    fill(command.databases, ROWS)
    with Line(command.databases.values["auth_logs"], limits=[MIDDLE] * 9) as line:
        values = with_source(command.databases.values, "auth_logs", **line.source)
        assert command.refused(*PERIOD, values=values) == LOST
    assert nothing_runs(command.databases)


def test_a_line_that_falls_silent_in_the_middle_is_shut_and_read_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command)
    with Line(command.databases.values["auth_logs"], limits=[MIDDLE], silent=True) as line:
        source = {**line.source, **QUICK}
        values = with_source(command.databases.values, "auth_logs", **source)
        assert command.run(*PERIOD, values=values).code == main.DONE
    assert sheets(command.target) == expected
    assert attempts() == [
        "auth_logs: o servidor ficou 4 s em silêncio, além do seu tempo limite, e a conexão foi "
        "encerrada; tente de novo em instantes e avise o administrador do banco. "
        "(tentativa 1 de 3; a próxima em 0 s)"
    ]


@pytest.mark.parametrize("limit", [300, 500, 600, 900])
def test_a_server_that_falls_silent_while_a_connection_is_set_up_is_given_up_in_time(
    command: Command, limit: int
) -> None:
    """Behind the handshake the pool asks questions of its own; 500 and 600 bytes once hung."""
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
        said = command.run(*PERIOD, values=values)
    assert (said.code, sheets(command.target)) == (main.DONE, expected)
    assert attempts()


def test_a_process_of_the_server_that_an_administrator_ends_is_asked_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command, rows=100)

    def end(pid: int) -> None:
        command.databases.execute("auth_logs", f"SELECT pg_terminate_backend({pid})")

    with while_reading(command.databases, "auth_logs", end):
        said = command.run(*PERIOD, values=gated(command))
    assert (said.code, sheets(command.target)) == (main.DONE, expected)
    [line] = attempts()
    assert line.startswith(ENDED)


def test_a_process_of_the_server_that_stands_still_is_left_alone_in_time(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    expected = undisturbed(command, rows=100)
    with while_reading(command.databases, "auth_logs", lambda pid: os.kill(pid, signal.SIGSTOP)):
        said = command.run(*PERIOD, values=gated(command))
    assert (said.code, sheets(command.target)) == (main.DONE, expected)
    [line] = attempts()
    assert "em silêncio" in line


def test_a_server_that_stands_still_once_all_is_read_holds_up_nobody(command: Command) -> None:
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
        found = pool.submit(read)
        try:
            assert found.result(120) == (1,)
        finally:
            os.kill(stopped[0], signal.SIGCONT)


def test_a_session_with_a_limit_leaves_a_server_that_stands_still(command: Command) -> None:
    settings = loader.from_values(command.databases.values, "teste", {})
    pids: list[int] = []

    def read() -> None:
        with sessions.session(settings, "auth_logs", limit=1) as cursor:
            pids.append(cursor.connection.info.backend_pid)
            os.kill(pids[0], signal.SIGSTOP)
            cursor.execute("SELECT 1")

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(read)
        try:
            assert str(found.exception(120)) == LOST
        finally:
            os.kill(pids[0], signal.SIGCONT)


def test_a_failing_side_does_not_wait_for_one_that_stands_still(command: Command) -> None:
    # Nothing but the other side's failure ends the read of a process that stands still.
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


def test_a_full_server_is_asked_again_until_it_has_room(
    command: Command, attempts: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    command.databases.execute("auth_logs", "CREATE ROLE lotado LOGIN CONNECTION LIMIT 0")
    command.databases.execute("auth_logs", "GRANT aggregator TO lotado")
    try:
        values = with_source(command.databases.values, "auth_logs", user="lotado")
        full = "auth_logs: o servidor está sem conexões ou recursos livres; "
        full += "tente de novo em instantes."
        assert command.refused(*PERIOD, values=values) == full
        assert len(attempts()) == retry.ATTEMPTS - 1
        room = "ALTER ROLE lotado CONNECTION LIMIT 9"
        meanwhile = partial(Retrying, sleep=lambda _: command.databases.execute("auth_logs", room))
        monkeypatch.setattr(retry, "Retrying", meanwhile)
        assert command.run(*PERIOD, values=values).code == main.DONE
    finally:
        sessions._engine.cache_clear()
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
        assert command.refused(*PERIOD, values=values) == (
            "auth_logs: o servidor recusou o usuário ou a senha; confira user e password."
        )
        assert line.connections == 1
    assert attempts() == []


def test_a_permission_withdrawn_between_runs_is_named_and_not_asked_again(
    command: Command, attempts: Callable[[], list[str]]
) -> None:
    undisturbed(command, rows=3)
    table = "authentication.transaction_logs"
    command.databases.execute("auth_logs", f"REVOKE SELECT ON {table} FROM aggregator")
    assert command.refused(*PERIOD) == (
        "auth_logs: o usuário não tem permissão de leitura em transaction_logs; "
        "peça um GRANT SELECT."
    )
    assert attempts() == []


def test_a_table_altered_between_runs_is_read_as_it_is_or_the_column_is_named(
    command: Command,
) -> None:
    expected = undisturbed(command, rows=3)
    command.databases.execute("transactions", "ALTER TABLE transactions ADD COLUMN loja text")
    assert command.reported(*PERIOD) == expected
    command.__post_init__()
    command.databases.execute("transactions", "ALTER TABLE transactions RENAME amount TO valor")
    sentence = command.refused(*PERIOD)
    assert sentence.startswith("transactions: a coluna ")
    assert "amount" in sentence


def test_rows_that_arrive_while_a_side_is_read_are_not_in_the_report(command: Command) -> None:
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
