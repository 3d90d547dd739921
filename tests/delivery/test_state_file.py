"""The state file under damage, odd paths and other programs: sentences, and a new beginning."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from lib.cli import main
from lib.delivery import history, state_file
from lib.delivery.history import History
from lib.domain.errors import HistoryError
from tests.support.command import Command, configured
from tests.support.faults import PERIOD, fill
from tests.support.runs import FIELDS
from tests.support.sentences import pattern, says


def written(path: Path, runs: int = 3) -> None:
    """A healthy file with some runs, all of them in the main file."""
    for _ in range(runs):
        History(path).end(History(path).begin(**FIELDS), history.DONE)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def no_database(path: Path) -> None:
    path.write_bytes(b"isto nao e um banco" * 100)


def another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, began_at TEXT)")
        connection.execute("INSERT INTO runs (began_at) VALUES ('x')")


def loop(path: Path) -> None:
    path.symlink_to(path)


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "no database": no_database,
    "another program's": another_programs,
    "a folder": Path.mkdir,
    "a loop of links": loop,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/null"),
    "below a file": lambda path: path.parent.rmdir() or path.parent.touch(),  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_is_no_history_is_named_by_commands_and_stops_no_report(
    command: Command, path: Path, name: str
) -> None:
    fill(command.databases, 3)
    path.parent.mkdir()
    OBSTACLES[name](path)
    before = path.read_bytes() if path.is_file() else None
    command.reported(*PERIOD, history={"path": str(path)})
    file = configured(command.folder, command.databases.values, history={"path": str(path)})
    for words in (("history",), ("cases", "--all")):
        result = command.say(*words, "--config", str(file))
        if words == ("cases", "--all") and name == "another program's":
            continue  # it has no cases, as a history of before them
        assert (result.code, result.out) == (main.FAILED, ""), words
        assert result.sentence == state_file.NOT_A_HISTORY.format(path=path)
    assert before is None or path.read_bytes() == before


NOT_OF_THIS_PROGRAM = [
    ("cases", "digest", float("inf")),
    ("cases", "first_seen", "2026-13-40"),
    ("cases", "day", 9_223_372_036_854_775_807),
    ("cases", "owner", b"\xff"),
    ("cases", "counterpart", "[" * 100_000),
    ("cases", "kind", "x"),
    ("cases", "state", "x"),
    ("judgements", "at", b"x"),
    ("judgements", "period_end", "x"),
]


@pytest.mark.parametrize(("table", "column", "value"), NOT_OF_THIS_PROGRAM)
def test_cases_that_this_program_never_writes_are_named_and_stop_no_report(
    command: Command, path: Path, table: str, column: str, value: object
) -> None:
    fill(command.databases, 3)
    command.databases.execute("auth_logs", "DELETE FROM authentication.transaction_logs")
    keys = {"history": {"path": str(path)}}
    command.reported(*PERIOD, **keys)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    file = configured(command.folder, command.databases.values, **keys)
    result = command.say("cases", "--all", "--config", str(file))
    if column != "digest":  # no command shows it
        assert (result.code, result.sentence) == (
            main.FAILED,
            state_file.DAMAGED.format(path=path),
        )
    command.reported(*PERIOD, **keys)


@pytest.mark.parametrize("part", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, loop])
@pytest.mark.timeout(60)
def test_an_obstacle_beside_the_history_is_named_and_waited_for_by_nobody(
    path: Path, part: str, make: Callable[[Path], object]
) -> None:
    with state_file.writing(path):
        pass
    beside = path.with_name(path.name + part)
    beside.unlink(missing_ok=True)
    make(beside)
    for opened in (state_file.reading, state_file.writing):
        with pytest.raises(HistoryError, match=re.escape(str(path))), opened(path):
            pass


def test_a_history_of_a_newer_version_is_named_and_left_alone(command: Command, path: Path) -> None:
    fill(command.databases, 3)
    written(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE runs RENAME COLUMN books TO balance")
        connection.execute(f"PRAGMA user_version = {state_file.VERSION + 1}")
    command.reported(*PERIOD, history={"path": str(path)})
    file = configured(command.folder, command.databases.values, history={"path": str(path)})
    for words in (("history",), ("cases",)):
        result = command.say(*words, "--config", str(file))
        assert (result.code, result.out) == (main.FAILED, "")
        assert result.sentence == state_file.NEWER.format(path=path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(balance) FROM runs").fetchone() == (0,)


def versioned(number: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {number}")

    return damage


def overwritten(start: int, length: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\xee" * length)

    return damage


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096 + 100)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "version -1": versioned(-1),
    "the least version": versioned(-(2**31)),
    "its first page": overwritten(16, 84),
    "its schema": overwritten(100, 3_000),
    "all but its header": overwritten(100, 200_000),
    "cut in half": cut,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_history_is_set_aside_with_a_warning_and_a_new_one_begins(
    command: Command, path: Path, name: str
) -> None:
    fill(command.databases, 3)
    written(path)
    Path(f"{path}-wal").write_bytes(b"of the damaged one")
    DAMAGES[name](path)
    damaged = path.read_bytes()
    where = {"path": str(path)}
    result = command.run(*PERIOD, history=where)
    assert result.code == main.DONE
    assert says(result.err, state_file.SET_ASIDE)
    result = command.run(*PERIOD, history=where)
    assert not says(result.err, state_file.SET_ASIDE)
    [aside] = [file for file in path.parent.glob("history.sqlite.*") if "-wal" not in file.name]
    assert aside.read_bytes() == damaged
    assert {run.outcome for run in History(path).runs()} == {history.DONE}
    file = configured(command.folder, command.databases.values, history=where)
    assert command.say("cases", "--config", str(file)).code == main.DONE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_writers_at_once_set_a_damaged_history_aside_once(path: Path) -> None:
    written(path)
    versioned(-1)(path)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: History(path).begin(**FIELDS), range(8)))
    assert sorted(numbers) == list(range(1, 9))
    aside = {file.name.split("-wal")[0].split("-shm")[0] for file in path.parent.glob("*.2*")}
    assert len(aside) == 1
    assert len(History(path).runs()) == 8


def test_damage_found_by_a_reader_is_named_and_moves_nothing(path: Path) -> None:
    written(path)
    overwritten(100, 3_000)(path)
    with pytest.raises(HistoryError, match=pattern(state_file.DAMAGED)):
        History(path).runs()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_history_that_was_created_and_not_filled_is_an_empty_one(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert History(path).runs() == []
    assert History(path).begin(**FIELDS) == 1


def test_a_dangling_link_becomes_a_private_history_where_it_leads(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("elsewhere.sqlite")
    assert History(path).begin(**FIELDS) == 1
    assert stat.S_IMODE((path.parent / "elsewhere.sqlite").stat().st_mode) == 0o600


def test_a_history_that_another_program_holds_is_named_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path)
    monkeypatch.setattr(state_file, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match=pattern(state_file.BUSY)):
            History(path).begin(**FIELDS)
