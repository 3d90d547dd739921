"""A history that is damaged, locked or out of reach, and reports that are written all the same."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import platformdirs
import pytest

from lib.cli import main
from lib.delivery import history, state_file
from lib.delivery.history import History
from lib.domain.errors import HistoryError
from tests.support.command import Command, configured, sheets
from tests.support.faults import PERIOD, fill
from tests.support.runs import BOOKS, FIELDS
from tests.support.sentences import pattern, says


def test_a_history_that_cannot_be_written_costs_a_warning_and_no_report(command: Command) -> None:
    fill(command.databases, 5)
    path = "/proc/nowhere/history.sqlite"
    result = command.run(*PERIOD, history={"path": path})
    assert result.code == main.DONE
    assert state_file.UNUSABLE.format(path=path) in result.err
    assert len(sheets(command.target).consolidated) == 5


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
