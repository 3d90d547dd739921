"""The chunked engine gives what one process in memory gives, to the last cell."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import pipeline
from lib.analysis import books
from lib.config import defaults
from lib.database import sessions, snapshots
from lib.domain import requests
from lib.domain.errors import BalanceError, ConfigError, TransientError
from lib.domain.reconciliation import Period, Rule
from lib.domain.requests import Window
from lib.engines import chunked, partition, partition_reader, result_tables, sizing
from lib.engines.job import Job, Slice, slices
from lib.engines.totals import Read, require_all, totals_of
from lib.matching.reconcile import reconcile
from tests.matching.test_matching_property import LOGS, TRANSACTIONS
from tests.support import engine_data
from tests.support.frames import Log, Transaction, logs_frame, transactions_frame

if TYPE_CHECKING:
    from tests.support.servers import Databases

DAY = date(2026, 2, 15)


class Here:
    """Workers that are this process."""

    def each(
        self, job: Job, work: Callable[[Job, Any], Any], tasks: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        return ((task, work(job, task)) for task in tasks)


# Each example writes some fifty files.
@settings(max_examples=40)
@given(
    TRANSACTIONS,
    LOGS,
    st.sampled_from(["card", "card_time"]),
    st.sampled_from([0, 60, 86_400]),
    st.sampled_from([1, 3]),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_any_number_of_buckets_gives_the_answer_of_one_matching(
    transactions: list[Transaction],
    logs: list[Log],
    rule: str,
    tolerance: int,
    buckets: int,
    age: int,
    shuffle: random.Random,
) -> None:
    first = DAY - timedelta(days=rule == "card")
    period = Period(first, DAY + timedelta(days=1), DAY + timedelta(days=1 + age))
    asked = Rule(rule, tolerance)
    whole = reconcile(transactions_frame(transactions), logs_frame(logs), period, asked)
    shuffle.shuffle(transactions)
    shuffle.shuffle(logs)
    folder = Path(tempfile.mkdtemp())
    try:
        found, read = in_buckets(folder, transactions, logs, period, asked, buckets)
        for name in result_tables.NAMES:
            parts = [matched(folder, part, name) for part in range(buckets)]
            rows = [row for part in parts for row in visible(part)]
            assert sorted(rows) == sorted(visible(engine_data.table_of(whole, name))), name
        totals = totals_of(found)
        require_all(read, totals.books)
        assert totals.books == books.books(whole)
    finally:
        shutil.rmtree(folder)


def in_buckets(
    folder: Path,
    transactions: list[Transaction],
    logs: list[Log],
    period: Period,
    rule: Rule,
    buckets: int,
) -> tuple[list[partition.Matched], Read]:
    """Everything the engine does between the databases and the result, in this process."""
    job = Job(
        settings=None,  # type: ignore[arg-type]
        window=Window(engine_data.MERCHANT, period.start, period.end),
        period=period,
        rule=rule,
        clear=False,
        folder=folder,
        buckets=buckets,
        key=b"",
        snapshots={},
    )
    staged, half = [], len(transactions) // 2
    for number, part in enumerate((transactions[:half], transactions[half:])):
        share = Slice("transactions", number, None, None)
        pieces = [as_read(transactions_frame(part, dictionary=False))] if part else []
        staged.append(partition_reader.keep_transactions(job, share, pieces))
    chunked.route(job, Here())
    share = Slice("auth_logs", 0, None, None)
    pieces = [as_read(logs_frame(logs, dictionary=False))] if logs else []
    logged = partition_reader.keep_auth_logs(job, share, pieces)
    newest = max(s.newest for s in staged)
    found = [partition.match(job, (number, newest, 1)) for number in range(buckets)]
    cents = sum(s.cents for s in staged)
    return found, Read(sum(s.inside for s in staged), logged.inside, cents, newest, "", buckets)


def as_read(frame: pd.DataFrame) -> pa.Table:
    return pa.table({name: pa.array(frame[name]) for name in frame.columns})


def matched(folder: Path, part: int, name: str) -> pa.Table:
    with pa.memory_map(str(folder / "matched" / str(part) / f"{name}.arrow")) as file:
        return pa.ipc.open_file(file).read_all()


def visible(table: pa.Table) -> list[str]:
    """The rows as a sheet shows them: NULL and empty text look alike."""
    return [str([v if v != "" else None for v in row.values()]) for row in table.to_pylist()]


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_the_chunked_engine_gives_every_cell_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path, rule: str
) -> None:
    engine_data.fill(databases, 100_000)
    configured = engine_data.settings(
        databases, tmp_path / "staging", workers=2, memory_limit="40 MB"
    )
    asked = engine_data.request(configured, rule)

    found = chunked.run(configured, asked, tmp_path / "resultado")

    whole = pipeline.run(configured, asked)
    assert found.books == whole.books
    assert found.books.duplicates > 0
    assert found.books.divergences > 0
    assert found.books.without_log > 0
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)
    for name in (result_tables.CONSOLIDATED, result_tables.DIVERGENCES):
        clock = slice(3, 5) if name == result_tables.CONSOLIDATED else slice(1, 3)
        for column in engine_data.table_of(found, name).column_names[clock]:
            ours = engine_data.table_of(found, name)[column]
            assert ours.equals(engine_data.table_of(whole.reconciliation, name)[column])
    pd.testing.assert_frame_equal(found.days, whole.by_day, check_dtype=False)
    pd.testing.assert_frame_equal(
        found.codes, books.by_response_code(whole.reconciliation), check_dtype=False
    )
    assert found.motivos == books.by_motivo(whole.reconciliation)
    assert list((tmp_path / "staging").iterdir()) == []


def test_records_that_arrive_while_it_reads_are_in_no_table(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 1_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    asked = engine_data.request(configured, "card")
    before = engine_data.digest(pipeline.run(configured, asked).reconciliation)

    def arrive(stage: str, rows: int) -> None:
        if stage in ("transactions", "auth_logs"):
            engine_data.fill(databases, 200)

    found = chunked.run(configured, asked, tmp_path / "resultado", progress=arrive)

    assert engine_data.digest(found) == before


def test_the_moment_is_held_where_the_server_ends_idle_transactions(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 500)
    configured = engine_data.settings(databases, tmp_path / "staging")
    for side in requests.SIDES:
        name = sessions.source_of(configured, side).database
        limit = "idle_in_transaction_session_timeout = '200ms'"
        databases.execute(side, f"ALTER DATABASE {name} SET {limit}")

    def dawdle(stage: str, rows: int) -> None:
        if stage == "auth_logs" and not rows:
            time.sleep(1)

    asked = engine_data.request(configured, "card")
    found = chunked.run(configured, asked, tmp_path / "resultado", progress=dawdle)

    assert found.books.transactions > 0


def test_a_snapshot_that_is_gone_is_told_and_may_be_asked_for_again(
    databases: Databases, tmp_path: Path
) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")
    with snapshots.export(configured, None) as names:
        gone = names["transactions"]

    with (
        pytest.raises(TransientError, match="o instante guardado da leitura se perdeu"),
        sessions.session(configured, "transactions", snapshot=gone),
    ):
        pass


def test_a_single_day_is_read_in_shares_of_hours(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    asked = defaults.request(configured, engine_data.END, start=DAY, end=DAY)
    shares = slices("transactions", requests.window_of(asked), 4)
    assert [share.until for share in shares] == [
        (DAY, 6 * 3600 - 1),
        (DAY, 12 * 3600 - 1),
        (DAY, 18 * 3600 - 1),
        None,
    ]

    found = chunked.run(configured, asked, tmp_path / "resultado")

    whole = pipeline.run(configured, asked)
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)


def test_a_query_that_gives_undated_records_has_each_once(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 500)
    undated = f"('4000001234560001', NULL, NULL, '{engine_data.MERCHANT}', NULL, 1)"
    databases.execute("transactions", f"INSERT INTO transactions VALUES {undated}, {undated}")
    query = tmp_path / "undated.sql"
    query.write_text(
        "SELECT NULL AS num_cpf, card_number AS num_cartao, virtual_card_number AS"
        " num_cartao_virtual, transaction_date AS data_transa, transaction_time AS hora_transa,"
        " amount AS vlr_total, merchant_id AS des_cnpj_reduzido FROM transactions"
        " WHERE transaction_date BETWEEN :start AND :end OR transaction_date IS NULL"
    )
    configured = engine_data.settings(databases, tmp_path / "staging", transactions_query=query)
    asked = engine_data.request(configured, "card")

    found = chunked.run(configured, asked, tmp_path / "resultado")

    whole = pipeline.run(configured, asked)
    assert found.books == whole.books
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)
    assert found.pieces[result_tables.WITHOUT_LOG][-1].day is None


def test_a_clear_result_has_the_raw_line_of_every_divergence(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 500)
    configured = engine_data.settings(databases, tmp_path / "staging")
    asked = engine_data.request(configured, "card")

    found = chunked.run(configured, asked, tmp_path / "resultado", clear=True)

    whole = pipeline.run(configured, asked, clear=True)
    assert found.clear
    assert engine_data.digest(found) == engine_data.digest(whole.reconciliation)


def test_a_period_without_records_has_tables_without_rows(
    databases: Databases, tmp_path: Path
) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")

    found = chunked.run(configured, engine_data.request(configured, "card"), tmp_path / "resultado")

    assert found.books.transactions == 0
    whole = pipeline.run(configured, engine_data.request(configured, "card"))
    for name in result_tables.NAMES:
        page = found.page(name, 0, 50)
        assert len(page) == 0
        assert page.column_names == list(result_tables.rows_of(whole.reconciliation, name).columns)


def test_books_that_do_not_hold_what_was_read_are_refused(
    databases: Databases, tmp_path: Path
) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")
    outcome = pipeline.run(configured, engine_data.request(configured, "card"))

    with pytest.raises(BalanceError, match="lido 1, conciliado 0"):
        require_all(Read(1, 0, 0, 0, "", 1), outcome.books)


def test_what_does_not_fit_the_memory_limit_is_chunked(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 20_000)
    databases.execute("transactions", "ANALYZE")
    databases.execute("auth_logs", "ANALYZE")
    small = engine_data.settings(databases, tmp_path, memory_limit="1 MB")
    large = engine_data.settings(databases, tmp_path, memory_limit="4 GB")
    told = engine_data.settings(databases, tmp_path, memory_limit="1 MB", kind="memory")
    window = requests.window_of(engine_data.request(small, "card"))

    assert sizing.kind(small, window) == "chunked"
    assert sizing.kind(large, window) == "memory"
    assert sizing.kind(told, window) == "memory"
    assert sizing.buckets(large, 16_000_000) == 4
    assert sizing.buckets(large, 10) == 1


@pytest.mark.parametrize("limit", ["4", 4, "4 TB", "0 GB", "-1 GB"])
def test_a_memory_limit_needs_a_unit(databases: Databases, tmp_path: Path, limit: object) -> None:
    with pytest.raises(ConfigError, match="memory_limit"):
        engine_data.settings(databases, tmp_path, memory_limit=limit)
