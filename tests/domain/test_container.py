"""Limits of memory and processors, as a container's control groups state them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from lib import pipeline
from lib.cli import main
from lib.config import defaults, loader
from lib.config.settings import ROOT, Engine
from lib.domain import container, memory
from lib.domain.errors import ExtractionError
from lib.engines import process_pool, runner
from tests.support import faults
from tests.support.command import configured, finish, soon, start
from tests.support.sentences import pattern, says
from tests.support.servers import Databases

MIB = 1 << 20
SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}

V2 = {"proc/self/cgroup": "0::/\n"}
V2_NESTED = {"proc/self/cgroup": "0::/pod/run\n"}
V1 = {"proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"}


def machine(root: Path, *parts: dict[str, str]) -> Path:
    """A root folder with these files."""
    for part in parts:
        for name, text in part.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {**V2, "sys/fs/cgroup/memory.max": f"{300 * MIB}\n"},
        {**V2_NESTED, "sys/fs/cgroup/pod/memory.max": f"{300 * MIB}\n"},
        {
            **V2_NESTED,
            "sys/fs/cgroup/pod/memory.max": f"{300 * MIB}\n",
            "sys/fs/cgroup/pod/run/memory.max": "max\n",
        },
        {**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{300 * MIB}\n"},
        {**V1, "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{300 * MIB}\n"},
        {**V2, "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.high": f"{300 * MIB}\n"},
        {
            **V1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.stat": f"cache 0\nhierarchical_memory_limit {300 * MIB}\n",
        },
        {"sys/fs/cgroup/memory.max": f"{300 * MIB}\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{300 * MIB}\n"},
        {
            "proc/self/cgroup": "0::/system.slice/relatório.service\n",
            "sys/fs/cgroup/system.slice/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/relatório.service/memory.max": f"{300 * MIB}\n",
        },
        {  # a process outside its own view of the groups
            "proc/self/cgroup": "0::/../run\n",
            "sys/fs/cgroup/memory.max": f"{300 * MIB}\n",
        },
        {  # both versions at once
            "proc/self/cgroup": "9:memory:/a\n1:name=systemd:/a\n0::/a\n",
            "sys/fs/cgroup/unified/a/memory.max": "max\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{300 * MIB}\n",
        },
    ],
)
def test_the_memory_is_the_containers(tmp_path: Path, files: dict[str, str]) -> None:
    assert container.memory_bytes(machine(tmp_path, files)) == 300 * MIB


@pytest.mark.parametrize(
    "files",
    [
        {},
        {**V2, "sys/fs/cgroup/memory.max": "max\n"},
        {**V2, "sys/fs/cgroup/memory.max": "nonsense"},
        {**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
        {"proc/self/cgroup": "no group at all"},
    ],
)
def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path, files: dict[str, str]) -> None:
    root = machine(tmp_path, files)
    assert container.memory_bytes(root) == psutil.virtual_memory().total
    assert container.free_bytes(root) is None


def test_what_the_kernel_can_reclaim_counts_as_free(tmp_path: Path) -> None:
    used = {
        "memory.max": f"{300 * MIB}",
        "memory.current": f"{250 * MIB}",
        "memory.stat": f"anon {100 * MIB}\ninactive_file {120 * MIB}\n",
    }
    root = machine(tmp_path, V2, {f"sys/fs/cgroup/{name}": text for name, text in used.items()})
    assert container.free_bytes(root) == 170 * MIB


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({**V2, "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({**V2, "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "90000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({**V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({**V2, "sys/fs/cgroup/cpu.max": "1000\n"}, None),
        ({**V2, "sys/fs/cgroup/cpu.max": "0 0\n"}, None),
        ({**V2, "sys/fs/cgroup/cpu.max": "99999999999999999999 100000"}, None),
        ({"sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        (
            {
                **V2_NESTED,
                "sys/fs/cgroup/pod/cpu.max": "70000 100000\n",
                "sys/fs/cgroup/pod/run/cpu.max": "max 100000\n",
            },
            1,
        ),
        ({}, None),
    ],
)
def test_the_processors_are_the_containers(
    tmp_path: Path, files: dict[str, str], processors: int | None
) -> None:
    expected = processors or len(os.sched_getaffinity(0))
    assert container.processors(machine(tmp_path, files)) == expected


def test_a_process_bound_to_one_processor_has_one() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lib.domain import container; print(container.processors())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "1\n"


def test_a_system_without_affinity_has_the_machines_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert container.processors(tmp_path) == os.cpu_count()


def test_the_engines_take_their_share_from_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "memory_bytes", lambda: 400 * MIB)
    monkeypatch.setattr(container, "processors", lambda: 3)
    assert (Engine().memory_bytes, Engine().worker_count) == (200 * MIB, 3)


@pytest.mark.parametrize("free", [0, memory.LEAST_BYTES - 1, memory.FIRST_BYTES - 1])
def test_a_run_beyond_the_containers_memory_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: free)
    values: dict[str, Any] = {
        "merchants": {"12345678000195": "Loja"},
        "transactions": SOURCE,
        "auth_logs": SOURCE,
    }
    settings = loader.from_values(values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    with pytest.raises(ExtractionError, match=pattern(pipeline.NO_MEMORY)):
        pipeline.run(settings, request)


def test_workers_are_not_started_without_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: 2 * memory.LEAST_BYTES - 1)
    with pytest.raises(MemoryError), process_pool.started(2):
        pass


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of its own with a memory limit to be set, of either version."""
    for parent, limit in (("memory", "memory.limit_in_bytes"), (".", "memory.max")):
        # The name is this process's own: a group that an interrupted test left is in nobody's way.
        folder = Path("/sys/fs/cgroup", parent, f"mda-test-{os.getpid()}")
        with suppress(OSError):
            folder.mkdir()
        if (folder / limit).exists():
            yield folder / limit
            # The system clears away the workers of a killed run a moment later.
            processes = folder / "cgroup.procs"
            assert soon(lambda read=processes.read_text: not read())
            folder.rmdir()
            return
        with suppress(OSError):
            folder.rmdir()
    pytest.skip("needs a control group with the memory controller")


@pytest.mark.system
@pytest.mark.parametrize("kind", ["memory", "chunked"])
def test_a_run_within_a_real_limit_says_what_is_missing_and_is_not_killed(
    databases: Databases, tmp_path: Path, group: Path, kind: str
) -> None:
    faults.fill(databases, 100_000)
    engine = {"kind": kind, "workers": 2, "staging_dir": str(tmp_path / "staging")}
    file = configured(tmp_path, databases.values, engine=engine)
    words = ("--config", str(file), "--output", str(tmp_path / "r.xlsx"), *faults.PERIOD)
    join = ("sh", "-c", f'echo $$ > {group.with_name("cgroup.procs")} && exec "$@"', "sh")
    for mebibytes in (100, 140, 170, 250):
        group.write_text(str(mebibytes * MIB))
        result = finish(start(*words, prefix=join))
        assert result.code in (main.DONE, main.FAILED), (mebibytes, result)
        assert result.code == main.DONE or any(
            says(result.sentence, template)
            for template in (pipeline.NO_MEMORY, runner.NO_MEMORY, process_pool.DIED)
        ), (mebibytes, result)


def test_matching_is_not_begun_without_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: 1000)
    memory.require(1000)
    with pytest.raises(MemoryError):
        memory.require(1001)


def test_two_steps_at_once_do_not_count_on_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: 1000)
    with memory.reserved(600):
        memory.require(400)
        with pytest.raises(MemoryError), memory.reserved(401):
            pass
    memory.require(1000)
