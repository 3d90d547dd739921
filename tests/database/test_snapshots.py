"""A reload beside a read: the read waits for it, or repeats itself, and never sees an empty table.

TRUNCATE, a swap of tables and a refresh of a materialized view are not MVCC-safe.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.dashboard.day_cache import Days
from lib.database import column_types, copy_reader, retry, sessions, snapshots
from lib.database.copy_reader import Extracted
from lib.database.error_translation import BY_STATE
from lib.domain import requests
from lib.domain.errors import CancelledError, ExtractionError, SnapshotError
from lib.domain.requests import Window
from tests.support.command import APPLICATION, nothing_runs, soon, with_query, with_source
from tests.support.pgbouncer import pooler
from tests.support.sentences import pattern
from tests.support.servers import MERCHANTS, Databases

MERCHANT = next(iter(MERCHANTS))
DAY = date(2026, 11, 20)
WINDOW = Window(MERCHANT, DAY, DAY)
ROWS = 3
REFILL = (
    f"INSERT INTO {{}} SELECT n, '{DAY}', '12:00', '{MERCHANT}', NULL, n"
    " FROM generate_series(1, 5) AS n"
)
RELOADS = {
    "truncate": ["TRUNCATE transactions", REFILL.format("transactions")],
    "swap": [
        "CREATE TABLE loaded (LIKE transactions)",
        "GRANT SELECT ON loaded TO aggregator",
        REFILL.format("loaded"),
        "ALTER TABLE transactions RENAME TO replaced",
        "ALTER TABLE loaded RENAME TO transactions",
    ],
    "rewrite": [
        "DELETE FROM transactions",
        REFILL.format("transactions"),
        "ALTER TABLE transactions ALTER amount TYPE numeric(12,2) USING amount + 0",
    ],
}


def through_the_page(settings: Settings, window: Window) -> Extracted:
    return Days(10**9, clock=lambda s: datetime.now(s.zone)).read(settings, window, quiet)[1]


def quiet(*_: object) -> None:
    pass


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)


@pytest.fixture
def filled(databases: Databases) -> Databases:
    databases.fill([(f"{n}", DAY, "12:00", MERCHANT, None, "1.00") for n in range(ROWS)])
    return databases


@contextmanager
def reload_under_way(databases: Databases, statements: list[str]) -> Iterator[Any]:
    """A second session that has executed these statements and not committed them."""
    with closing(databases.connect("transactions")) as connection:
        for statement in statements:
            connection.cursor().execute(statement)
        yield connection


def waits_for_a_lock(databases: Databases, name: str = APPLICATION) -> bool:
    [(waiting,)] = databases.execute(
        "transactions",
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = '{name}' AND wait_event_type = 'Lock'",
    )
    return bool(waiting)


@pytest.mark.parametrize("reload", RELOADS)
@pytest.mark.parametrize("read", [copy_reader.extract, through_the_page])
def test_a_reload_under_way_is_waited_for_and_read_whole(
    filled: Databases, read: Callable[..., Extracted], reload: str
) -> None:
    settings = loader.from_values(filled.values, "teste", {})
    with ThreadPoolExecutor(1) as pool:
        with reload_under_way(filled, RELOADS[reload]) as loading:
            extracted = pool.submit(retry.call, lambda: read(settings, WINDOW))
            assert soon(lambda: waits_for_a_lock(filled))
            loading.commit()
        assert len(extracted.result(120).transactions) == 5


def own_query(databases: Databases, folder: Path, source: str) -> Settings:
    sql = (
        "SELECT NULL AS num_cpf, card_number AS num_cartao, NULL AS num_cartao_virtual,"
        " transaction_date AS data_transa, transaction_time AS hora_transa, amount AS vlr_total,"
        f" merchant_id AS des_cnpj_reduzido FROM {source}"
    )
    return loader.from_values(with_query(databases.values, "transactions", folder, sql), "t", {})


SOURCES = {
    "a view": (
        "CREATE VIEW shown AS SELECT * FROM transactions; GRANT SELECT ON shown TO aggregator",
        "shown",
    ),
    "a function": (
        "CREATE FUNCTION shown() RETURNS SETOF transactions LANGUAGE plpgsql AS"
        " 'BEGIN RETURN QUERY SELECT * FROM transactions; END'",
        "shown()",
    ),
    "columns granted singly": (
        "REVOKE SELECT ON transactions FROM aggregator; GRANT SELECT (card_number,"
        " transaction_date, transaction_time, amount, merchant_id) ON transactions TO aggregator",
        "transactions",
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_reload_below_what_a_query_file_reads_is_never_emptiness(
    filled: Databases, tmp_path: Path, source: str
) -> None:
    statement, name = SOURCES[source]
    filled.execute("transactions", statement)
    settings = own_query(filled, tmp_path, name)
    with ThreadPoolExecutor(1) as pool:
        with reload_under_way(filled, RELOADS["truncate"]) as loading:
            read = pool.submit(retry.call, lambda: copy_reader.extract(settings, WINDOW))
            assert soon(lambda: waits_for_a_lock(filled))
            loading.commit()
        assert len(read.result(120).transactions) == 5


PARTITION = f"FOR VALUES FROM ('{DAY}') TO ('2027-01-01')"
PARTS = (
    "CREATE TABLE parts (LIKE transactions) PARTITION BY RANGE (transaction_date);"
    f" CREATE TABLE part PARTITION OF parts {PARTITION}; GRANT SELECT ON parts TO aggregator"
)
PARTITION_RELOADS = {
    "truncate": ["TRUNCATE part", REFILL.format("part")],
    "swap": [
        "CREATE TABLE loaded (LIKE parts)",
        REFILL.format("loaded"),
        "ALTER TABLE parts DETACH PARTITION part",
        f"ALTER TABLE parts ATTACH PARTITION loaded {PARTITION}",
    ],
    "drop": ["DROP TABLE part", f"CREATE TABLE part PARTITION OF parts {PARTITION}"]
    + [REFILL.format("part")],
}


@pytest.mark.parametrize("reload", PARTITION_RELOADS)
def test_a_partition_that_is_reloaded_is_waited_for(
    filled: Databases, tmp_path: Path, reload: str
) -> None:
    filled.execute("transactions", PARTS)
    settings = own_query(filled, tmp_path, "parts")
    with ThreadPoolExecutor(1) as pool:
        with reload_under_way(filled, PARTITION_RELOADS[reload]) as loading:
            read = pool.submit(retry.call, lambda: copy_reader.extract(settings, WINDOW))
            assert soon(lambda: waits_for_a_lock(filled))
            loading.commit()
        assert len(read.result(120).transactions) == 5


def test_a_partition_detached_without_locks_after_the_snapshot_stays_in_the_read(
    filled: Databases, tmp_path: Path
) -> None:
    filled.execute("transactions", PARTS)
    filled.execute("transactions", REFILL.format("parts"))
    settings = own_query(filled, tmp_path, "parts")
    with ThreadPoolExecutor(1) as pool:
        with sessions.session(settings, "transactions") as cursor:
            snapshots.begin(cursor, settings, "transactions", WINDOW)
            statement = "ALTER TABLE parts DETACH PARTITION part CONCURRENTLY"
            detaching = pool.submit(filled.execute, "transactions", statement)
            assert soon(lambda: waits_for_a_lock(filled, ""))
            cursor.execute("SELECT count(*) FROM parts")
            assert cursor.fetchone() == (5,)
            snapshots.require_unchanged(cursor, "transactions")
        assert detaching.result(60) == []


def test_a_materialized_view_refreshed_after_the_snapshot_is_noticed(
    filled: Databases, tmp_path: Path
) -> None:
    filled.execute(
        "transactions",
        "CREATE MATERIALIZED VIEW stored AS SELECT * FROM transactions;"
        " GRANT SELECT ON stored TO aggregator",
    )
    settings = own_query(filled, tmp_path, "stored")
    with sessions.session(settings, "transactions") as cursor:
        snapshots.begin(cursor, settings, "transactions", WINDOW)
        snapshots.require_unchanged(cursor, "transactions")
        filled.execute("transactions", "REFRESH MATERIALIZED VIEW stored")
        cursor.execute("SELECT count(*) FROM stored")
        with pytest.raises(SnapshotError, match=pattern(sessions.RELOADED)):
            snapshots.require_unchanged(cursor, "transactions")


def test_a_reload_after_the_snapshot_waits_until_the_read_has_ended(filled: Databases) -> None:
    settings = loader.from_values(filled.values, "teste", {})
    with ThreadPoolExecutor(1) as pool:
        with sessions.session(settings, "transactions") as cursor:
            snapshots.begin(cursor, settings, "transactions", WINDOW)
            loading = pool.submit(filled.execute, "transactions", "TRUNCATE transactions")
            assert soon(lambda: waits_for_a_lock(filled, ""))
            cursor.execute("SELECT count(*) FROM transactions")
            assert cursor.fetchone() == (ROWS,)
            snapshots.require_unchanged(cursor, "transactions")
        assert loading.result(60) == []


def test_an_index_created_or_rows_inserted_during_the_read_are_no_reload(filled: Databases) -> None:
    settings = loader.from_values(filled.values, "teste", {})
    with sessions.session(settings, "transactions") as cursor:
        snapshots.begin(cursor, settings, "transactions", WINDOW)
        filled.execute("transactions", "CREATE INDEX ON transactions (amount)")
        filled.execute("transactions", REFILL.format("transactions"))
        cursor.execute("SELECT count(*) FROM transactions WHERE amount > 0")
        assert cursor.fetchone() == (ROWS,)
        snapshots.require_unchanged(cursor, "transactions")


def test_both_sides_lock_what_their_queries_read(databases: Databases) -> None:
    settings = loader.from_values(databases.values, "teste", {})
    tables = {}
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            snapshots.begin(cursor, settings, side, WINDOW)
            tables[side] = [name for name, _, _ in snapshots.used(cursor)]
    assert tables == {
        "transactions": ["public.customer_cards", "public.transactions"],
        "auth_logs": ["authentication.transaction_logs"],
    }


def test_a_table_that_stays_locked_is_named_as_the_cause_and_not_the_period(
    filled: Databases,
) -> None:
    values = with_source(filled.values, "transactions", statement_timeout=1)
    settings = loader.from_values(values, "teste", {})
    expected = column_types.LOCKED.format(side="transactions", seconds=1)
    with closing(filled.connect("transactions")) as loader_of_data:
        loader_of_data.cursor().execute("LOCK TABLE transactions")
        with (
            pytest.raises(ExtractionError, match=re.escape(expected)),
            sessions.session(settings, "transactions") as cursor,
        ):
            snapshots.begin(cursor, settings, "transactions", WINDOW)


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
def test_a_cancelled_read_behind_a_pooler_waits_no_longer_for_its_lock(
    filled: Databases, within_reach: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = snapshots.used
    with (
        pooler(filled.values["transactions"], within_reach, "transaction") as address,
        closing(filled.connect("transactions")) as loading,
        ThreadPoolExecutor(2) as pool,
    ):

        def reload_begins(cursor: Any) -> Any:
            tables = used(cursor)
            if any(name == "public.transactions" for name, _, _ in tables):
                # It gets the lock as soon as the transaction of the examination has ended.
                pool.submit(loading.cursor().execute, "LOCK TABLE transactions")
                assert soon(lambda: waits_for_a_lock(filled, ""))
            return tables

        monkeypatch.setattr(snapshots, "used", reload_begins)
        values = with_source(filled.values, "transactions", **address)
        settings = loader.from_values(values, "teste", {})
        read = pool.submit(copy_reader.extract, settings, WINDOW)
        assert soon(lambda: waits_for_a_lock(filled))
        copy_reader.cancel_running()
        with pytest.raises(CancelledError):
            read.result(60)
        assert nothing_runs(filled)


def test_a_reload_that_waits_for_an_exported_snapshot_ends_it_and_is_no_deadlock(
    filled: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_ADOPTED_LOCK_MS", 200)
    settings = loader.from_values(filled.values, "teste", {})
    with ThreadPoolExecutor(1) as pool:
        with snapshots.export(settings, WINDOW) as names:
            loading = pool.submit(filled.execute, "transactions", "TRUNCATE transactions")
            assert soon(lambda: waits_for_a_lock(filled, ""))
            name = names["transactions"]
            with (
                pytest.raises(SnapshotError, match=pattern(BY_STATE["55P03"])),
                sessions.session(settings, "transactions", snapshot=name) as cursor,
            ):
                column_types.examine(cursor, settings, "transactions", WINDOW)
        assert loading.result(60) == []
