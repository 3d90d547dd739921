"""The Spark engine gives what one process in memory gives; skipped where Spark cannot run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from lib import pipeline
from lib.cli import main
from lib.config.settings import ROOT
from lib.database import copy_reader
from lib.demo import servers
from lib.domain.errors import ConfigError, ContractError, ExtractionError
from lib.engines import parquet_result as results
from lib.engines import spark, spark_session
from lib.engines.spark_tasks import KEY_VARIABLE
from tests.support import cluster as clusters
from tests.support import engine_data
from tests.support.cluster import Cluster
from tests.support.command import soon
from tests.support.engine_driver import Driver, left_behind

if TYPE_CHECKING:
    from tests.support.servers import Databases

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.spark,
    pytest.mark.xdist_group("spark"),
]
WORKERS = 2
SECRET = "segredo-do-cluster"
DEFAULTS = f"""
spark.authenticate true
spark.authenticate.secret {SECRET}
spark.network.crypto.enabled true
spark.master.rest.enabled false
"""
TABLES = {"transactions": "transactions", "auth_logs": "authentication.transaction_logs"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configuration lies that workers load by themselves, each test's in its turn.

    Beside it that of Spark, whose machines know each other by a secret.
    """
    folder = tmp_path_factory.mktemp("spark")
    (folder / "spark-defaults.conf").write_text(DEFAULTS)
    return folder / "aggregator.toml"


@pytest.fixture(autouse=True)
def config_file(place: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Path:
    engine_data.write_config(databases, place)
    for name, value in environment(place).items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    with clusters.running(place.parent / "cluster", environment(place)) as found:
        yield found


def environment(place: Path) -> dict[str, str]:
    """What the driver and every machine of a cluster have in theirs."""
    return {
        "AGGREGATOR_CONFIG": str(place),
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # starts in half the time
        "SPARK_CONF_DIR": str(place.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        KEY_VARIABLE: copy_reader.KEY.hex(),
    }


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_spark_gives_every_cell_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path, rule: str
) -> None:
    engine_data.fill(databases, 100_000)
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=WORKERS, memory_limit="200 MB", master="local[4]"
    )
    asked = engine_data.request(settings, rule)

    with connections(databases) as most:
        found = spark.run(settings, asked, tmp_path / "resultado")

    whole = pipeline.run(settings, asked)
    assert found.books == whole.books
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)
    assert 1 < max(most) <= WORKERS + 1, "readers, and who holds the snapshot"
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_executors_killed_in_each_phase_change_nothing(
    databases: Databases, tmp_path: Path, cluster: Cluster, rule: str
) -> None:
    engine_data.fill(databases, 20_000)
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=WORKERS, master=cluster.address
    )
    asked = engine_data.request(settings, rule)
    killed: list[str] = []

    def kill(stage: str, rows: int) -> None:
        executors = cluster.executors()
        if stage not in killed and executors:
            executors[0].kill()
            killed.append(stage)

    found = spark.run(settings, asked, tmp_path / "resultado", progress=kill)

    assert killed == ["transactions", "auth_logs", "matching", "writing"]
    whole = pipeline.run(settings, asked)
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)
    assert left_behind(tmp_path / "resultado", found) == []
    cluster.wait_until_idle()


def test_a_killed_driver_leaves_nothing_that_the_next_run_does_not_sweep(
    databases: Databases, tmp_path: Path, cluster: Cluster
) -> None:
    engine_data.fill(databases, 5_000)
    settings = engine_data.settings(databases, tmp_path / "staging")
    whole = pipeline.run(settings, engine_data.request(settings, "card")).reconciliation
    driver = Driver(databases, tmp_path, "spark", master=cluster.address)

    for stage in ("auth_logs", "writing"):
        driver.start()
        driver.until(stage)
        driver.kill()
        assert not (driver.target / results.MANIFEST).exists()
        cluster.wait_until_idle()
    driver.start()

    assert driver.digest() == engine_data.digest(whole)
    assert left_behind(driver.target, results.open_result(driver.target)) == []
    assert list((tmp_path / "staging").iterdir()) == []
    cluster.wait_until_idle()


def test_neither_the_key_nor_a_password_is_in_what_spark_is_told_or_writes_down(
    databases: Databases,
    tmp_path: Path,
    config_file: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine_data.fill(databases, 500)
    for side in ("transactions", "auth_logs"):
        databases.values[side]["password"] = "nunca-mostrada"
    engine_data.write_config(databases, config_file)
    for name in ("conf", "events"):
        (tmp_path / name).mkdir()
    kept = f"spark.eventLog.enabled true\nspark.eventLog.dir {tmp_path / 'events'}\n"
    (tmp_path / "conf" / "spark-defaults.conf").write_text(DEFAULTS + kept)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))
    settings = engine_data.settings(databases, tmp_path / "staging", master=cluster.address)
    commands: set[str] = set()

    def look(stage: str, rows: int) -> None:
        commands.update(" ".join(process.cmdline()) for process in cluster.executors())

    spark.run(
        settings, engine_data.request(settings, "card"), tmp_path / "resultado", progress=look
    )

    folders = (tmp_path / "events", cluster.folder)
    written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    said = "\n".join([*commands, *(path.read_bytes().decode("latin-1") for path in written)])
    assert commands
    assert "SparkListenerApplicationEnd" in said
    assert copy_reader.KEY.hex() not in said
    assert "nunca-mostrada" not in said
    assert SECRET not in said


