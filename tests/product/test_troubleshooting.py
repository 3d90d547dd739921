"""Every message in docs/troubleshooting.md is produced by the program."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.cli import questions
from lib.config import defaults, loader
from lib.config.settings import ROOT
from lib.database import retry
from lib.delivery import history, state_file
from lib.domain import columns as c
from lib.domain import file_system
from lib.engines import runner
from lib.matching import reconcile
from lib.reports import file_lock, retention
from lib.reports.report_file import write_error
from tests.support.command import Command, slow_query, with_query, with_source
from tests.support.faults import DAY, PERIOD, Line, fill
from tests.support.servers import NEEDS_PASSWORD, Databases

DOCUMENT = ROOT / "docs" / "troubleshooting.md"


@pytest.fixture
def command(
    databases: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    fill(databases, 5)
    return Command(databases, tmp_path, capsys)


def messages() -> list[str]:
    """The first cell of each row of the document's tables."""
    rows = re.findall(r"^\| ([^|]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.M)
    return [row for row in rows if row not in ("message", "---")]


def unreachable(command: Command, _: pytest.MonkeyPatch) -> str:
    with Line(command.databases.values["auth_logs"]) as stopped:
        source = stopped.source
    values = with_source(command.databases.values, "auth_logs", **source)
    sentence = command.refused(*PERIOD, values=values)
    return sentence.replace(f"127.0.0.1, porta {source['port']}", "10.0.0.2, porta 5432")


def cut(command: Command, _: pytest.MonkeyPatch) -> str:
    with Line(command.databases.values["auth_logs"], limits=[1000] * 9) as line:
        values = with_source(command.databases.values, "auth_logs", **line.source)
        return command.refused(*PERIOD, values=values)


def full(command: Command, _: pytest.MonkeyPatch) -> str:
    command.databases.execute("auth_logs", "CREATE ROLE sem_vaga LOGIN CONNECTION LIMIT 0")
    try:
        values = with_source(command.databases.values, "auth_logs", user="sem_vaga")
        return command.refused(*PERIOD, values=values)
    finally:
        command.databases.execute("auth_logs", "DROP ROLE sem_vaga")


def too_slow(command: Command, _: pytest.MonkeyPatch) -> str:
    query = slow_query("auth_logs", 30)
    values = with_query(command.databases.values, "auth_logs", command.folder, query)
    return command.refused(*PERIOD, values=with_source(values, "auth_logs", statement_timeout=1))


def wrong_password(command: Command, _: pytest.MonkeyPatch) -> str:
    login = {"user": NEEDS_PASSWORD, "password": "errada"}
    return command.refused(
        *PERIOD, values=with_source(command.databases.values, "auth_logs", **login)
    )


def no_permission(command: Command, _: pytest.MonkeyPatch) -> str:
    table = "authentication.transaction_logs"
    command.databases.execute("auth_logs", f"REVOKE SELECT ON {table} FROM aggregator")
    return command.refused(*PERIOD)


def may_not_connect(command: Command, _: pytest.MonkeyPatch) -> str:
    database = command.databases.values["auth_logs"]["database"]
    command.databases.execute("auth_logs", f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    return command.refused(*PERIOD)


def both_down(command: Command, _: pytest.MonkeyPatch) -> str:
    with Line(command.databases.values["auth_logs"]) as stopped:
        source = stopped.source
    values = with_source(command.databases.values, "auth_logs", **source)
    values = with_source(values, "transactions", **source)
    sentence = command.refused(*PERIOD, values=values)
    return sentence.replace(f"127.0.0.1, porta {source['port']}", "10.0.0.2, porta 5432")


def own_column(command: Command, name: str, expression: str) -> str:
    columns = dict.fromkeys(c.TRANSACTIONS_QUERY, "NULL") | {name: expression}
    sql = "SELECT " + ", ".join(f"{value} AS {name}" for name, value in columns.items())
    values = with_query(command.databases.values, "transactions", command.folder, sql)
    return command.refused(*PERIOD, values=values)


def three_decimals(command: Command, _: pytest.MonkeyPatch) -> str:
    return own_column(command, "vlr_total", "1.005")


def number_for_text(command: Command, _: pytest.MonkeyPatch) -> str:
    return own_column(command, "num_cartao", "4000001234561234")


def last_day_cut(command: Command, _: pytest.MonkeyPatch) -> str:
    columns = dict.fromkeys(c.TRANSACTIONS_QUERY, "NULL") | {
        "data_transa": "day::date",
        "hora_transa": "day::time",
    }
    sql = "SELECT " + ", ".join(f"{value} AS {name}" for name, value in columns.items())
    sql += f" FROM (SELECT timestamp '{DAY} 10:00' AS day) AS d WHERE day BETWEEN :start AND :end"
    values = with_query(command.databases.values, "transactions", command.folder, sql)
    return command.refused(*PERIOD, values=values)


def no_memory(command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    def exhausted(*_: Any) -> None:
        raise MemoryError

    # A real shortage would take the machine's memory with it.
    monkeypatch.setattr(reconcile, "match", exhausted)
    return command.refused(*PERIOD)


def no_memory_for_workers(command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    def exhausted(*_: Any, **__: Any) -> None:
        raise MemoryError

    # tests/product/test_memory_limits.py has workers that really run short.
    monkeypatch.setattr(runner, "matched", exhausted)
    return command.refused(*PERIOD, engine={"kind": "chunked"})


def no_space(command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    # tests/product/test_machine_faults.py fills a real disk.
    monkeypatch.setattr("tempfile.tempdir", "/tmp")  # noqa: S108
    return str(write_error(OSError(28, ""), Path("/srv/reports/resultado.xlsx")))


def twice(command: Command, _: pytest.MonkeyPatch) -> str:
    table = "transactions"
    command.databases.execute(
        "transactions",
        f"INSERT INTO {table} SELECT * FROM {table} WHERE amount = 0.01",
    )
    return next(
        line for line in command.run(*PERIOD).out.splitlines() if line.startswith("Transações")
    )


def two_runs(command: Command, _: pytest.MonkeyPatch) -> str:
    # tests/product/test_machine_faults.py starts a second process.
    return file_lock.TAKEN.format(target="/srv/reports/resultado.xlsx")


def no_logs(command: Command, _: pytest.MonkeyPatch) -> str:
    command.databases.execute("auth_logs", "DELETE FROM authentication.transaction_logs")
    return command.run(*PERIOD).err


def no_logs_of_some_days(command: Command, _: pytest.MonkeyPatch) -> str:
    last = date.fromisoformat(DAY)
    command.databases.execute(
        "transactions",
        "INSERT INTO transactions SELECT card_number, transaction_date + n, transaction_time,"
        " merchant_id, NULL, amount FROM transactions, generate_series(-1, 1, 2) AS n",
    )
    around = (str(last - timedelta(days=1)), str(last + timedelta(days=1)))
    return command.run("--start", around[0], "--end", around[1]).err


def wrong_prefix(command: Command, _: pytest.MonkeyPatch) -> str:
    command.databases.execute(
        "transactions", "UPDATE transactions SET virtual_card_number = 'VC' || card_number"
    )
    return command.run(*PERIOD).err


def unusual(command: Command, _: pytest.MonkeyPatch) -> str:
    settings = loader.from_values(command.databases.values, "teste", {})
    today = defaults.local_today(settings)
    for week in range(1, 9):
        day = today - timedelta(weeks=week)
        number = history.of(settings).begin(
            origin=history.SCHEDULED,
            merchant=settings.default_merchant,
            merchant_name="Loja Exemplo",
            period_start=day,
            period_end=day,
            rule="card",
            tolerance_seconds=300,
            clear=False,
            began_at=datetime(day.year, day.month, day.day, 15),  # noqa: DTZ001
        )
        books = {"transactions": 1000 + week, "logs": 5, "divergences": 0}
        history.of(settings).end(number, history.DONE, books=books)
    return command.run(*PERIOD).err


def no_locks(command: Command, _: pytest.MonkeyPatch) -> str:
    # tests/domain/test_file_system.py refuses real locks.
    return f"Atenção: {file_system.NO_LOCKS.format(folder='/srv/reports')}"


def not_kept(command: Command, _: pytest.MonkeyPatch) -> str:
    # tests/delivery/test_retention.py refuses the copy, and the removal.
    return f"Atenção: {retention.NOT_KEPT.format(path='/srv/reports/resultado.xlsx')}"


def not_removed(command: Command, _: pytest.MonkeyPatch) -> str:
    path = "/srv/reports/resultado_20261101-060000.xlsx"
    return f"Atenção: {retention.NOT_REMOVED.format(path=path)}"


def damaged_record(command: Command, _: pytest.MonkeyPatch) -> str:
    path = command.folder / "history.sqlite"
    where = {"history": {"path": str(path)}}
    command.run(*PERIOD, **where)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET books = '{bad'")
    return command.run(*PERIOD, **where).err.replace(str(path), "/srv/state/history.sqlite")


def damaged_history(command: Command, _: pytest.MonkeyPatch) -> str:
    path = command.folder / "history.sqlite"
    where = {"history": {"path": str(path)}}
    command.run(*PERIOD, **where)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = -1")
    said = command.run(*PERIOD, **where).err.replace(str(path), "/srv/state/history.sqlite")
    return re.sub(r"sqlite\.\d{8}-\d{6}", "sqlite.20261120-060000", said)


def busy_history(command: Command, _: pytest.MonkeyPatch) -> str:
    # tests/delivery/test_state_file.py holds a real one.
    values = {"path": "/srv/state/history.sqlite", "seconds": 10}
    return f"Atenção: {state_file.BUSY.format(**values)}"


def no_history(command: Command, _: pytest.MonkeyPatch) -> str:
    path = command.folder / "history.sqlite"
    path.mkdir()
    said = command.run(*PERIOD, history={"path": str(path)}).err
    return said.replace(str(path), "/srv/state/history.sqlite")


def no_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(questions, "interactive", lambda: False)
    return command.say("init", "--config", str(command.folder / "new.toml")).sentence


def configured_already(command: Command, _: pytest.MonkeyPatch) -> str:
    file = command.folder / "secrets.toml"
    file.touch()
    return command.say("init", "--config", str(file)).sentence.replace(
        str(command.folder), ".streamlit"
    )


def taken_port(command: Command, _: pytest.MonkeyPatch) -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = command.say("dashboard", "--port", port).sentence
    return re.sub(r"=\d+", "=8502", sentence.replace(f"porta {port}", "porta 8501"))


SCENARIOS: tuple[Callable[[Command, pytest.MonkeyPatch], str], ...] = (
    *(unreachable, cut, full, too_slow, wrong_password, no_permission),
    *(
        may_not_connect,
        both_down,
        no_terminal,
        configured_already,
        taken_port,
        three_decimals,
        number_for_text,
        last_day_cut,
    ),
    *(no_memory, no_memory_for_workers, no_space, twice, two_runs),
    *(no_logs, no_logs_of_some_days, wrong_prefix, unusual),
    *(no_locks, not_kept, not_removed, damaged_record, damaged_history),
    *(busy_history, no_history),
)


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[s.__name__ for s in SCENARIOS])
def test_the_program_says_each_documented_message(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert messages()[number] in SCENARIOS[number](command, monkeypatch)


def test_every_documented_message_has_a_scenario() -> None:
    assert len(messages()) == len(SCENARIOS)
