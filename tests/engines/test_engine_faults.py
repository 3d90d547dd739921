"""Killed workers and drivers: the result is the same, and no files stay behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa
import pytest

from lib import pipeline
from lib.cli import main
from lib.config.settings import ROOT
from lib.domain import container, memory
from lib.domain.errors import ReportError
from lib.engines import chunked, parquet_result, process_pool, result_index, runner, staging
from lib.engines.process_pool import WorkerError
from tests.support import engine_data
from tests.support.command import PREVIOUS, Command
from tests.support.engine_driver import Driver, leftovers
from tests.support.sentences import pattern

if TYPE_CHECKING:
    from lib.engines.job import Job
    from tests.support.servers import Databases

pytestmark = pytest.mark.fault


class Killer:
    """Kills one worker at the start of each stage."""

    def __init__(self) -> None:
        self.killed: list[str] = []

    def __call__(self, stage: str, rows: int) -> None:
        if stage in self.killed:
            return
        victims = [p for p in psutil.Process().children(recursive=True) if _is_worker(p)]
        if victims:
            self.killed.append(stage)
            victims[0].send_signal(signal.SIGKILL)


def _is_worker(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is not None and any("forkserver" in part for part in parent.cmdline())


def test_a_worker_killed_in_each_phase_changes_nothing(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "DEATHS", 10)
    engine_data.fill(databases, 20_000)
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=2, memory_limit="40 MB"
    )
    request = engine_data.request(settings, "card")
    killer = Killer()

    result = engine_data.run(settings, request, tmp_path / "resultado", progress=killer)

    assert killer.killed == ["transactions", "auth_logs", "matching", "writing"]
    whole = pipeline.run(settings, request)
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    assert leftovers(tmp_path, result) == []


def test_workers_that_keep_dying_end_the_run_in_one_sentence(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "DEATHS", 0)
    engine_data.fill(databases, 2_000)
    settings = engine_data.settings(databases, tmp_path / "staging")

    with pytest.raises(WorkerError, match=process_pool.DIED.format(deaths=1).replace("[", r"\[")):
        engine_data.run(
            settings,
            engine_data.request(settings, "card"),
            tmp_path / "resultado",
            progress=Killer(),
        )

    assert list((tmp_path / "staging").iterdir()) == []
    with pytest.raises(ReportError):
        parquet_result.open_result(tmp_path / "resultado")


@pytest.fixture
def driver(databases: Databases, tmp_path: Path) -> Iterator[Driver]:
    """A run in a process of its own, on 5,000 records a side."""
    engine_data.fill(databases, 5_000)
    driver = Driver(databases, tmp_path, "chunked")
    yield driver
    driver.kill()


def test_a_run_killed_after_both_sides_are_staged_is_resumed(
    driver: Driver, databases: Databases, tmp_path: Path
) -> None:
    settings = engine_data.settings(databases, tmp_path / "staging")
    whole = pipeline.run(settings, engine_data.request(settings, "card")).reconciliation
    driver.start()
    driver.until("matching")
    driver.kill()
    databases.execute("transactions", "TRUNCATE transactions")

    driver.start()
    first = driver.until("matching")

    assert driver.digest() == engine_data.digest(whole)
    assert first == "matching\n"
    assert leftovers(tmp_path, parquet_result.open_result(driver.target)) == []


@pytest.mark.parametrize("stage", ["transactions", "auth_logs", "writing"])
def test_a_run_killed_at_another_stage_is_swept_and_repeated(
    driver: Driver, databases: Databases, tmp_path: Path, stage: str
) -> None:
    settings = engine_data.settings(databases, tmp_path / "staging")
    driver.start()
    driver.until(stage)
    driver.kill()
    assert not (driver.target / result_index.MANIFEST).exists()

    driver.start()

    whole = pipeline.run(settings, engine_data.request(settings, "card")).reconciliation
    assert driver.digest() == engine_data.digest(whole)
    assert leftovers(tmp_path, parquet_result.open_result(driver.target)) == []


def test_records_staged_for_another_request_are_swept_and_never_used(
    driver: Driver, databases: Databases, tmp_path: Path
) -> None:
    driver.start()
    driver.until("matching")
    driver.kill()
    (staged,) = (tmp_path / "staging").iterdir()
    assert staged.stat().st_mode & 0o777 == 0o700
    settings = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(settings, "card_time")

    result = engine_data.run(settings, request, tmp_path / "outro")

    whole = pipeline.run(settings, request)
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    assert list((tmp_path / "staging").iterdir()) == []


def test_the_folder_of_a_living_run_is_left_alone(
    driver: Driver, databases: Databases, tmp_path: Path
) -> None:
    driver.start()
    driver.until("auth_logs")
    settings = engine_data.settings(databases, tmp_path / "staging")

    engine_data.run(settings, engine_data.request(settings, "card"), tmp_path / "outro")

    assert len(list((tmp_path / "staging").iterdir())) == 1
    driver.until("done")


def test_a_full_disk_under_the_staged_records_is_one_sentence(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = engine_data.settings(databases, tmp_path / "staging")

    def fill_up(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chunked, "_staged", fill_up)

    with pytest.raises(ReportError, match=pattern(staging.UNUSABLE)):
        engine_data.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")

    assert list((tmp_path / "staging").iterdir()) == []


class Twice:
    """Repeats each task in this process, as after a worker that dies just after a task."""

    def each(
        self, job: Job, work: Callable[[Job, Any], Any], tasks: Iterable[Any]
    ) -> Iterator[Any]:
        for task in list(tasks):
            work(job, task)
            yield task, work(job, task)


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_every_task_can_be_repeated(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    engine_data.fill(databases, 2_000)
    monkeypatch.setattr(process_pool, "started", lambda count: nullcontext(Twice()))
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=2, memory_limit="40 MB"
    )
    request = engine_data.request(settings, rule)

    result = engine_data.run(settings, request, tmp_path / "resultado")

    whole = pipeline.run(settings, request)
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)


# As without memory for the stack of the pool's own thread.
_NO_THREAD = """
import concurrent.futures.process as pools
from lib.engines import process_pool