def test_what_a_worker_cannot_read_is_told_as_ever(
    databases: Databases, tmp_path: Path, config_file: Path, cluster: Cluster
) -> None:
    engine_data.fill(databases, 500)
    query = tmp_path / "minha.sql"
    query.write_text(
        "SELECT '' AS num_cpf, card_number AS num_cartao, '' AS num_cartao_virtual, "
        "transaction_date AS data_transa, transaction_time AS hora_transa, "
        "card_number::bigint / (amount - amount) AS vlr_total, merchant_id AS des_cnpj_reduzido "
        "FROM transactions WHERE merchant_id = :merchant AND transaction_date <= :end "
        "AND transaction_date >= :start"
    )
    databases.values["transactions"]["query_file"] = str(query)
    engine_data.write_config(databases, config_file)
    settings = engine_data.settings(databases, tmp_path / "staging", master=cluster.address)

    with pytest.raises(ContractError, match="transactions: um valor não tem o tipo do contrato"):
        spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")

    cluster.wait_until_idle()


def test_a_machine_with_another_key_is_refused(
    databases: Databases, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    settings = engine_data.settings(databases, tmp_path / "staging", master=cluster.address)

    with pytest.raises(ConfigError, match=f"não tem em {KEY_VARIABLE} a mesma chave"):
        spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")


@pytest.mark.parametrize("sides", [(), ("transactions",), ("auth_logs",)])
def test_a_side_without_records_is_a_result_too(
    databases: Databases, tmp_path: Path, sides: tuple[str, ...]
) -> None:
    engine_data.fill(databases, 300)
    for side, table in TABLES.items():
        if side not in sides:
            databases.execute(side, f"TRUNCATE {table}")
    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")
    asked = engine_data.request(settings, "card_time")

    found = spark.run(settings, asked, tmp_path / "resultado")

    whole = pipeline.run(settings, asked)
    assert found.books == whole.books
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)


def test_machines_with_another_configuration_are_refused(
    databases: Databases, tmp_path: Path, config_file: Path
) -> None:
    engine_data.fill(databases, 300)
    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")
    config_file.write_text("[aggregator]\nvirtual_prefix_length = 0\n" + config_file.read_text())

    with pytest.raises(ConfigError, match="em AGGREGATOR_CONFIG outra configuração"):
        spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")


def test_the_command_line_gives_its_configuration_to_the_workers(
    databases: Databases, tmp_path: Path, config_file: Path
) -> None:
    engine_data.fill(databases, 300)
    process = commanded(config_file, tmp_path)

    out, err = process.communicate(timeout=280)

    assert process.returncode == main.DONE, err
    assert out.endswith("Planilha 'r.xlsx' gerada com sucesso.\n")
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
        while "Lendo" not in process.stderr.readline():
            pass
    family = itself.children(recursive=True)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)

    assert process.returncode == main.INTERRUPTED
    assert [line for line in err.splitlines() if not line.startswith(("Lendo", "Atenção"))] == [
        "Interrompido; a planilha anterior continua intacta."
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
    place = folder / "outra.toml"
    place.write_text("\n".join([config_file.read_text(), *lines]))
    environment = {k: v for k, v in os.environ.items() if k != "AGGREGATOR_CONFIG"}
    period = ["--start", engine_data.START.isoformat(), "--end", engine_data.END.isoformat()]
    return subprocess.Popen(
        [sys.executable, "aggregator.py", "--config", str(place), *period]
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
        with pytest.raises(ConfigError, match="não deu nenhum processo de trabalho em 1 segundos"):
            spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")


def test_a_cluster_without_the_key_is_refused_before_anything_is_read(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    settings = engine_data.settings(databases, tmp_path, master="spark://127.0.0.1:1")

    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        spark.run(settings, engine_data.request(settings, "card"), tmp_path / "resultado")


def test_a_machine_without_java_is_told_what_spark_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with (
        pytest.raises(ConfigError, match=r"precisa de pyspark e de Java 17"),
        spark_session.opened("local[1]", tmp_path),
    ):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "127.0.0.1:{port},[::1]:{port}", "nada"])
def test_a_master_that_does_not_answer_is_one_sentence(tmp_path: Path, address: str) -> None:
    master = f"spark://{address.format(port=clusters.free_port())}"

    with (
        pytest.raises(ConfigError, match="não atendeu; confira master") as refused,
        spark_session.opened(master, tmp_path),
    ):
        pass

    assert str(refused.value).startswith(f"O Spark em {master} ")


def test_a_java_machine_that_dies_is_one_sentence(
    databases: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from pyspark import SparkContext

    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")

    def kill(stage: str, rows: int) -> None:
        SparkContext._gateway.proc.kill()

    with pytest.raises(ExtractionError, match="não concluiu o trabalho e nada foi publicado"):
        spark.run(
            settings, engine_data.request(settings, "card"), tmp_path / "resultado", progress=kill
        )

    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "staging").iterdir()) == []


@contextmanager
def connections(databases: Databases) -> Iterator[list[int]]:
    """How many sessions the transactions' database had, looked at again and again."""
    over = threading.Event()
    most: list[int] = []

    def look() -> None:
        source = databases.values["transactions"]
        with closing(servers.connect(source)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not over.wait(0.02):
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s",
                    (source["database"],),
                )
                most.append(cursor.fetchone()[0])

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()
