"""Waiting for the sources' data: its end, its locks, its records, and the faults meanwhile."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib.cli import main
from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.database import latest_instant, sessions, source_query
from lib.delivery import history, state_file, waiting
from lib.domain.errors import HistoryError
from lib.domain.requests import SIDES, Side, Window
from lib.reports import file_lock
from tests.support.command import Command, configured, finish, soon, start
from tests.support.faults import MERCHANT
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Databases, Servers

# It is between six and seven o'clock in this zone: before and after it are hours of the same day.
ZONE = f"Etc/GMT{((datetime.now(UTC).hour - 6 + 11) % 24) - 11:+d}"
TODAY = datetime.now(ZoneInfo(ZONE)).date()
YESTERDAY = TODAY - timedelta(days=1)
WHOLE = datetime.combine(YESTERDAY, clock(23, 0))
LATER, EARLIER = "23:59", "00:00"
INSERTS = {
    "transactions": "INSERT INTO transactions VALUES ('4000001', '{0:%Y-%m-%d}', '{0:%H:%M:%S}',"
    f" '{MERCHANT}', NULL, 1)",
    "auth_logs": "INSERT INTO authentication.transaction_logs VALUES ('4000001',"
    f" '{{0:%Y-%m-%d}}', '{{0:%H:%M:%S}}', '00', 'compra', '0{MERCHANT}')",
}


def put(databases: Databases, instant: datetime, *sides: str) -> None:
    """A record of that local moment on each side."""
    for side in sides or SIDES:
        databases.execute(side, INSERTS[side].format(instant))


def keys(command: Command, until: str = LATER, **wait: Any) -> dict[str, Any]:
    return {
        "timezone": ZONE,
        "history": {"path": str(command.folder / "history.sqlite")},
        "wait": {"until": until, "every_seconds": 1, **wait},
    }


def runs(command: Command) -> list[history.Run]:
    return history.History(command.folder / "history.sqlite").runs()


def judged(command: Command) -> set[str]:
    with state_file.reading(command.folder / "history.sqlite") as connection:
        return {day for (day,) in connection.exec_driver_sql("SELECT day FROM judged_days")}


def index(databases: Databases) -> None:
    databases.execute("transactions", "CREATE INDEX ON transactions (transaction_date)")


def started(command: Command, *words: str, **wait: Any) -> subprocess.Popen[str]:
    """A run in a process of its own that waits."""
    index(command.databases)
    file = configured(command.folder, command.databases.values, **keys(command, **wait))
    process = start("--config", str(file), "--output", str(output(command)), *words)

    def waits() -> bool:
        with suppress(HistoryError):  # the file exists a moment before its tables
            return history.WAITING in [run.outcome for run in runs(command)]
        return False

    assert soon(waits)
    return process


def output(command: Command) -> Path:
    return command.folder / "resultado_{merchant}.xlsx"


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_run_begins_at_once_if_both_sides_hold_yesterday_less_the_lag(command: Command) -> None:
    put(command.databases, WHOLE)
    result = command.run(**keys(command))
    assert result.code == main.DONE, result.err
    assert not says(result.err, waiting.WAITS)
    [run] = runs(command)
    assert (run.outcome, run.note) == (history.DONE, None)
    assert YESTERDAY.isoformat() in judged(command)


@pytest.mark.parametrize("side", SIDES)
def test_after_its_time_it_does_not_wait_and_says_which_side_is_incomplete(
    command: Command, side: Side
) -> None:
    put(command.databases, WHOLE)
    other = next(one for one in SIDES if one != side)
    command.databases.execute(
        side,
        {
            "transactions": "TRUNCATE transactions",
            "auth_logs": "TRUNCATE authentication.transaction_logs",
        }[side],
    )
    put(command.databases, WHOLE - timedelta(seconds=1), side)
    result = command.run(**keys(command, EARLIER))
    assert result.code == main.DONE, result.err
    [run] = runs(command)
    assert says(run.note or "", waiting.INCOMPLETE)
    assert side in (run.note or "")
    assert other not in (run.note or "")
    assert says(result.err, waiting.INCOMPLETE)
    days = judged(command)
    assert YESTERDAY.isoformat() not in days
    assert (YESTERDAY - timedelta(days=1)).isoformat() in days


def test_the_lag_is_configured(command: Command) -> None:
    put(command.databases, datetime.combine(YESTERDAY, clock(22, 0)))
    assert command.run(**keys(command, EARLIER, lag_minutes=120)).code == main.DONE
    assert command.run(**keys(command, EARLIER, lag_minutes=119)).code == main.DONE
    assert [bool(run.note) for run in runs(command)] == [True, False]


def test_records_dated_in_the_future_do_not_make_yesterday_whole(command: Command) -> None:
    put(command.databases, datetime.combine(TODAY + timedelta(days=400), clock(12)))
    command.run(**keys(command, EARLIER))
    assert runs(command)[0].note == "\n".join(waiting.EMPTY.format(side=side) for side in SIDES)


def test_a_period_whose_own_days_are_whole_neither_waits_nor_is_late(command: Command) -> None:
    put(command.databases, datetime.combine(YESTERDAY, clock(12)))
    day = (YESTERDAY - timedelta(days=1)).isoformat()
    result = command.run("--start", day, "--end", day, **keys(command))
    assert (result.code, runs(command)[0].note) == (main.DONE, None), result.err


def test_a_rehearsal_does_not_wait(command: Command) -> None:
    assert command.run("--dry-run", **keys(command)).code == main.DONE


@pytest.mark.fault
@pytest.mark.parametrize("words", [(), ("--all-merchants",)])
def test_a_second_scheduler_leaves_and_the_first_runs_when_the_data_are_there(
    command: Command, ended: list[subprocess.Popen[str]], words: tuple[str, ...]
) -> None:
    first = started(command, *words)
    ended.append(first)
    file = command.folder / "aggregator.toml"
    second = finish(start("--config", str(file), "--output", str(output(command)), *words))
    assert second.code == main.FAILED
    assert says(second.err, file_lock.TAKEN)
    reports = len(words) * (len(MERCHANTS) - 1) + 1
    assert [run.outcome for run in runs(command)][:-1] == [history.SKIPPED] * reports
    assert first.poll() is None
    put(command.databases, WHOLE)
    result = finish(first)
    assert result.code == main.DONE, result.err
    assert len([line for line in result.err.splitlines() if says(line, waiting.WAITS)]) == 1
    done = [run for run in runs(command) if run.outcome == history.DONE]
    assert [run.note for run in done] == [None] * reports


@pytest.mark.fault
def test_a_database_that_is_down_meanwhile_is_asked_again(
    servers: Servers, command: Command, ended: list[subprocess.Popen[str]]
) -> None:
    ended.append(started(command))
    servers.stop("auth_logs")
    time.sleep(3)
    servers.start("auth_logs")
    put(command.databases, WHOLE)
    result = finish(ended[0])
    assert result.code == main.DONE, result.err
    assert runs(command)[0].note is None


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_wait_ends_at_once_and_frees_the_report(
    command: Command, ended: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    ended.append(started(command, every_seconds=3600))
    before = time.monotonic()
    ended[0].send_signal(number)
    result = finish(ended[0])
    assert (result.code, time.monotonic() - before < 10) == (main.INTERRUPTED, True)
    assert [run.outcome for run in runs(command)] == [history.INTERRUPTED]
    assert list(command.folder.glob(".*.lock")) == []


class Time:
    """A clock on the wall and the time that passes, moved by sleeping and by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: str, zone: str) -> None:
        self.wall = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        self.passed = 0.0
        self.slept = 0.0
        self.jumps: dict[float, timedelta] = {}
        monkeypatch.setattr(waiting, "_now", lambda: self.wall)
        module = SimpleNamespace(monotonic=lambda: self.passed, sleep=self.sleep)
        monkeypatch.setattr(waiting, "time", module)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.slept += seconds
        self.wall += timedelta(seconds=seconds)
        for moment in [moment for moment in self.jumps if moment <= self.passed]:
            self.wall += self.jumps.pop(moment)


