"""The Spark engine gives what one process in memory gives; skipped where Spark cannot run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from lib import extraction, pipeline
from lib.engines import result as results
from lib.engines import spark
from lib.engines.spark_tasks import KEY_VARIABLE
from lib.errors import ConfigError
from lib.settings import ROOT
from tests import engine_data

if TYPE_CHECKING:
    from tests.servers import Databases

pyspark = pytest.importorskip("pyspark", reason="requirements-spark.txt is not installed")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One path for all tests: a Java machine keeps the environment it was started with."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("spark") / "aggregator.toml"
        patch.setenv("AGGREGATOR_CONFIG", str(path))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
        patch.setenv(KEY_VARIABLE, extraction.KEY.hex())
        yield path


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_spark_gives_every_cell_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path, config_file: Path, rule: str
) -> None:
    engine_data.fill(databases, 20_000)
    engine_data.write_config(databases, config_file)
    settings = engine_data.settings(
        databases, tmp_path, workers=2, memory_limit="40 MB", master="local[2]"
    )
    asked = engine_data.request(settings, rule)

    found = spark.run(settings, asked, tmp_path / "resultado")

    whole = pipeline.run(settings, asked)
    assert found.books == whole.books
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)


@pytest.fixture
def cluster(config_file: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a standalone master with two workers, each a process of its own."""
    started = Path(pyspark.__file__).parent / "bin" / "spark-class"
    port, place = free_port(), {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_WORKER_DIR": str(tmp_path)}
    address = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    commands = [
        [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port)],
        *[[f"{deploy}.worker.Worker", "-c", "1", "-m", "1g", address] for _ in range(2)],
    ]
    with ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((tmp_path / f"{command[0]}.log").open("a"))
            process = stack.enter_context(
                subprocess.Popen(
                    [str(started), *command], env=os.environ | place, stdout=log, stderr=log
                )
            )
            stack.callback(process.terminate)
        yield address


def test_a_cluster_whose_executor_is_killed_gives_the_same_answer(
    databases: Databases, tmp_path: Path, config_file: Path, cluster: str
) -> None:
    engine_data.fill(databases, 20_000)
    engine_data.write_config(databases, config_file)
    settings = engine_data.settings(
        databases, tmp_path, workers=2, memory_limit="40 MB", master=cluster
    )
    asked = engine_data.request(settings, "card")
    killed: list[str] = []

    def kill(stage: str, rows: int) -> None:
        executors = [p for p in psutil.process_iter(["cmdline"]) if is_executor(p, cluster)]
        if rows and executors:
            executors[0].kill()
            killed.append(stage)

    found = spark.run(settings, asked, tmp_path / "resultado", progress=kill)

    assert killed == ["transactions", "auth_logs", "matching", "writing"]
    whole = pipeline.run(settings, asked)
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)
    names = {entry.name for entry in (tmp_path / "resultado").iterdir()}
    assert names == {results.MANIFEST, found.version}


def test_a_cluster_without_the_key_is_refused_before_anything_is_read(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    settings = engine_data.settings(databases, tmp_path, master="spark://127.0.0.1:1")

    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")


# A process of its own: one that has a Java machine keeps it.
_STARTS = """
import sys
from lib.engines import spark_session
from lib.errors import ConfigError

try:
    with spark_session.opened(sys.argv[1]):
        pass
except ConfigError as problem:
    print(problem)
"""


def started(master: str, **place: str) -> str:
    """What the last line of starting a session says."""
    ended = subprocess.run(
        [sys.executable, "-c", _STARTS, master],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1"} | place,
        stdout=subprocess.PIPE,
        text=True,
        timeout=280,
    )
    return (ended.stdout.splitlines() or [""])[-1]


def test_a_machine_without_java_is_told_what_spark_needs(tmp_path: Path) -> None:
    assert "precisa de pyspark e de Java 17" in started("local[1]", JAVA_HOME=str(tmp_path))


def test_a_master_that_does_not_answer_is_one_sentence() -> None:
    master = f"spark://127.0.0.1:{free_port()}"
    assert started(master).startswith(f"O Spark em {master} não atendeu")


def is_executor(process: psutil.Process, address: str) -> bool:
    """Whether it is a Java executor that a worker of this cluster started."""
    words = process.info["cmdline"] or []
    if not any("CoarseGrainedExecutorBackend" in word for word in words):
        return False
    try:
        parent = process.parent()
        return parent is not None and address in parent.cmdline()
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    """A port nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
