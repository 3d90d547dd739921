"""A Spark cluster on this machine: a standalone master and its workers, each a process.

Importing this module skips the importing tests where Spark is not installed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port

pyspark = pytest.importorskip("pyspark", reason="requirements-spark.txt is not installed")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17", allow_module_level=True)

_DEPLOY = "org.apache.spark.deploy"
_STARTS = Path(pyspark.__file__).parent / "bin" / "spark-class"


@dataclass(frozen=True)
class Cluster:
    """The address of a running master, and the folder that its workers write to."""

    address: str
    folder: Path

    def executors(self) -> list[psutil.Process]:
        """The Java processes that this cluster's workers have started."""
        return [p for p in psutil.process_iter(["cmdline"]) if self._started(p)]

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until all executors have ended and their spilled files are gone."""
        deadline = time.monotonic() + seconds
        while self.executors() or self.spilled():
            assert time.monotonic() < deadline, (self.executors(), self.spilled())
            time.sleep(0.2)

    def spilled(self) -> list[Path]:
        """The files that executors have spilled."""
        return [path for path in (self.folder / "local").rglob("*") if path.is_file()]

    def _started(self, process: psutil.Process) -> bool:
        words = process.info["cmdline"] or []
        if not any("CoarseGrainedExecutorBackend" in word for word in words):
            return False
        with suppress(psutil.NoSuchProcess):
            parent = process.parent()
            return parent is not None and self.address in parent.cmdline()
        return False


@contextmanager
def running(folder: Path, environment: Mapping[str, str], *, workers: int = 2) -> Iterator[Cluster]:
    """A cluster whose processes get this environment; it ends with the block."""
    folder.mkdir()
    cluster = Cluster(f"spark://127.0.0.1:{free_port()}", folder)
    variables = (
        os.environ
        | environment
        | {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": str(folder / "work"),
            "SPARK_LOCAL_DIRS": str(folder / "local"),
        }
    )
    port = cluster.address.rpartition(":")[2]
    commands = [[f"{_DEPLOY}.master.Master", "--host", "127.0.0.1", "--port", port]]
    worker = [f"{_DEPLOY}.worker.Worker", "-c", "1", "-m", "1g", cluster.address]
    commands += [worker] * workers
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((folder / f"{number}.log").open("w"))
            process = stack.enter_context(
                subprocess.Popen([str(_STARTS), *command], env=variables, stdout=log, stderr=log)
            )
            stack.callback(process.terminate)
            _wait_for(int(port))
        yield cluster


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the master does not listen"
            time.sleep(0.2)
