"""The history of runs: contents of its records; it never stops a run."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs
import pytest

from lib import pipeline
from lib.cli import history_format, main
from lib.config import defaults, loader
from lib.config.settings import ROOT
from lib.delivery import anomaly_notes, delivery, history, state_file
from lib.delivery.history import Dispatch, History
from lib.domain.errors import HistoryError
from tests.support.command import Command, configured, sheets
from tests.support.faults import PERIOD, fill
from tests.support.sentences import pattern, says
from tests.support.servers import Databases

FIELDS: dict[str, Any] = {
    "origin": history.SCHEDULED,
    "merchant": "12345678000190",
    "merchant_name": "Loja Exemplo",
    "period_start": date(2026, 11, 13),
    "period_end": date(2026, 11, 23),
    "rule": "card",
    "tolerance_seconds": 300,
    "clear": False,
}

BOOKS = {"logs": 10, "divergences": 1}

HOLDING = """
import pathlib, sys
from lib.reports.file_lock import exclusive_lock
with exclusive_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def record(tmp_path: Path) -> History:
    return History(tmp_path / "state" / "history.sqlite")


def test_a_run_is_there_from_its_beginning_and_complete_at_its_end(record: History) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    number = record.begin(**FIELDS)
    [begun] = record.runs()
    assert (begun.id, begun.outcome, begun.ended_at) == (number, history.RUNNING, None)
    assert before <= begun.began_at <= datetime.now(UTC)
    record.end(number, history.DONE, books=BOOKS, sha256="abc")
    [ended] = record.runs()
    assert (ended.outcome, ended.sha256) == (history.DONE, "abc")
    assert ended.divergence_rate == 0.1
    assert ended.period == (date(2026, 11, 13), date(2026, 11, 23))


def sent(kind: str, target: str, event: str | None = None, problem: str | None = None) -> Dispatch:
    return Dispatch(kind, target, datetime(2026, 11, 23, 9, 30, tzinfo=UTC), event, problem)


def test_what_a_run_sent_is_recorded_in_order_and_each_run_has_its_own(record: History) -> None:
    first, second = record.begin(**FIELDS), record.begin(**FIELDS)
    copied = sent(history.COPY, "/mnt/relatorios")
    untold = sent(history.NOTICE, "mailto://smtp.example.com", "late", "O servidor não respondeu.")
    record.add_dispatches(first, [copied])
    record.add_dispatches(second, [untold, copied])
    assert [run.dispatches for run in record.runs()] == [(untold, copied), (copied,)]
    assert [run.dispatches for run in record.runs(1)] == [(untold, copied)]


@pytest.mark.parametrize(
    ("outcome", "dispatches", "good"),
    [
        (history.DONE, [], True),
        (history.FAILED, [], False),
        (history.DONE, [sent(history.COPY, "/mnt/a")], True),
        (history.DONE, [sent(history.COPY, "/mnt/a"), sent(history.COPY, "/b", None, "x")], False),
        (history.DONE, [sent(history.NOTICE, "json://host", "late", "x")], True),
    ],
)
def test_a_good_run_has_its_report_and_every_copy_in_place(
    record: History, outcome: str, dispatches: list[Dispatch], good: bool
) -> None:
    number = record.begin(**FIELDS)
    record.add_dispatches(number, dispatches)
    record.end(number, outcome)
    assert [run.is_good for run in record.runs()] == [good]


def test_a_run_that_waits_says_so_and_is_gone_with_its_process(record: History) -> None:
    number = record.begin(**FIELDS)
    record.set_outcome(number, history.WAITING)
    assert [run.outcome for run in record.runs()] == [history.WAITING]
    record.end(number, history.WAITING, process_born=0.0)
    assert [run.outcome for run in record.runs()] == [history.VANISHED]


