"""Faults of the machine that runs the report, and the files that they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib import pipeline
from lib.cli import main, run, run_log
from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.database import error_translation
from lib.delivery import history, state_file
from lib.reports import file_lock, report_file, verification
from tests.support import faults
from tests.support.command import (
    PREVIOUS,
    Command,
    configured,
    finish,
    nothing_runs,
    sheets,
    slow_query,
    soon,
    start,
    statements,
    with_query,
    with_source,
)
from tests.support.faults import PERIOD, Line, fill
from tests.support.sentences import says
from tests.support.servers import Databases

pytestmark = pytest.mark.fault


def waiting(command: Command, **keys: Any) -> subprocess.Popen[str]:
    """A run in a separate process that is still reading."""
    query = slow_query("auth_logs")
    values = with_query(command.databases.values, "auth_logs", command.folder, query)
    file = configured(command.folder, values, **keys)
    process = start("--config", str(file), "--output", str(command.target), *PERIOD)
    assert soon(lambda: statements(command.databases, "auth_logs") == 1)
    return process


def outcomes(record: history.History) -> list[str]:
    return [run.outcome for run in record.runs()]


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".relatorio-" in str(path)]


# Python loads it before the program. It counts what the run does to files of FOLDER once it has
# opened its configuration, and kills the run just before the step of number LAST_STEP.
MORTAL = """
import atexit, os, signal, sys

folder, last = os.environ["FOLDER"], int(os.environ["LAST_STEP"])
steps = 0

def hook(event, arguments):
    global steps
    if any(str(value).startswith(folder) for value in arguments):
        configured = event == "open" and str(arguments[0]).endswith("aggregator.toml")
        steps += bool(steps or configured)
        if last and steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
if not last:
    atexit.register(lambda: print("steps", steps, file=sys.stderr))
