"""The store of cases: how long they are kept, concurrency, and what a fault leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lib.analysis.case_evidence import Evidence
from lib.config.settings import ROOT, Settings
from lib.delivery import case_queries, case_store, state_file
from lib.delivery.case_marks import Mark
from lib.delivery.case_store import Judging
from lib.domain import cases
from lib.domain.errors import HistoryError
from tests.support.sentences import pattern
from tests.support.stored_cases import ANA, AT, DAY, MERCHANT, RUI, everything, judge, mark, rows

WRITER = """
import sys
from pathlib import Path
from lib.delivery import state_file
with state_file.writing(Path(sys.argv[1])) as connection:
    connection.exec_driver_sql("UPDATE cases SET owner = 'half'")
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_is_no_history_is_one_sentence(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"isto nao e um banco" * 100)
    for use in (
        lambda: judge(path, 1, [1]),
        lambda: case_queries.find(path, MERCHANT),
        lambda: case_queries.timeline(path, "0" * 16),
    ):
        with pytest.raises(HistoryError, match=pattern(state_file.NOT_A_HISTORY)):
            use()


def test_damage_among_the_cases_sets_the_file_aside_and_the_next_run_begins_another(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge(path, 1, list(range(1, 9)))
    with closing(sqlite3.connect(path)) as file:
        ((size,),) = file.execute("PRAGMA page_size")
        ((page,),) = file.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'cases_by_moment'"
        )
    with path.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    with pytest.raises(HistoryError, match=pattern(state_file.DAMAGED)):
        judge(path, 2, [1])
    assert len(caplog.records) == 1
    assert judge(path, 3, [1]).new == 1


def test_a_killed_writer_leaves_the_file_whole(path: Path) -> None:
    judge(path, 1, [1, 2])
    before = everything(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert everything(path) == before  # readers are not held up
        writer.send_signal(signal.SIGKILL)
    assert everything(path) == before
    assert judge(path, 2, [1, 2]).open == 2


def test_readers_and_marks_go_on_while_runs_judge(settings: Settings, path: Path) -> None:
    judge(path, 1, list(range(1, 9)))
    failures: list[BaseException] = []

    def repeated(work: Callable[[int], object]) -> threading.Thread:
        def run() -> None:
            try:
                for number in range(10):
                    work(number)
            except BaseException as problem:  # noqa: BLE001 shown below
                failures.append(problem)

        return threading.Thread(target=run)

    threads = [
        repeated(lambda n: judge(path, 2 + n, list(range(1, 9)))),
        repeated(lambda n: mark(settings, ANA, Mark(note=f"a {n}"), everything(path)["1"])),
        repeated(lambda n: mark(settings, RUI, Mark(note=f"r {n}"), everything(path)["1"])),
        repeated(lambda n: case_queries.find(path, MERCHANT).total == 8 or pytest.fail(str(n))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    notes = [e for e in case_queries.timeline(path, everything(path)["1"].key) if e.kind == "note"]
    assert len(notes) == 20


def test_cases_are_kept_for_some_days_after_they_were_last_seen(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2])
    key = everything(path)["1"].key
    later = AT + timedelta(days=30)
    judge(path, 2, [2], at=later, kept_since=later - timedelta(days=30))
    assert sorted(everything(path)) == ["1", "2"]
    much_later = later + timedelta(days=1)
    judge(path, 3, [2], at=much_later, kept_since=much_later - timedelta(days=30))
    assert list(everything(path)) == ["2"]
    assert case_queries.timeline(path, key) == ()


def test_cases_without_a_date_are_kept_as_long_as_others(path: Path) -> None:
    table = rows([(cases.LOG, 1, 0)])
    undated = table.set_column(
        table.column_names.index(cases.DAY), cases.DAY, pa.nulls(1, pa.date32())
    )
    for run, found, after in ((1, undated, 0), (2, undated[:0], 1), (3, undated[:0], 40)):
        at = AT + timedelta(days=after)
        judging = Judging(
            run=run,
            merchant=MERCHANT,
            at=at,
            period=(DAY, DAY),
            days=frozenset([DAY]),
            kept_since=at - timedelta(days=30),
        )
        numbered = cases.of_run(MERCHANT, found)
        case_store.judge(path, judging, numbered, lambda gone: Evidence())
        assert len(everything(path)) == (run < 3)


def test_the_counts_of_a_run_leave_out_what_it_removes(path: Path) -> None:
    judge(path, 1, [1])
    judging = Judging(
        run=2,
        merchant=MERCHANT,
        at=AT + timedelta(days=40),
        period=(DAY + timedelta(days=40), DAY + timedelta(days=40)),
        days=frozenset([DAY + timedelta(days=40)]),
        kept_since=AT + timedelta(days=10),
    )
    nothing = cases.of_run(MERCHANT, rows([]))
    change = case_store.judge(path, judging, nothing, lambda gone: Evidence())
    assert (change.open, change.outside) == (0, 0)


def test_an_open_case_was_last_seen_when_its_day_was_judged_last(path: Path) -> None:
    judge(path, 1, [1, 2])
    judge(path, 2, [1, 2], at=AT + timedelta(days=1))
    judge(path, 3, [2], at=AT + timedelta(days=2))
    judge(path, 4, [2], at=AT + timedelta(days=3))
    seen = {card: case.last_seen - AT for card, case in everything(path).items()}
    assert seen == {"1": timedelta(days=1), "2": timedelta(days=3)}


def test_the_sums_are_those_of_the_cases_after_runs_marks_and_removals(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 1, 2, 3])
    seen = everything(path)
    mark(settings, ANA, Mark(status=cases.ACCEPTED, reason="ok", owner="a"), seen["1"], seen["2"])
    judge(path, 2, [1, 4], at=AT + timedelta(days=1))
    judge(path, 3, [1, 2, 4], at=AT + timedelta(days=2))
    later = AT + timedelta(days=40)
    judge(path, 4, [4], at=later, kept_since=later - timedelta(days=39))
    columns = "merchant, day, kind, motivo, state, opened_by, first_seen, status, owner"
    with state_file.reading(path) as connection:
        counted = connection.exec_driver_sql(f"SELECT {columns}, cases FROM case_counts").all()
        summed = connection.exec_driver_sql(
            f"SELECT {columns}, count(*) FROM cases GROUP BY {columns}"
        ).all()
    assert sorted(map(str, counted)) == sorted(map(str, summed))
    assert len(counted) > 1


def test_the_file_belongs_to_its_owner_alone(path: Path) -> None:
    judge(path, 1, [1])
    with state_file.reading(path):
        assert {entry.stat().st_mode & 0o077 for entry in path.parent.iterdir()} == {0}