def refuse(thread):
    raise RuntimeError("can't start new thread")

if __name__ == "__main__":
    pools._ExecutorManagerThread.start = refuse
    with process_pool.started(2):
        pass
"""


def test_a_pool_that_cannot_start_leaves_no_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _NO_THREAD],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stderr.splitlines()[-1] == "RuntimeError: can't start new thread"


@pytest.mark.parametrize(
    "problem", [pa.ArrowMemoryError("malloc failed"), RuntimeError("can't start new thread")]
)
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_workers_without_enough_memory_are_one_sentence(
    databases: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    problem: Exception,
    words: tuple[str, ...],
) -> None:
    def run_out(*_: Any) -> Any:
        raise problem

    monkeypatch.setattr(chunked, "_staged", run_out)
    command = Command(databases, tmp_path, capsys)
    engine = {"kind": "chunked", "workers": 1, "staging_dir": str(tmp_path / "staging")}

    run = command.run(*words, engine=engine)

    assert run.code == main.FAILED
    assert run.sentence == runner.NO_MEMORY
    assert command.target.read_bytes() == PREVIOUS
    assert list((tmp_path / "staging").iterdir()) == []


def test_no_process_loads_beside_a_run_without_the_memory_for_both(
    databases: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[bool] = []
    monkeypatch.setattr(process_pool, "prepare", lambda: started.append(True))
    monkeypatch.setattr(container, "free_bytes", lambda: memory.FIRST_BYTES - 1)
    command = Command(databases, tmp_path, capsys)
    command.refused(engine={"kind": "chunked", "workers": 3})
    assert not started