def test_a_file_from_before_the_dispatches_is_read_and_gets_them(
    record: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(state_file, "VERSION", 2)
        older.setattr(state_file, "MIGRATIONS", state_file.MIGRATIONS[:2])
        number = record.begin(**FIELDS)
    assert [run.dispatches for run in record.runs()] == [()]
    record.add_dispatches(number, [sent(history.COPY, "/mnt/a")])
    assert [len(run.dispatches) for run in record.runs()] == [1]


def test_a_history_not_written_yet_is_empty_and_is_not_created(record: History) -> None:
    assert record.runs() == []
    assert not record.path.exists()


def test_the_file_is_readable_by_its_owner_only(record: History) -> None:
    record.begin(**FIELDS)
    assert stat.S_IMODE(record.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(record.path.parent.stat().st_mode) == 0o700


def test_many_writers_at_once_lose_no_run(record: History) -> None:
    def write() -> None:
        for _ in range(5):
            record.end(record.begin(**FIELDS), history.DONE)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.outcome for run in record.runs()] == [history.DONE] * 20


def test_by_default_it_lives_in_the_users_state_folder(databases: Databases) -> None:
    settings = loader.from_values(databases.values, "teste", {})
    path = history.of(settings).path
    assert path.parent == platformdirs.user_state_path("marketing-data-aggregator")


def test_a_run_of_the_command_line_is_recorded_with_all_its_figures(command: Command) -> None:
    fill(command.databases, 10)
    command.databases.execute("transactions", "DELETE FROM transactions WHERE amount > 0.05")
    path = command.folder / "history.sqlite"
    command.reported(*PERIOD, history={"path": str(path)})
    [run] = History(path).runs()
    assert (run.origin, run.merchant, run.rule) == (history.SCHEDULED, FIELDS["merchant"], "card")
    assert (run.outcome, run.message) == (history.DONE, None)
    assert run.books is not None
    counts = (run.books["logs"], run.books["consolidated"], run.books["divergences"])
    assert counts == (10, 5, 5)
    assert Decimal(run.books["amount"]) == Decimal("0.15")
    assert set(run.seconds or {}) == {"extract", "match", "write"}
    assert run.file == command.target
    assert run.size_bytes == command.target.stat().st_size
    assert b"4000000000" not in path.read_bytes()


def test_a_failed_run_is_recorded_with_its_sentence(command: Command) -> None:
    path = command.folder / "history.sqlite"
    command.databases.execute("auth_logs", "DROP SCHEMA authentication CASCADE")
    sentence = command.refused(*PERIOD, history={"path": str(path)})
    [run] = History(path).runs()
    assert (run.outcome, run.message, run.books) == (history.FAILED, sentence, None)


def test_a_history_that_cannot_be_written_costs_a_warning_and_no_report(command: Command) -> None:
    fill(command.databases, 5)
    path = "/proc/nowhere/history.sqlite"
    result = command.run(*PERIOD, history={"path": path})
    assert result.code == main.DONE
    assert state_file.UNUSABLE.format(path=path) in result.err
    assert len(sheets(command.target).consolidated) == 5


def test_the_command_shows_the_runs_in_words_and_in_json(command: Command) -> None:
    fill(command.databases, 5)
    path = command.folder / "history.sqlite"
    command.reported(*PERIOD, history={"path": str(path)})
    config_file = str(command.folder / "aggregator.toml")
    [line] = command.say("history", "--config", config_file).out.splitlines()
    origin = history_format.ORIGINS[history.SCHEDULED]
    for part in (origin, "Loja Exemplo", "20/11/2026 a 20/11/2026", history.DONE, "5 logs"):
        assert part in line
    result = command.say("history", "--config", config_file, "--json", "--limit", "1")
    assert json.loads(result.out)["sha256"] == History(path).runs()[0].sha256


def test_a_run_far_from_those_of_the_same_weekday_is_noted_and_published(command: Command) -> None:
    path = command.folder / "history.sqlite"
    record = History(path)
    fill(command.databases, 100)
    settings = loader.from_values(command.databases.values, "teste", {})
    today = defaults.local_today(settings)
    for week in range(1, 9):
        day = today - timedelta(weeks=week)
        books = {"transactions": 1000 + week, "logs": 100, "divergences": 0}
        fields = {**FIELDS, "period_start": day, "period_end": day}
        moment = datetime(day.year, day.month, day.day, 15)  # noqa: DTZ001
        number = record.begin(**fields, began_at=moment)
        record.end(number, history.DONE, books=books)
    result = command.run(*PERIOD, history={"path": str(path)})
    assert result.code == main.DONE
    weekday = anomaly_notes.WEEKDAYS[today.weekday()]
    values = {"value": "100", "usual": "1.004", "weekday": weekday, "runs": 8, "score": "-18,0"}
    note = anomaly_notes.UNUSUAL["transactions"].format(**values)
    assert len([line for line in result.err.splitlines() if line.endswith(note)]) == 1
    assert record.runs()[0].note == note


def test_an_export_of_the_page_is_recorded_with_its_person(databases: Databases) -> None:
    fill(databases, 5)
    settings = loader.from_values(databases.values, "teste", {})
    day = date(2026, 11, 20)
    outcome = pipeline.run(settings, defaults.request(settings, day, start=day, end=day))
    written: Future[Any] = Future()
    delivery.record_export(settings, outcome, "ana@example.com", written)
    [run] = history.of(settings).runs(1, origin=history.PAGE)
    assert run.outcome == history.RUNNING
    written.set_result(SimpleNamespace(size_bytes=7, sha256="abc"))
    [run] = history.of(settings).runs(1, origin=history.PAGE)
    assert (run.who, run.outcome, run.sha256) == ("ana@example.com", history.DONE, "abc")
    assert (run.books or {})["consolidated"] == 5


def test_the_last_scheduled_run_is_a_concern_if_it_failed_is_old_or_unusual(
    record: History,
) -> None:
    now = datetime.now(UTC)

    def concerns() -> list[str]:
        return [run.outcome for run in anomaly_notes.concerns(record.runs(), now)]

    def finished(outcome: str, hours: float) -> None:
        moment = (now - timedelta(hours=hours)).replace(tzinfo=None)
        record.end(record.begin(**FIELDS, began_at=moment), outcome)

    assert concerns() == []
    finished(history.DONE, 30)
    assert concerns() == [history.DONE]
    finished(history.DONE, 2)
    assert concerns() == []
    finished(history.FAILED, 1)
    assert concerns() == [history.FAILED]
    record.begin(**FIELDS)
    assert concerns() == [history.FAILED]
    finished(history.DONE, 0)
    assert concerns() == []
    record.end(record.begin(**FIELDS), history.DONE, note="a note")
    assert concerns() == [history.DONE]


def test_a_run_skipped_because_another_writes_its_report_is_no_concern(
    command: Command,
) -> None:
    record = History(command.folder / "history.sqlite")
    first = record.begin(**FIELDS)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(command.target)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        assert other.stdout.readline()
        sentence = command.refused(*PERIOD, history={"path": str(record.path)})
        other.communicate()
    record.end(first, history.DONE)
    skipped, done = record.runs()
    assert (skipped.outcome, skipped.message) == (history.SKIPPED, sentence)
    assert done.outcome == history.DONE
    assert anomaly_notes.concerns([skipped, done], datetime.now(UTC)) == []


@pytest.mark.system
def test_a_history_in_a_folder_without_access_is_one_sentence() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        Path(name).chmod(0o700)
        private = History(Path(name) / "history.sqlite")
        private.begin(**FIELDS)
        os.seteuid(65_534)
        try:
            with pytest.raises(HistoryError, match=pattern(state_file.UNUSABLE)):
                private.runs()
        finally:
            os.seteuid(0)


def test_a_history_is_plain_sqlite(record: History) -> None:
    record.begin(**FIELDS)
    with sqlite3.connect(record.path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    connection.close()


DAMAGES: dict[str, list[object]] = {
    "books": ["{bad", "[]x", "[1]", "7", "{}}", '{"logs": 1.5}', '{"logs": "x"}', "[" * 100_000],
    "seconds": ["zzz", "[1]", '{"write": "x"}', '{"write": NaN}', '{"write": Infinity}', "3"],
    "began_at": ["2026-13-40", "", "0001-01-01 00:00:00", "9999-12-31 23:59:59", 7, None],
    "ended_at": ["yesterday", b"\x00"],
    "period_start": ["2026-13-40", "x", 20_261_101],
    "period_end": ["", b"2026-11-01"],
    "merchant": [b"\xff\xfe"],
    "file": ["a\0b", 3, b"x"],
    "tolerance_seconds": ["x", 1.5],
    "clear": ["yes"],
    "process": ["x"],
    "process_born": ["x", -1.0],
    "size_bytes": ["x", 1.5],
    "message": [b"x"],
    "note": [b"x"],
}
EVERY_DAMAGE = [(name, value) for name, values in DAMAGES.items() for value in values]


@pytest.mark.parametrize(("name", "value"), EVERY_DAMAGE, ids=lambda part: str(part)[:20])
def test_a_damaged_record_is_left_out_with_a_warning(
    record: History, name: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        record.end(record.begin(**FIELDS), history.DONE, books=BOOKS, seconds={"write": 1.0})
    damage(record.path, name, value)
    runs = record.runs()
    if [run.id for run in runs] != [3, 1]:
        # SQLite has turned the value into the column's own kind.
        assert [run.id for run in runs] == [3, 2, 1]
        assert isinstance(value, int)
        return
    assert all(says(text, history.UNREADABLE_RUN) for text in caplog.messages)
    assert len(caplog.messages) == 1
    assert len(record.runs()) == 2
    assert len(caplog.messages) == 1


def damage(path: Path, name: str, value: object, number: int = 2) -> None:
    """Set a column of a record to a value that the product never writes."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'runs'"
        )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE runs SET {name} = ? WHERE id = ?", (value, number))


@pytest.mark.parametrize(
    ("name", "value"), [("books", "{bad"), ("began_at", "2026-13-40"), ("seconds", "zzz")]
)
def test_a_damaged_record_stops_neither_the_report_nor_the_list_of_runs(
    command: Command, name: str, value: str
) -> None:
    fill(command.databases, 3)
    path = command.folder / "history.sqlite"
    where = {"path": str(path)}
    command.reported(*PERIOD, history=where)
    damage(path, name, value, 1)
    command.reported(*PERIOD, history=where)
    file = configured(command.folder, command.databases.values, history=where)
    listed = command.say("history", "--config", str(file))
    assert (listed.code, len(listed.out.splitlines())) == (main.DONE, 1)


def test_a_locked_history_is_waited_for_once(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(command.databases, 3)
    path = command.folder / "history.sqlite"
    another = History(path)
    another.begin(**FIELDS)
    monkeypatch.setattr(state_file, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        result = command.run(*PERIOD, history={"path": str(path)})
        holder.execute("ROLLBACK")
    assert result.code == main.DONE
    assert len(re.findall(pattern(state_file.BUSY), result.err)) == 1


def test_an_account_without_a_home_is_no_reason_for_no_report(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(*_: object, **__: object) -> Path:
        raise RuntimeError

    fill(command.databases, 3)
    monkeypatch.setattr(platformdirs, "user_state_path", homeless)
    monkeypatch.setattr(tempfile, "tempdir", str(command.folder))
    command.reported(*PERIOD)
    [folder] = command.folder.glob("marketing-data-aggregator*")
    assert len(History(folder / "history.sqlite").runs()) == 1
    folder.chmod(0o777)  # another account could plant a file: the history is not used
    command.reported(*PERIOD)