def settings_of(databases: Databases, zone: str = "America/Sao_Paulo", **wait: Any) -> Settings:
    values = {**databases.values, "timezone": zone, "wait": {"until": "07:30", **wait}}
    return loader.from_values(values, "teste", {})


@pytest.mark.parametrize(
    ("zone", "begun", "jump", "hours"),
    [
        ("America/Sao_Paulo", "2026-11-20 06:00", 0, 1.5),
        ("America/Sao_Paulo", "2026-11-20 06:00", -5, 1.5),  # the clock is set back
        ("America/Sao_Paulo", "2026-11-20 06:00", 1, 0.5),  # and forward
        ("America/New_York", "2026-03-08 01:00", 0, 5.5),  # an hour that does not exist
        ("America/New_York", "2026-11-01 00:30", 0, 8.0),  # an hour that comes twice
        ("America/Sao_Paulo", "2026-11-20 07:30", 0, 0.0),
        ("America/Sao_Paulo", "2026-11-20 22:00", 0, 0.0),
    ],
)
def test_it_ends_at_its_local_time_whatever_is_done_to_the_clock(
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    zone: str,
    begun: str,
    jump: int,
    hours: float,
) -> None:
    now = Time(monkeypatch, begun, zone)
    if jump:
        now.jumps[600.0] = timedelta(hours=jump)
    settings = settings_of(databases, zone)
    today = date.fromisoformat(begun[:10])
    request = defaults.request(settings, today)
    states: list[bool] = []
    wait = waiting.Waiting(settings, [request], [tmp_path / "a.xlsx"])
    wait.finish(tmp_path / "a.xlsx", states.append)
    assert now.slept == pytest.approx(hours * 3600, abs=10)
    assert states == ([True, False] if hours else [])
    assert len(wait.incomplete_days(request)) == 10
    # Of a command with several reports, the others do not wait again.
    wait.finish(tmp_path / "b.xlsx", states.append)
    assert now.slept == pytest.approx(hours * 3600, abs=10)


