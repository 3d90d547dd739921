"""Exports by a worker process: the spooled outcome, the queue, the files."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time as time_module
import weakref
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib import pipeline
from lib.analysis import books
from lib.dashboard import export_queue, export_worker, temp_folders
from lib.dashboard.dataset_store import Dataset, Key, Rights
from lib.dashboard.export_queue import Export, Exports
from lib.dashboard.export_worker import Workbook
from lib.domain import columns as c
from lib.domain.errors import BalanceError, ReportError
from lib.domain.outcomes import Outcome
from lib.domain.requests import Period, Request, Rule
from lib.matching import reconcile
from tests.support.command import sheets
from tests.support.sentences import pattern
from tests.support.tables import Log, Transaction, logs_table, transactions_table

DAY = date(2026, 11, 20)
ASKED = Request("12345678000190", Period(DAY, DAY, DAY), Rule("card_time", 90, ("00", "10")))


def outcome(purchases: int = 3) -> Outcome:
    bought = [
        Transaction("***.222.333-**", f"40000{n}", None, DAY, time(10, n % 60), Decimal(n))
        for n in range(purchases)
    ]
    bought.append(Transaction(None, None, None, DAY, None, None))
    logged = [Log(f"40000{n}", DAY, time(10, n % 60, 30), "00", "=1+1") for n in range(purchases)]
    logged.append(Log("9", DAY, None, None, None))
    result = reconcile.reconcile(
        transactions_table(bought), logs_table(logged), ASKED.period, ASKED.rule
    )
    return Outcome(
        request=ASKED,
        merchant_name="Loja <&> Exemplo",
        clear=False,
        extracted_at=datetime(2026, 11, 20, 8, tzinfo=timezone(timedelta(hours=-3))),
        reconciliation=result,
        books=books.books(result),
        by_day=books.balance_by_day(result),
    )


def dataset(purchases: int = 3) -> Dataset:
    return Dataset(Key(ASKED, Rights()), outcome(purchases))


def test_a_spooled_outcome_comes_back_unchanged_without_the_matching_keys(
    tmp_path: Path,
) -> None:
    before = outcome()
    job = json.loads(json.dumps(export_worker.spool(before, tmp_path, {})))
    after = export_worker.unspool(tmp_path, job)
    assert (after.request, after.merchant_name, after.clear, after.extracted_at, after.books) == (
        (before.request, before.merchant_name, before.clear, before.extracted_at, before.books)
    )
    for field in dataclasses.fields(before.reconciliation):
        old = getattr(before.reconciliation, field.name)
        new = getattr(after.reconciliation, field.name)
        if isinstance(old, np.ma.MaskedArray):
            assert old.tolist() == new.tolist()
        elif isinstance(old, np.ndarray):
            assert np.array_equal(old, new)
            assert old.dtype == new.dtype
    shown = after.reconciliation.transactions
    tokens = [c.TOKEN_CARTAO, c.TOKEN_VIRTUAL, c.TOKEN_CPF]
    assert not set(tokens) & set(shown.column_names)
    assert shown.equals(before.reconciliation.transactions.drop_columns(tokens))
    for path in tmp_path.iterdir():
        assert b"token_" not in path.read_bytes()
    assert "token_" not in json.dumps(job)


def test_a_spooled_outcome_with_other_books_is_not_published(tmp_path: Path) -> None:
    job = export_worker.spool(outcome(), tmp_path, {})
    job["books"]["amount"] = "9.99"
    with pytest.raises(BalanceError, match=pattern(export_worker.OTHER_BOOKS)):
        export_worker.unspool(tmp_path, job)


def test_the_worker_writes_the_same_cells_as_the_pipeline(tmp_path: Path) -> None:
    exports, shown = Exports(), dataset()
    try:
        workbook = exports.start(shown).future.result(timeout=120)
        pipeline.publish(shown.outcome, tmp_path / "direct.xlsx")
        assert sheets(workbook.path) == sheets(tmp_path / "direct.xlsx")
        assert workbook.size_bytes == workbook.path.stat().st_size
    finally:
        exports.close()


def test_an_export_takes_the_process_that_stands_ready_and_another_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[export_worker.Process] = []
    real = export_worker.start_process

    def start(environment: Any) -> export_worker.Process:
        started.append(real(environment))
        return started[-1]

    monkeypatch.setattr(export_worker, "start_process", start)
    exports = Exports()
    exports.stand_by()
    try:
        [first] = started
        exports.start(dataset()).future.result(timeout=120)
        wait_for(lambda: first.poll() is not None and len(started) == 2)
        # One that was killed meanwhile is not used.
        started[1].kill()
        started[1].wait(120)
        exports.start(dataset()).future.result(timeout=120)
        wait_for(lambda: len(started) == 4)
    finally:
        exports.close()
    assert [process.poll() is not None for process in started] == [True] * 4


def test_files_are_private_and_gone_with_the_server() -> None:
    exports = Exports()
    workbook = exports.start(dataset()).future.result(timeout=120)
    folder = workbook.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [workbook.path.name]
    exports.close()
    assert not folder.exists()


@pytest.mark.parametrize("prefix", [temp_folders.EXPORTS, temp_folders.CLEAR])
def test_folders_of_processes_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    abandoned, living = tmp_path / f"{prefix}{gone.pid}-x1", tmp_path / f"{prefix}{os.getppid()}-x2"
    same_number = tmp_path / f"{prefix}{os.getpid()}-x3"
    for folder in (abandoned, living, same_number, tmp_path / "agregador-de-outro"):
        folder.mkdir()
        (folder / "a.xlsx").touch()
    own = temp_folders.make(prefix)
    temp_folders.sweep()
    kept = {living.name, own.name, "agregador-de-outro"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    temp_folders.remove(own)


def test_a_finished_export_is_reused_and_a_failed_one_begins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exports, shown = Exports(), dataset()
    try:
        with monkeypatch.context() as nowhere:
            nowhere.setattr("lib.dashboard.export_worker.ROOT", tmp_path)
            failed = exports.start(shown)
            with pytest.raises(ReportError, match=pattern(export_queue.DIED)):
                failed.future.result(timeout=120)
        again = exports.start(shown)
        assert again is not failed
        again.future.result(timeout=120)
        assert exports.start(shown) is again
    finally:
        exports.close()


def test_an_export_that_has_no_thread_to_run_in_fails_in_one_sentence_and_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    exports, shown = Exports(), dataset()
    try:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", refuse)
            failed = exports.start(shown)
        with pytest.raises(ReportError, match=pattern(export_queue.NO_THREAD)):
            failed.future.result(timeout=120)
        assert exports.place_in_line(failed) == 0
        assert failed.unwritten == []
        again = exports.start(shown)
        assert again is not failed
        again.future.result(timeout=120)
    finally:
        exports.close()


@pytest.mark.slow
def test_exports_of_different_data_never_mix() -> None:
    exports = Exports()
    try:
        begun = [exports.start(dataset(n)) for n in range(1, 5)]
        for number, export in enumerate(begun, 1):
            workbook = sheets(export.future.result(timeout=120).path)
            assert len(workbook.consolidated) == number
    finally:
        exports.close()


def test_of_twenty_exports_at_once_two_run_and_the_waiting_know_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go, running, most = threading.Event(), set(), 0

    def run(export: Export, folder: Path, job: Any, begin: object) -> Workbook:
        nonlocal most
        running.add(export)
        most = max(most, len(running))
        assert go.wait(120)
        running.discard(export)
        return small_file(folder, str(job["books"]["transactions"]))

    monkeypatch.setattr(Export, "run", run)
    exports = Exports()
    try:
        begun = [exports.start(dataset(number)) for number in range(1, 21)]
        wait_for(lambda: sorted(map(exports.place_in_line, begun)) == [0, 0, *range(1, 19)])
        go.set()
        for number, export in enumerate(begun, 1):
            # Each outcome has one more transaction, without a card.
            assert export.future.result(timeout=120).path.read_text() == str(number + 1)
        assert most == 2
        assert [exports.place_in_line(export) for export in begun] == [0] * 20
    finally:
        exports.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Writes files of one byte once this event is set."""
    go = threading.Event()

    def run(export: Export, folder: Path, job: object, begin: object) -> Workbook:
        assert go.wait(120)
        return small_file(folder, "x")

    monkeypatch.setattr(Export, "run", run)
    return go


