"""Spark from the command line, and machines that it refuses or loses; skipped without Spark."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from lib.cli import main, progress
from lib.cli import run as scheduled
from lib.config import loader
from lib.config.settings import ROOT
from lib.domain.errors import ConfigError, ExtractionError
from lib.engines import spark, spark_session, spark_tasks
from lib.engines.spark_tasks import KEY_VARIABLE
from tests.support import cluster as clusters
from tests.support import engine_data
from tests.support.command import soon
from tests.support.ports import free_port
from tests.support.sentences import pattern
from tests.support.spark import environment, run

if TYPE_CHECKING:
    from tests.support.servers import Databases

pytestmark = [
    pytest.mark.usefixtures("config_file"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.spark,
    pytest.mark.xdist_group("spark"),
]


def test_machines_with_another_configuration_are_refused(
    databases: Databases, tmp_path: Path, config_file: Path
) -> None:
    engine_data.fill(databases, 300)
    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")
    config_file.write_text("[aggregator]\nvirtual_prefix_length = 0\n" + config_file.read_text())

    with pytest.raises(
        ConfigError, match=spark_tasks.OTHER_SETTINGS.format(name=loader.FILE_VARIABLE)
    ):
        run(settings, tmp_path)


def test_the_command_line_gives_its_configuration_to_the_workers(
    databases: Databases, tmp_path: Path, config_file: Path
) -> None:
    engine_data.fill(databases, 300)
    process = commanded(config_file, tmp_path)

    out, err = process.communicate(timeout=280)

    assert process.returncode == main.DONE, err
    assert out.splitlines()[-1] == scheduled.WRITTEN.format(name="r.xlsx")
    assert "WARN" not in err


@pytest.mark.parametrize("moment", ["starting", "reading"])
def test_an_interruption_is_one_sentence_and_leaves_no_process(
    databases: Databases, tmp_path: Path, config_file: Path, moment: str
) -> None:
    engine_data.fill(databases, 20_000)
    process = commanded(config_file, tmp_path)
    itself = psutil.Process(process.pid)
    assert soon(lambda: any("java" in child.name() for child in itself.children(recursive=True)))
    if moment == "reading":
        assert process.stderr is not None
        while progress.STAGES["transactions"] not in process.stderr.readline():
            pass
    family = itself.children(recursive=True)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)

    assert process.returncode == main.INTERRUPTED
    stages = (*progress.STAGES.values(), "Atenção")
    assert [line for line in err.splitlines() if not line.startswith(stages)] == [
        main.INTERRUPTED_SENTENCE
    ]
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert list((tmp_path / "staging").iterdir()) == []


def commanded(config_file: Path, folder: Path) -> subprocess.Popen[str]:
    """The command line on this configuration, by Spark on this machine."""
    engine = {"kind": "spark", "master": "local[1]", "staging_dir": str(folder / "staging")}
    lines = [
        "[aggregator.engine]",
        *(f"{key} = {json.dumps(value)}" for key, value in engine.items()),
    ]
    copy = folder / "outra.toml"
    copy.write_text("\n".join([config_file.read_text(), *lines]))
    environment = {k: v for k, v in os.environ.items() if k != "AGGREGATOR_CONFIG"}
    period = ["--start", engine_data.START.isoformat(), "--end", engine_data.END.isoformat()]
    return subprocess.Popen(
        [sys.executable, "aggregator.py", "--config", str(copy), *period]
        + ["--output", str(folder / "r.xlsx")],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_cluster_without_machines_is_one_sentence(
    databases: Databases, tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_session, "_WORKERS_SECONDS", 1.0)
    with clusters.running(tmp_path / "cluster", environment(config_file), workers=0) as lonely:
        settings = engine_data.settings(databases, tmp_path / "staging", master=lonely.address)
        with pytest.raises(ConfigError, match=pattern(spark_session.NO_WORKERS)):
            run(settings, tmp_path)


def test_a_cluster_without_the_key_is_refused_before_anything_is_read(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    settings = engine_data.settings(databases, tmp_path, master="spark://127.0.0.1:1")

    with pytest.raises(ConfigError, match=pattern(spark.NO_KEY)):
        run(settings, tmp_path)


def test_a_machine_without_java_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with (
        pytest.raises(ConfigError, match=pattern(spark_session.NOT_INSTALLED)),
        spark_session.opened("local[1]", tmp_path),
    ):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "127.0.0.1:{port},[::1]:{port}", "nada"])
def test_a_master_that_does_not_answer_is_one_sentence(tmp_path: Path, address: str) -> None:
    master = f"spark://{address.format(port=free_port())}"

    with (
        pytest.raises(ConfigError, match=re.escape(spark_session.NO_MASTER.format(master=master))),
        spark_session.opened(master, tmp_path),
    ):
        pass


def test_a_java_machine_that_dies_is_one_sentence(
    databases: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from pyspark import SparkContext

    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")

    def kill(stage: str, rows: int) -> None:
        SparkContext._gateway.proc.kill()

    with pytest.raises(ExtractionError, match=pattern(spark_session.LOST)):
        run(settings, tmp_path, progress=kill)

    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "staging").iterdir()) == []
