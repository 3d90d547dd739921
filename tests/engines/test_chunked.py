"""The chunked engine gives the same cells as a reconciliation in memory."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import pipeline
from lib.analysis import books
from lib.config import defaults
from lib.database import retry, sessions, snapshots
from lib.database.error_translation import BY_STATE
from lib.domain import requests
from lib.domain.errors import BalanceError, ConfigError, TransientError
from lib.domain.requests import Period, Rule, Window
from lib.engines import chunked, partition, partition_reader, result_tables, sizing
from lib.engines.job import Job, Share, shares
from lib.engines.totals import UNBALANCED, Read, require_all, totals_of
from lib.matching.reconcile import reconcile
from tests.matching.test_matching_property import LOGS, TRANSACTIONS
from tests.support import engine_data
from tests.support.sentences import pattern
from tests.support.tables import Log, Transaction, logs_table, transactions_table

if TYPE_CHECKING:
    from lib.domain.requests import Side
    from tests.support.servers import Databases

pytestmark = pytest.mark.slow

DAY = date(2026, 2, 15)


class InProcess:
    """Runs the tasks of workers in this process."""

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
    by = Rule(rule, tolerance)
    whole = reconcile(transactions_table(transactions), logs_table(logs), period, by)
    shuffle.shuffle(transactions)
    shuffle.shuffle(logs)
    folder = Path(tempfile.mkdtemp())
    try:
        bucketed, read = in_buckets(folder, transactions, logs, period, by, buckets)
        for name in result_tables.NAMES:
            parts = [matched(folder, part, name) for part in range(buckets)]
            rows = [row for part in parts for row in visible(part)]
            assert sorted(rows) == sorted(visible(engine_data.table_of(whole, name))), name
        totals = totals_of(part.counts for part in bucketed)
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
    """Stage, route and match in this process, without databases and without a result."""
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
        share = Share("transactions", number, None, None)
        tables = [transactions_table(part, dictionary=False)] if part else []
        staged.append(partition_reader.keep_transactions(job, share, tables))
    chunked.route(job, InProcess())
    share = Share("auth_logs", 0, None, None)
    tables = [logs_table(logs, dictionary=False)] if logs else []
    logged = partition_reader.keep_auth_logs(job, share, tables)
    newest = max(s.newest for s in staged)
    bucketed = [partition.match(job, (number, newest, 1)) for number in range(buckets)]
    cents = sum(s.cents for s in staged)
    return bucketed, Read(sum(s.inside for s in staged), logged.inside, cents, newest, "", buckets)


def matched(folder: Path, part: int, name: str) -> pa.Table:
    with pa.memory_map(str(folder / "matched" / str(part) / f"{name}.arrow")) as file:
        return pa.ipc.open_file(file).read_all()


def visible(table: pa.Table) -> list[str]:
    """The rows as a sheet shows them: NULL and empty text are equal."""
    return [str([v if v != "" else None for v in row.values()]) for row in table.to_pylist()]


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_the_chunked_engine_gives_every_cell_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path, rule: str
) -> None:
    engine_data.fill(databases, 100_000)
    configured = engine_data.settings(
        databases, tmp_path / "staging", workers=2, memory_limit="40 MB"
    )
    request = engine_data.request(configured, rule)

    result = engine_data.run(configured, request, tmp_path / "resultado")

    whole = pipeline.run(configured, request)
    assert result.books == whole.books
    assert result.books.duplicates > 0
    assert result.books.divergences > 0
    assert result.books.without_log > 0
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    for name in (result_tables.CONSOLIDATED, result_tables.DIVERGENCES):
        ours = engine_data.table_of(result, name)
        theirs = engine_data.table_of(whole.reconciliation, name)
        clock = slice(3, 5) if name == result_tables.CONSOLIDATED else slice(1, 3)
        for column in ours.column_names[clock]:
            assert ours[column].equals(theirs[column])
    assert result.days.equals(whole.by_day)
    assert result.codes.equals(books.by_response_code(whole.reconciliation))
    assert result.motivos == books.by_motivo(whole.reconciliation)
    assert list((tmp_path / "staging").iterdir()) == []


def test_records_that_arrive_while_it_reads_are_in_no_table(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 1_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")
    before = engine_data.digest(pipeline.run(configured, request).reconciliation)

    def arrive(stage: str, rows: int) -> None:
        if stage in ("transactions", "auth_logs"):
            engine_data.fill(databases, 200)

    result = engine_data.run(configured, request, tmp_path / "resultado", progress=arrive)

    assert engine_data.digest(result) == before


@pytest.mark.parametrize(("side", "rule"), [("transactions", "card_time"), ("auth_logs", "card")])
def test_a_reload_that_waits_behind_the_snapshot_is_let_through_and_read_whole(
    databases: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    side: Side,
    rule: str,
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging", workers=2)
    request = engine_data.request(configured, rule)
    before = pipeline.run(configured, request)

    with engine_data.reload_at(databases, side, 1_200) as progress:
        result = engine_data.run(configured, request, tmp_path / "resultado", progress=progress)

    after = pipeline.run(configured, request)
    assert engine_data.digest(result) == engine_data.digest(after.reconciliation)
    assert result.books == after.books != before.books
    sentence = BY_STATE["55P03"].format(side=side)
    assert [str(r.args[0]) for r in caplog.records if r.msg == retry.RETRYING] == [sentence]
    assert list((tmp_path / "staging").iterdir()) == []


def test_the_snapshot_survives_a_server_that_ends_idle_transactions(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 500)
    configured = engine_data.settings(databases, tmp_path / "staging")
    for side in requests.SIDES:
        name = sessions.source_of(configured, side).database
        limit = "idle_in_transaction_session_timeout = '200ms'"
        databases.execute(side, f"ALTER DATABASE {name} SET {limit}")

    def pause(stage: str, rows: int) -> None:
        if stage == "auth_logs" and not rows:
            time.sleep(1)

    request = engine_data.request(configured, "card")
    result = engine_data.run(configured, request, tmp_path / "resultado", progress=pause)

    assert result.books.transactions > 0


def test_a_lost_snapshot_is_a_transient_error(databases: Databases, tmp_path: Path) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")
    window = requests.window_of(engine_data.request(configured, "card"))
    with snapshots.export(configured, window) as names:
        lost = names["transactions"]

    with (
        pytest.raises(TransientError, match=pattern(sessions.LOST_SNAPSHOT)),
        sessions.session(configured, "transactions", snapshot=lost),
    ):
        pass


def test_the_draft_of_a_killed_worker_is_not_read(tmp_path: Path) -> None:
    logs = [Log("1", DAY, None)]
    period = Period(DAY, DAY, DAY)
    for name in ("transactions", "pairs", "moved", "auth_logs"):
        draft = tmp_path / name / "_0-1"
        draft.mkdir(parents=True)
        (draft / "0.arrow").write_bytes(b"half a stream")

    (part,), _ = in_buckets(tmp_path, [], logs, period, Rule(), 1)

    assert part.counts.books.logs == 1


def test_a_single_day_is_read_in_shares_of_hours(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = defaults.request(configured, engine_data.END, start=DAY, end=DAY)
    parts = shares("transactions", requests.window_of(request), 4)
    assert [share.until for share in parts] == [
        (DAY, 6 * 3600 - 1),
        (DAY, 12 * 3600 - 1),
        (DAY, 18 * 3600 - 1),
        None,
    ]

    result = engine_data.run(configured, request, tmp_path / "resultado")

    whole = pipeline.run(configured, request)
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)


def test_undated_records_of_a_query_are_in_the_result_once(
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
    request = engine_data.request(configured, "card")

    result = engine_data.run(configured, request, tmp_path / "resultado")

    whole = pipeline.run(configured, request)
    assert result.books == whole.books
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)
    assert result.pieces[result_tables.WITHOUT_LOG][-1].day is None


def test_a_clear_result_has_the_raw_line_of_every_divergence(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 500)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")

    result = engine_data.run(configured, request, tmp_path / "resultado", clear=True)

    whole = pipeline.run(configured, request, clear=True)
    assert result.clear
    assert engine_data.digest(result) == engine_data.digest(whole.reconciliation)


def test_a_period_without_records_has_tables_without_rows(
    databases: Databases, tmp_path: Path
) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")

    result = engine_data.run(
        configured, engine_data.request(configured, "card"), tmp_path / "resultado"
    )

    assert result.books.transactions == 0
    whole = pipeline.run(configured, engine_data.request(configured, "card"))
    for name in result_tables.NAMES:
        page = result.page(name, 0, 50)
        assert len(page) == 0
        assert page.column_names == result_tables.rows_of(whole.reconciliation, name).column_names


def test_books_that_lack_a_record_are_refused(databases: Databases, tmp_path: Path) -> None:
    configured = engine_data.settings(databases, tmp_path / "staging")
    outcome = pipeline.run(configured, engine_data.request(configured, "card"))

    with pytest.raises(
        BalanceError, match=UNBALANCED.format(side="transactions", there=1, counted=0)
    ):
        require_all(Read(1, 0, 0, 0, "", 1), outcome.books)


def test_a_period_beyond_the_memory_limit_is_chunked(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 20_000)
    databases.execute("transactions", "ANALYZE")
    databases.execute("auth_logs", "ANALYZE")
    small = engine_data.settings(databases, tmp_path, memory_limit="1 MB")
    large = engine_data.settings(databases, tmp_path, memory_limit="4 GB")
    fixed = engine_data.settings(databases, tmp_path, memory_limit="1 MB", kind="memory")
    window = requests.window_of(engine_data.request(small, "card"))

    assert sizing.kind(small, window) == "chunked"
    assert sizing.kind(large, window) == "memory"
    assert sizing.kind(fixed, window) == "memory"
    assert sizing.bucket_count(large, 16_000_000) == 4
    assert sizing.bucket_count(large, 10) == 1


@pytest.mark.parametrize("limit", ["4", 4, "4 TB", "0 GB", "-1 GB"])
def test_a_memory_limit_needs_a_unit(databases: Databases, tmp_path: Path, limit: object) -> None:
    with pytest.raises(ConfigError, match="memory_limit"):
        engine_data.settings(databases, tmp_path, memory_limit=limit)
