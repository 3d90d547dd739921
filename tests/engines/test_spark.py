"""The Spark engine gives the same cells as a reconciliation in memory; skipped without Spark."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lib import pipeline
from lib.database import copy_reader, error_translation
from lib.demo import servers
from lib.domain.errors import ConfigError, ContractError
from lib.engines import parquet_result, result_index, spark_tasks
from lib.engines.spark_tasks import KEY_VARIABLE
from tests.support import engine_data
from tests.support.cluster import Cluster
from tests.support.engine_driver import Driver, leftovers
from tests.support.sentences import pattern
from tests.support.spark import DEFAULTS, SECRET, run

if TYPE_CHECKING:
    from lib.domain.requests import Side
    from tests.support.servers import Databases

pytestmark = [
    pytest.mark.usefixtures("config_file"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.spark,
    pytest.mark.xdist_group("spark"),
]
WORKERS = 2
TABLES = {"transactions": "transactions", "auth_logs": "authentication.transaction_logs"}


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_spark_gives_every_cell_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path, rule: str
) -> None:
    engine_data.fill(databases, 100_000)
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=WORKERS, memory_limit="200 MB", master="local[4]"
    )
    request = engine_data.request(settings, rule)

    with connections(databases) as counts:
        result = run(settings, tmp_path, rule)

    whole = pipeline.run(settings, request)
    assert result.books == whole.books
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    assert 1 < max(counts) <= WORKERS + 1, "readers, and the session that holds the snapshot"
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_executors_killed_in_each_phase_change_nothing(
    databases: Databases, tmp_path: Path, cluster: Cluster, rule: str
) -> None:
    engine_data.fill(databases, 20_000)
    settings = engine_data.settings(
        databases, tmp_path / "staging", workers=WORKERS, master=cluster.address
    )
    request = engine_data.request(settings, rule)
    killed: list[str] = []

    def kill(stage: str, rows: int) -> None:
        executors = cluster.executors()
        if stage not in killed and executors:
            executors[0].kill()
            killed.append(stage)

    result = run(settings, tmp_path, rule, progress=kill)

    assert killed == ["transactions", "auth_logs", "matching", "writing"]
    whole = pipeline.run(settings, request)
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    assert leftovers(tmp_path / "resultado", result) == []
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
        assert not (driver.target / result_index.MANIFEST).exists()
        cluster.wait_until_idle()
    driver.start()

    assert driver.digest() == engine_data.digest(whole)
    assert leftovers(driver.target, parquet_result.open_result(driver.target)) == []
    assert list((tmp_path / "staging").iterdir()) == []
    cluster.wait_until_idle()


def test_spark_is_given_and_writes_neither_the_key_nor_a_password(
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
    event_log = f"spark.eventLog.enabled true\nspark.eventLog.dir {tmp_path / 'events'}\n"
    (tmp_path / "conf" / "spark-defaults.conf").write_text(DEFAULTS + event_log)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))
    settings = engine_data.settings(databases, tmp_path / "staging", master=cluster.address)
    commands: set[str] = set()

    def look(stage: str, rows: int) -> None:
        commands.update(" ".join(process.cmdline()) for process in cluster.executors())

    run(settings, tmp_path, progress=look)

    folders = (tmp_path / "events", cluster.folder)
    written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    text = "\n".join([*commands, *(path.read_bytes().decode("latin-1") for path in written)])
    assert commands
    assert "SparkListenerApplicationEnd" in text
    assert copy_reader.KEY.hex() not in text
    assert "nunca-mostrada" not in text
    assert SECRET not in text


def test_an_unreadable_value_is_the_same_error_as_in_memory(
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

    template = error_translation.BY_STATE["22012"].replace("{side}", "transactions")
    with pytest.raises(ContractError, match=pattern(template)):
        run(settings, tmp_path)

    cluster.wait_until_idle()


def test_a_machine_with_another_key_is_refused(
    databases: Databases, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    settings = engine_data.settings(databases, tmp_path / "staging", master=cluster.address)

    with pytest.raises(ConfigError, match=spark_tasks.OTHER_KEY.format(name=KEY_VARIABLE)):
        run(settings, tmp_path)


@pytest.mark.parametrize("sides", [(), ("transactions",), ("auth_logs",)])
def test_a_side_without_records_is_a_result_too(
    databases: Databases, tmp_path: Path, sides: tuple[str, ...]
) -> None:
    engine_data.fill(databases, 300)
    for side, table in TABLES.items():
        if side not in sides:
            databases.execute(side, f"TRUNCATE {table}")
    settings = engine_data.settings(databases, tmp_path / "staging", master="local[1]")
    request = engine_data.request(settings, "card_time")

    result = run(settings, tmp_path, "card_time")

    whole = pipeline.run(settings, request)
    assert result.books == whole.books
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)


@pytest.mark.parametrize("side", ["transactions", "auth_logs"])
def test_a_reload_that_waits_behind_the_snapshot_is_let_through_and_read_whole(
    databases: Databases, tmp_path: Path, side: Side
) -> None:
    engine_data.fill(databases, 2_000)
    settings = engine_data.settings(databases, tmp_path / "staging", master="local[2]")

    with engine_data.reload_at(databases, side, 1_200) as progress:
        result = run(settings, tmp_path, progress=progress)

    after = pipeline.run(settings, engine_data.request(settings, "card"))
    assert engine_data.digest(result) == engine_data.digest(after.reconciliation)


@contextmanager
def connections(databases: Databases) -> Iterator[list[int]]:
    """The numbers of sessions on the transactions' database, sampled during the block."""
    over = threading.Event()
    counts: list[int] = []

    def sample() -> None:
        source = databases.values["transactions"]
        with closing(servers.connect(source)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not over.wait(0.02):
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = %s AND backend_type = 'client backend'",
                    (source["database"],),
                )
                counts.append(cursor.fetchone()[0])

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield counts
    finally:
        over.set()
        sampler.join()