def small_file(folder: Path, text: str) -> Workbook:
    path = folder / "x.xlsx"
    path.write_text(text)
    return Workbook(path, 1, "0", {})


def test_a_data_set_may_leave_memory_once_the_worker_has_it(written: threading.Event) -> None:
    exports, shown = Exports(), dataset()
    outcome = weakref.ref(shown.outcome)
    try:
        export = exports.start(shown)
        del shown
        wait_for(lambda: gc.collect() >= 0 and outcome() is None)
        written.set()
        export.future.result(timeout=120)
    finally:
        written.set()
        exports.close()


@pytest.mark.parametrize("problem", [ReportError("a"), OSError(28, "full")], ids=["ours", "disk"])
def test_an_export_that_failed_keeps_no_data_set(
    monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(outcome: Outcome, folder: Path, marks: object, labels: object) -> None:
        raise problem

    monkeypatch.setattr(export_worker, "spool", fail)
    exports, shown = Exports(), dataset()
    outcome = weakref.ref(shown.outcome)
    try:
        export = exports.start(shown)
        assert isinstance(export.future.exception(timeout=120), ReportError)
        del shown
        # The test itself keeps the OSError, whose traceback holds the outcome.
        if isinstance(problem, OSError):
            problem.__traceback__ = None
        wait_for(lambda: gc.collect() >= 0 and outcome() is None)
    finally:
        exports.close()


def test_joining_a_waiting_export_does_not_change_the_line(written: threading.Event) -> None:
    exports, shown = Exports(), [dataset() for _ in range(6)]
    try:
        begun = []
        for data in shown:
            begun.append(exports.start(data))
            wait_for(lambda: sum(e.stage != "queued" for e in begun) == min(2, len(begun)))
        assert [exports.place_in_line(export) for export in begun] == [0, 0, 1, 2, 3, 4]
        assert exports.start(shown[2]) is begun[2]
        assert [exports.place_in_line(export) for export in begun] == [0, 0, 1, 2, 3, 4]
        written.set()
        for export in begun:
            export.future.result(timeout=120)
    finally:
        written.set()
        exports.close()


def test_a_file_stays_for_minutes_whatever_is_exported_after_it(
    written: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.set()
    exports = Exports()
    try:
        files = [exports.start(dataset()).future.result(timeout=120).path for _ in range(20)]
        assert all(path.exists() for path in files)
        monkeypatch.setattr("lib.dashboard.export_queue._FETCHED_SECONDS", 0.0)
        files.append(exports.start(dataset()).future.result(timeout=120).path)
        assert [path.exists() for path in files] == [False] * 5 + [True] * 16
    finally:
        exports.close()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time_module.monotonic() + 120
    while not holds() and time_module.monotonic() < deadline:
        time_module.sleep(0.01)
    assert holds()
