"""Runs under a limit of address space: they succeed, or fail with one sentence.

Limits count from what the interpreter and the libraries take on this machine, in units of the
free memory that a run checks for before it begins.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lib import pipeline
from lib.config.settings import ROOT
from lib.database.socket_timeout import Watchdog
from lib.domain import memory
from lib.engines import process_pool, runner
from lib.reports import description, verification
from tests.support.command import configured
from tests.support.servers import Databases

pytestmark = pytest.mark.fault

resource = pytest.importorskip("resource", reason="this system has no limits of address space")

ROWS = 100_000
LIMITED = """
import resource, sys
from pathlib import Path
import pandas, psycopg2, pyarrow, sqlalchemy
from lib.cli import main

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main.main(sys.argv[1:]))
"""
_CARD = "'400000' || lpad((n % 20000)::text, 10, '0')"
_AT = "date '2026-06-01' + n % 5, time '10:00' + (n % 3600) * interval '1 second'"


@pytest.fixture
def configuration(databases: Databases, tmp_path: Path) -> Path:
    """A configuration for one hundred thousand records a side."""
    numbers = f"FROM generate_series(1, {ROWS}) AS n"
    databases.execute(
        "transactions",
        f"INSERT INTO transactions SELECT {_CARD}, {_AT}, '12345678000190', NULL, n / 100.0 "
        + numbers,
    )
    databases.execute(
        "auth_logs",
        f"INSERT INTO authentication.transaction_logs SELECT {_CARD}, {_AT}, '00', "
        f"'Compra aprovada ' || n, '0100012345678000190' {numbers}",
    )
    return configured(tmp_path, databases.values, engine={"kind": "memory"})


def limited(configuration: Path, target: Path, share: float) -> subprocess.CompletedProcess[str]:
    """Run the command line with this share of `memory.START_BYTES` beside its libraries."""
    spare = str(int(share * memory.START_BYTES))
    options = ["--start", "2026-06-01", "--end", "2026-06-05", "--output", str(target)]
    return subprocess.run(
        [sys.executable, "-c", LIMITED, spare, "--config", str(configuration), *options],
        cwd=ROOT,
        # Otherwise each processor of the machine takes a share of the address space.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_a_hundred_thousand_records_fit_their_budget(configuration: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.xlsx"
    run = limited(configuration, target, 2.0)
    assert run.returncode == 0, run.stderr
    assert verification.properties(target)[description.CONSOLIDADAS] == f"{ROWS}"


def refusal(configuration: Path, folder: Path, share: float) -> str:
    """The sentence of a run that this share of its budget ends, its previous report kept."""
    target = folder / "report.xlsx"
    target.write_bytes(b"the previous report")
    run = limited(configuration, target, share)
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    assert "Traceback" not in run.stderr
    assert "panicked" not in run.stderr
    assert target.read_bytes() == b"the previous report"
    # The lines before are a warning about the merchant's CNPJ and the stages.
    return run.stderr.splitlines()[-1]


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_a_run_that_does_not_fit_ends_with_one_sentence(
    configuration: Path, tmp_path: Path, share: float
) -> None:
    assert refusal(configuration, tmp_path, share) == pipeline.NO_MEMORY


@pytest.fixture
def chunked(configuration: Path, databases: Databases, tmp_path: Path) -> Path:
    """The same records with the chunked engine."""
    staging = str(tmp_path / "staging")
    engine = {"kind": "chunked", "workers": 2, "staging_dir": staging}
    return configured(tmp_path, databases.values, engine=engine)


@pytest.mark.parametrize("share", [0.3, 0.45])
def test_workers_that_do_not_fit_end_the_run_with_one_sentence(
    chunked: Path, tmp_path: Path, share: float
) -> None:
    assert refusal(chunked, tmp_path, share) == runner.NO_MEMORY


def test_workers_fit_although_their_allocator_reserves_memory_at_once(
    chunked: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.xlsx"
    run = limited(chunked, target, 2.2)
    assert run.returncode == 0, run.stderr
    assert verification.properties(target)[description.CONSOLIDADAS] == f"{ROWS}"


def test_a_fork_server_that_ends_is_a_shortage_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_answer(*_: object) -> None:
        raise EOFError

    monkeypatch.setattr(ProcessPoolExecutor, "submit", no_answer)
    with pytest.raises(MemoryError), process_pool.started(1):
        pass


def test_a_watchdog_without_a_thread_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ours, other = socket.socketpair()
    with ours, other, monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError), Watchdog(ours.fileno(), 60):
            pass
        ours.close()
        other.settimeout(5)
        assert other.recv(1) == b""
