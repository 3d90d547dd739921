"""The history of runs: contents of its records, and the runs that are a concern."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
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
from tests.support.command import Command
from tests.support.faults import PERIOD, fill
from tests.support.runs import BOOKS, FIELDS
from tests.support.servers import Databases

HOLDING = """
import pathlib, sys
from lib.reports.file_lock import exclusive_lock
with exclusive_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


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


def test_a_history_is_plain_sqlite(record: History) -> None:
    record.begin(**FIELDS)
    with sqlite3.connect(record.path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    connection.close()