@pytest.mark.parametrize(("indexed", "seconds"), [(True, 20), (False, 300)])
def test_without_an_index_that_leads_with_the_date_it_asks_every_five_minutes_at_most(
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    indexed: bool,
    seconds: float,
) -> None:
    if indexed:
        index(databases)
    now = Time(monkeypatch, "2026-11-20 07:10", "America/Sao_Paulo")
    settings = settings_of(databases, every_seconds=20)
    asked: list[float] = []
    ask = waiting.Waiting._ask

    def noted(self: waiting.Waiting, end: Any) -> None:
        asked.append(now.passed)
        ask(self, end)

    monkeypatch.setattr(waiting.Waiting, "_ask", noted)
    request = defaults.request(settings, date(2026, 11, 20))
    waiting.Waiting(settings, [request], []).finish(tmp_path / "a.xlsx", lambda waits: None)
    assert asked == list(range(0, 1201, int(seconds)))


@pytest.mark.parametrize("side", SIDES)
def test_asking_scans_no_table_with_an_index_that_leads_with_the_date(
    databases: Databases, side: Side
) -> None:
    index(databases)
    for instant in (WHOLE, WHOLE - timedelta(days=1)):
        put(databases, instant, side)
    settings = settings_of(databases)
    window = Window(MERCHANT, YESTERDAY, TODAY)
    sql = (latest_instant._SQL / f"latest_{side}.sql").read_text(encoding="utf-8")
    with sessions.session(settings, side) as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(b"EXPLAIN " + source_query.render(cursor, side, sql, window.parameters))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    assert "Index" in plan
    expected = latest_instant.Latest(WHOLE, scans=False)
    assert latest_instant.latest(settings, side, [window], 30) == expected


@pytest.mark.parametrize("side", SIDES)
def test_of_a_query_file_it_asks_what_it_returns_for_yesterday_and_today(
    databases: Databases, tmp_path: Path, side: Side
) -> None:
    put(databases, WHOLE, side)
    default = (latest_instant._SQL / f"{side}.sql").read_text(encoding="utf-8")
    (tmp_path / "own.sql").write_text(default)
    values = {**databases.values}
    values[side] = {**values[side], "query_file": str(tmp_path / "own.sql")}
    settings = loader.from_values(values, "teste", {})

    def latest(*windows: Window) -> datetime | None:
        return latest_instant.latest(settings, side, windows, 30).instant

    window = Window(MERCHANT, YESTERDAY, TODAY)
    other = Window(next(cnpj for cnpj in MERCHANTS if cnpj != MERCHANT), YESTERDAY, TODAY)
    assert latest(other, window) == WHOLE
    assert latest(other) is None
    before = Window(MERCHANT, YESTERDAY - timedelta(days=2), YESTERDAY - timedelta(days=1))
    assert latest(before) is None


def test_what_cannot_be_known_is_incomplete_and_warned_of_once(
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(databases, datetime.combine(date(2026, 11, 19), clock(23, 59)))
    Time(monkeypatch, "2026-11-20 07:20", "America/Sao_Paulo")
    databases.execute("auth_logs", "DROP TABLE authentication.transaction_logs")
    settings = settings_of(databases)
    request = defaults.request(settings, date(2026, 11, 20))
    wait = waiting.Waiting(settings, [request], [])
    wait.finish(tmp_path / "a.xlsx", lambda waits: None)
    assert [notice.template for notice in wait.notices(request)] == [waiting.UNKNOWN]
    assert len(wait.incomplete_days(request)) == 10
    assert len(caplog.records) == 1