"""


def test_a_run_killed_at_each_of_its_steps_leaves_a_whole_report_or_the_previous_one(
    command: Command,
) -> None:
    fill(command.databases, 2_000)
    temporary, mortal = command.folder / "temp", command.folder / "mortal"
    for folder in (temporary, mortal):
        folder.mkdir()
    (mortal / "sitecustomize.py").write_text(MORTAL)
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(mortal)}
    environment |= {"FOLDER": str(command.folder), "LAST_STEP": "0"}
    words, expected, steps = {}, {}, {}
    for kind in ("clear", "masked"):
        keys = {"privacy": {"report": kind}}
        expected[kind] = command.reported(*PERIOD, **keys)
        (command.folder / kind).mkdir()
        file = configured(command.folder / kind, command.databases.values, **keys)
        words[kind] = ("--config", str(file), "--output", str(command.target), *PERIOD)
        whole = finish(start(*words[kind], env=environment))
        assert whole.code == main.DONE, whole.err
        steps[kind] = int(whole.sentence.removeprefix("steps "))
    cards = [f"4000{n:012}".encode() for n in range(1, 2_001)]
    replaced = set()
    for last in range(1, min(steps.values()) + 1):
        kind = "masked" if last % 2 else "clear"
        command.target.write_bytes(PREVIOUS)
        killed = finish(start(*words[kind], env=environment | {"LAST_STEP": str(last)}))
        assert killed.code == -signal.SIGKILL, (last, steps, killed)
        replaced.add(command.target.read_bytes() != PREVIOUS)
        if command.target.read_bytes() != PREVIOUS:
            assert verification.verify(command.target).problems == ()
            assert sheets(command.target) == expected[kind]
        # Only a killed clear run may leave clear values, in a folder closed to other accounts.
        folders = list(command.folder.glob(".relatorio-*"))
        assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in folders)
        if kind == "clear":
            for folder in folders:
                shutil.rmtree(folder)
        for path in [*leftovers(command.folder), *temporary.rglob("*")]:
            assert path.is_dir() or not any(card in path.read_bytes() for card in cards)
    assert replaced == {False, True}
    assert finish(start(*words["masked"])).code == main.DONE
    assert sheets(command.target) == expected["masked"]
    assert leftovers(command.folder) == []


def test_a_killed_run_is_found_in_the_history_and_its_lock_is_free(command: Command) -> None:
    path = command.folder / "state" / "history.sqlite"
    process = waiting(command, history={"path": str(path)})
    record = history.History(path)
    assert outcomes(record) == [history.RUNNING]
    process.kill()
    finish(process)
    assert outcomes(record) == [history.VANISHED]
    fill(command.databases, 3)
    command.reported(*PERIOD, history={"path": str(path)})
    assert outcomes(record) == [history.DONE, history.VANISHED]


def test_a_second_run_of_the_same_report_is_refused(command: Command) -> None:
    process = waiting(command)
    assert command.refused(*PERIOD) == file_lock.TAKEN.format(target=command.target)
    other = command.folder / "outro.xlsx"
    file = configured(command.folder, command.databases.values)
    assert command.say("--config", str(file), "--output", str(other), *PERIOD).code == main.DONE
    process.send_signal(signal.SIGINT)
    assert finish(process).code == main.INTERRUPTED
    assert not list(command.folder.glob(".*.lock"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_nothing_running_and_reports_it(
    command: Command, number: signal.Signals
) -> None:
    path = command.folder / "state" / "history.sqlite"
    process = waiting(command, history={"path": str(path)})
    process.send_signal(number)
    result = finish(process)
    assert (result.code, result.sentence) == (main.INTERRUPTED, main.INTERRUPTED_SENTENCE)
    assert command.target.read_bytes() == PREVIOUS
    assert nothing_runs(command.databases)
    assert outcomes(history.History(path)) == [history.INTERRUPTED]


@pytest.mark.parametrize("words", [("run", *PERIOD), ("check",)])
def test_what_waits_for_a_locked_table_before_the_read_is_stopped_at_once(
    command: Command, words: tuple[str, ...]
) -> None:
    file = str(configured(command.folder, command.databases.values))
    with closing(command.databases.connect("auth_logs")) as other:
        other.cursor().execute("LOCK TABLE authentication.transaction_logs")
        process = start(*words, "--config", file)
        assert soon(lambda: statements(command.databases, "auth_logs") == 1)
        process.send_signal(signal.SIGTERM)
        result = finish(process, 20)
        assert (result.code, result.sentence) == (main.INTERRUPTED, main.INTERRUPTED_SENTENCE)
        assert nothing_runs(command.databases)


def test_a_missing_folder_is_named_before_anything_is_read(command: Command) -> None:
    gone = command.folder / "compartilhada" / "resultado.xlsx"
    result = command.say(
        "--config",
        str(configured(command.folder, command.databases.values)),
        "--output",
        str(gone),
        *PERIOD,
    )
    assert (result.code, result.sentence) == (
        main.FAILED,
        report_file.NO_FOLDER.format(folder=gone.parent),
    )


@pytest.mark.system
def test_a_full_disk_keeps_the_previous_report_and_leaves_no_half_file(command: Command) -> None:
    fill(command.databases, 20_000)
    file = configured(command.folder, command.databases.values)
    with faults.small_disk(command.folder / "cheio", 96) as disk:
        target = disk / "resultado.xlsx"
        target.write_bytes(PREVIOUS)
        result = command.say("--config", str(file), "--output", str(target), *PERIOD)
        assert (result.code, target.read_bytes()) == (main.FAILED, PREVIOUS)
        assert says(result.sentence, report_file.NO_SPACE)
        assert os.listdir(disk) == ["resultado.xlsx"]


@pytest.mark.system
def test_a_full_disk_of_the_history_or_the_log_does_not_stop_the_report(command: Command) -> None:
    fill(command.databases, 10)
    with faults.small_disk(command.folder / "cheio", 16) as disk:
        log = disk / "execucoes.log"
        log.touch()
        with (disk / "lixo").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(b"." * 4096)
        keys = {"history": {"path": str(disk / "history.sqlite")}}
        result = command.run(*PERIOD, "--log-file", str(log), **keys)
    assert result.code == main.DONE
    assert says(result.err, state_file.UNUSABLE)
    assert says(result.err, run_log.NOT_WRITABLE)


@pytest.mark.system
def test_a_network_that_swallows_everything_is_noticed_by_keepalives(command: Command) -> None:
    """The run reads from a separate network whose link is cut meanwhile."""
    faults.require("ip")
    name, far, near = "mdafault", "10.213.7.1", "10.213.7.2"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        pytest.skip("needs network namespaces")
    try:
        for words in (
            f"link add {name} type veth peer name {name}1 netns {name}",
            f"addr add {far}/30 dev {name}",
            f"link set {name} up",
            f"-n {name} addr add {near}/30 dev {name}1",
            f"-n {name} link set {name}1 up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        query = slow_query("auth_logs")
        values = with_query(command.databases.values, "auth_logs", command.folder, query)
        with Line(values["auth_logs"], address=far) as line:
            source = {**line.source, "sslmode": "disable", "connect_timeout": 1}
            values = with_source(values, "auth_logs", **source)
            file = configured(command.folder, values, allow_insecure=True)
            process = start(
                *("--config", str(file), "--output", str(command.target), *PERIOD),
                prefix=("ip", "netns", "exec", name),
            )
            assert soon(lambda: statements(command.databases, "auth_logs") == 1)
            subprocess.run(["ip", "-n", name, "link", "set", f"{name}1", "down"], check=True)
            # The time limit of the statement, which has another sentence, is much longer.
            result = finish(process)
        assert result.code == main.FAILED
        assert says(result.err, error_translation.BY_STATE["08"].rstrip("."))
        assert says(result.sentence, error_translation.NOT_CONNECTED)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
        subprocess.run(["ip", "link", "del", name], capture_output=True)


def settings_in(zone: str, databases: Databases) -> Settings:
    return loader.from_values({**databases.values, "timezone": zone}, "teste", {})


@pytest.mark.parametrize(
    ("zone", "instant", "today"),
    [
        ("America/Sao_Paulo", "2026-11-23T02:59:59", date(2026, 11, 22)),
        ("America/Sao_Paulo", "2026-11-23T03:00:00", date(2026, 11, 23)),
        # Daylight saving time began at midnight (to 01:00) and ended at midnight (to 23:00).
        ("America/Sao_Paulo", "2018-11-04T02:59:59", date(2018, 11, 3)),
        ("America/Sao_Paulo", "2018-11-04T03:00:00", date(2018, 11, 4)),
        ("America/Sao_Paulo", "2019-02-17T02:30:00", date(2019, 2, 16)),
        ("America/Sao_Paulo", "2019-02-17T03:00:00", date(2019, 2, 17)),
        ("America/New_York", "2026-11-01T05:59:59", date(2026, 11, 1)),
    ],
)
def test_today_is_the_local_date_around_midnight_and_changes_of_the_clocks(
    databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    instant: str,
    today: date,
) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromisoformat(instant).replace(tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(pipeline, "datetime", Frozen)
    monkeypatch.setattr(defaults, "datetime", Frozen)
    settings = settings_in(zone, databases)
    request = defaults.request(settings, defaults.local_today(settings), days=1)
    assert (request.period.end, (request.period.end - request.period.start).days) == (today, 1)
    local = datetime.fromisoformat(instant).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    assert pipeline.run(settings, request).extracted_at.utcoffset() == local.utcoffset()


def test_a_run_that_passes_midnight_keeps_the_period_it_began_with(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = iter([date(2026, 11, 20)])
    monkeypatch.setattr(defaults, "local_today", lambda _: next(days))
    fill(command.databases, 5)
    result = command.run("--days", "0", output_path=str(command.target))
    assert (result.code, "Período: 20/11/2026 a 20/11/2026" in result.out) == (main.DONE, True)


def another_project(folder: Path) -> Path:
    (folder / "project" / "lib").mkdir(parents=True)
    (folder / "project" / "lib" / "__init__.py").write_text("raise SystemExit(1)")
    return folder / "project"


def removed(folder: Path) -> Path:
    (folder / "removed").mkdir()
    return folder / "removed"


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "/": lambda _: Path("/"),  # its `lib` is not ours
    "home": lambda folder: folder,
    "another project": another_project,
    "removed": removed,
}


def run_from(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in this folder, without a terminal and with an empty environment."""
    leave = 'if [ "${PWD##*/}" = removed ]; then rmdir "$PWD"; fi; exec "$@"'
    script = ("sh", "-c", leave, "sh", "env", "-i", *faults.aggregator(), *words)
    return subprocess.run(
        ["setsid", *script] if shutil.which("setsid") else script,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("kind", ["memory", "chunked"])
@pytest.mark.parametrize("where", FOLDERS)
def test_a_run_works_from_any_folder_without_a_terminal_and_with_an_empty_environment(
    command: Command, where: str, kind: str
) -> None:
    fill(command.databases, 5)
    output = command.folder / "agendada.xlsx"
    record = {"path": str(command.folder / "history.sqlite")}
    engine = {"kind": kind, "workers": 1}
    values = {
        **command.databases.values,
        "output_path": str(output),
        "history": record,
        "engine": engine,
    }
    file = configured(command.folder, values)
    done = run_from(FOLDERS[where](command.folder), "--config", str(file), *PERIOD)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (
        main.DONE,
        [run.WRITTEN.format(name="agendada.xlsx")],
    ), done.stderr
    assert len(sheets(output).consolidated) == 5


@pytest.mark.parametrize(
    "words",
    [
        ("--config", "{file}", "--output", "a.xlsx", *PERIOD),
        ("init", "--config", "new.toml"),
        ("dashboard", "--config", "new.toml"),
    ],
    ids=["run", "init", "dashboard"],
)
def test_a_relative_name_in_a_removed_folder_is_one_sentence(
    command: Command, words: tuple[str, ...]
) -> None:
    file = configured(command.folder, command.databases.values)
    named = [word.format(file=file) for word in words]
    done = run_from(removed(command.folder), *named)
    assert (done.returncode, done.stdout) == (main.FAILED, "")
    assert done.stderr.splitlines()[-1] == main.NO_CURRENT_FOLDER
    assert "Traceback" not in done.stderr
