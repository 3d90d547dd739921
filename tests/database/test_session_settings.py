"""Nothing but the configuration decides which server is read and how its values are read."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from lib.cli import main
from lib.database import copy_reader, error_translation, sessions
from lib.database.sessions import Backend
from lib.domain import columns as c
from lib.domain import requests
from lib.domain.errors import AggregatorError, TransientError
from lib.domain.requests import Window
from tests.support.certificates import Authority
from tests.support.command import (
    Command,
    configured,
    finish,
    nothing_runs,
    slow_query,
    soon,
    start,
    statements,
    with_query,
    with_source,
)
from tests.support.pgbouncer import pooler
from tests.support.servers import MERCHANTS, Databases
from tests.support.settings import settings_of
from tests.support.tls_server import HERE

MERCHANT = next(iter(MERCHANTS))
DAY = date(2026, 11, 10)
WINDOW = Window(MERCHANT, DAY, DAY)
QUERY = (
    "SELECT NULL AS num_cpf, card_number AS num_cartao, NULL AS num_cartao_virtual,"
    " to_char(transaction_date, 'DD/MM/YYYY') AS data_transa, transaction_time AS hora_transa,"
    " amount AS vlr_total, merchant_id AS des_cnpj_reduzido FROM transactions"
)
ENVIRONMENT = {
    "PGDATESTYLE": "ISO, MDY",
    "PGTZ": "Mars/Olympus",
    "PGGEQO": "perhaps",
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "127.0.0.2",
    "PGPORT": "1",
    "PGDATABASE": "other",
    "PGUSER": "other",
    "PGPASSWORD": "other",
    "PGPASSFILE": "/nowhere",
    "PGSERVICE": "missing",
    "PGOPTIONS": "-c default_transaction_read_only=off -c statement_timeout=1",
    "PGCLIENTENCODING": "LATIN1",
    "PGAPPNAME": "other",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGREQUIREAUTH": "none",
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCONNECT_TIMEOUT": "x",
    "PGSYSCONFDIR": "/nowhere",
    "PGLOADBALANCEHOSTS": "random",
    "PGSSLNEGOTIATION": "direct",
    "PGSSLCERTMODE": "require",
    "PGSSLCRLDIR": "/nowhere",
    "PGSSLMINPROTOCOLVERSION": "TLSv9",
    "PGMINPROTOCOLVERSION": "latest",
    "PGMAXPROTOCOLVERSION": "9.9",
    "PGGSSENCMODE": "require",
    "PGREQUIREPEER": "nobody-at-all",
    "PGOAUTHDEBUG": "UNSAFE",
}
DEFAULTS = {
    "datestyle": "'SQL, MDY'",
    "intervalstyle": "iso_8601",
    "timezone": "'Asia/Tokyo'",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "statement_timeout": "'10min'",
    "idle_in_transaction_session_timeout": "'10min'",
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "off",
    "client_encoding": "LATIN1",
    "row_security": "off",
}


@pytest.fixture
def own(databases: Databases, tmp_path: Path) -> dict[str, Any]:
    """Values whose query writes dates with the day first, over one transaction."""
    databases.fill([("4000001234561234", DAY, "12:00", MERCHANT, None, "1.00")])
    return with_query(databases.values, "transactions", tmp_path, QUERY)


def days_read(values: dict[str, Any]) -> list[date]:
    settings = settings_of(values)
    return copy_reader.extract(settings, WINDOW).transactions[c.DATA_TRANSA].to_pylist()


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_variable_of_libpq_changes_neither_the_server_nor_the_values_read(
    own: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, ENVIRONMENT[name])
    assert days_read(own) == [DAY]
    assert name not in os.environ


def test_the_service_files_variable_stays_for_service_passwords(
    own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/nowhere")
    assert days_read(own) == [DAY]
    assert os.environ["PGSERVICEFILE"] == "/nowhere"


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_of_the_role_changes_no_session(
    databases: Databases, own: dict[str, Any], name: str
) -> None:
    databases.execute("transactions", "CREATE ROLE odd LOGIN; GRANT aggregator TO odd")
    databases.execute("transactions", f"ALTER ROLE odd SET {name} = {DEFAULTS[name]}")
    try:
        assert days_read(with_source(own, "transactions", user="odd")) == [DAY]
    finally:
        sessions._pool.cache_clear()
        databases.execute(
            "transactions",
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'odd'",
        )
        databases.execute("transactions", "DROP ROLE odd")


def test_a_parameter_that_a_server_does_not_accept_is_named(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(databases.values)
    monkeypatch.setitem(sessions._FORMATS, "datestyle", "of another server")
    with pytest.raises(AggregatorError) as caught, sessions.session(settings, "auth_logs"):
        pass
    expected = error_translation.UNUSABLE_SETTING.format(side="auth_logs", name="datestyle")
    assert str(caught.value) == expected


def test_a_parameter_that_a_server_ignores_is_named(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(databases.values)
    monkeypatch.setitem(sessions._ISOLATION, "transaction_isolation", "serializable")
    with pytest.raises(AggregatorError) as caught, sessions.session(settings, "auth_logs"):
        pass
    name = "transaction_isolation"
    assert str(caught.value) == error_translation.UNUSABLE_SETTING.format(
        side="auth_logs", name=name
    )


POOLERS = {
    "session": ("session", {}),
    "transaction": ("transaction", {}),
    "ignoring": ("transaction", {"ignore_startup_parameters": "extra_float_digits,options"}),
    "one connection": ("transaction", {"default_pool_size": "3"}),
}


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
@pytest.mark.parametrize("engine", [{}, {"engine": {"kind": "chunked", "workers": 2}}])
@pytest.mark.parametrize("kind", POOLERS)
def test_a_read_through_a_pooler_is_exact(
    databases: Databases,
    own: dict[str, Any],
    tmp_path: Path,
    within_reach: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    engine: dict[str, Any],
) -> None:
    mode, options = POOLERS[kind]
    databases.fill(auth_logs=[("4000001234561234", DAY, "12:00", "00", "", "0" + MERCHANT)])
    with pooler(databases.values["transactions"], within_reach, mode, **options) as address:
        values = with_source(own, "transactions", **address)
        command = Command(databases, tmp_path, capsys)
        words = ("--start", str(DAY), "--end", str(DAY))
        report = command.reported(*words, values=values, **engine)
    assert [row[3].date() for row in report.consolidated] == [DAY]


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
@pytest.mark.parametrize(
    "left",
    [
        "SET ROLE pg_monitor",
        "SET search_path = other",
        "SET search_path = ''",
        "SET row_security = off",
        "CREATE TEMP TABLE transactions (LIKE public.transactions)",
    ],
)
def test_a_pooled_connections_last_client_changes_no_read_and_finds_its_session_again(
    databases: Databases, own: dict[str, Any], within_reach: Path, left: str
) -> None:
    source = databases.values["transactions"]
    databases.execute(
        "transactions",
        "CREATE SCHEMA other; CREATE TABLE other.transactions (LIKE public.transactions);"
        " GRANT USAGE ON SCHEMA other TO PUBLIC; GRANT SELECT ON other.transactions TO PUBLIC;"
        " CREATE ROLE odd LOGIN; GRANT aggregator, pg_monitor TO odd",
    )
    state = "SELECT current_user, current_setting('search_path'), current_setting('row_security')"
    try:
        with (
            pooler(
                source | {"user": "odd"}, within_reach, "transaction", default_pool_size="1"
            ) as address,
            closing(psycopg2.connect(**address, user="odd", dbname=source["database"])) as client,
        ):
            client.autocommit = True
            cursor = client.cursor()
            cursor.execute(f"{left}; {state}")
            before = cursor.fetchone()
            assert days_read(with_source(own, "transactions", user="odd", **address)) == [DAY]
            cursor.execute(state)
            assert cursor.fetchone() == before
    finally:
        databases.execute("transactions", "DROP OWNED BY odd; DROP ROLE odd")


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
def test_a_query_that_writes_is_refused_behind_a_pooler_too(
    databases: Databases, own: dict[str, Any], tmp_path: Path, within_reach: Path
) -> None:
    databases.execute("transactions", "CREATE SEQUENCE counted; GRANT ALL ON counted TO aggregator")
    values = with_query(own, "transactions", tmp_path, QUERY + " WHERE nextval('counted') > 0")
    ignoring = {"ignore_startup_parameters": "options"}
    source = databases.values["transactions"]
    with pooler(source, within_reach, "transaction", **ignoring) as address:
        settings = settings_of(with_source(values, "transactions", **address))
        with pytest.raises(AggregatorError) as caught:
            copy_reader.extract(settings, WINDOW)
    assert str(caught.value) == error_translation.BY_STATE["25006"].format(side="transactions")
    assert databases.execute("transactions", "SELECT is_called FROM counted") == [(False,)]


@contextmanager
def pooler_over_tls(source: dict[str, Any], folder: Path, mode: str) -> Iterator[dict[str, Any]]:
    """A pooler that demands TLS; the source's address behind it, and what trusts it."""
    own = folder / "own"  # becomes another account's
    own.mkdir()
    authority = Authority(folder, "authority")
    pair = authority.issue("pooler", HERE)
    pair.key.chmod(0o644)  # for that account
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    tls = {"client_tls_key_file": str(pair.key), "client_tls_cert_file": str(pair.certificate)}
    listen = {"listen_addr": HERE, "listen_port": str(port), "client_tls_sslmode": "require"}
    with pooler(source, own, mode, **listen, **tls):
        root = str(authority.root)
        yield {"host": HERE, "port": port, "sslmode": "verify-full", "sslrootcert": root}


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
@pytest.mark.parametrize("opened", [pooler, pooler_over_tls])
def test_a_pooler_that_pools_single_statements_is_named(
    databases: Databases, own: dict[str, Any], within_reach: Path, opened: Any
) -> None:
    with opened(databases.values["transactions"], within_reach, "statement") as address:
        settings = settings_of(with_source(own, "transactions", **address))
        with pytest.raises(TransientError) as caught:
            copy_reader.extract(settings, WINDOW)
    assert str(caught.value) == error_translation.CLOSED_AT_ONCE.format(side="transactions")


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
def test_a_pooler_in_the_way_of_a_roles_wrong_quoting_is_named(
    databases: Databases, own: dict[str, Any], within_reach: Path
) -> None:
    name = "standard_conforming_strings"
    source = databases.values["transactions"]
    database = source["database"]
    databases.execute("transactions", f"ALTER DATABASE {database} SET {name} = off")
    with pooler(source, within_reach, "session") as address:
        settings = settings_of(with_source(own, "transactions", **address))
        with pytest.raises(AggregatorError) as caught:
            copy_reader.extract(settings, WINDOW)
    expected = error_translation.UNUSABLE_SETTING.format(side="transactions", name=name)
    assert str(caught.value) == expected


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
@pytest.mark.parametrize("ending", ["an interruption", "the failure of the other side"])
def test_a_read_through_a_pooler_is_cancelled_on_its_server(
    databases: Databases, tmp_path: Path, within_reach: Path, ending: str
) -> None:
    values = with_query(databases.values, "transactions", tmp_path, slow_query("transactions"))
    with pooler(databases.values["transactions"], within_reach, "transaction") as address:
        values = with_source(values, "transactions", **address)
        if ending == "an interruption":
            file = configured(tmp_path, values)
            process = start("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
            assert soon(lambda: statements(databases, "transactions") > 0)
            process.send_signal(signal.SIGINT)
            assert finish(process).sentence == main.INTERRUPTED_SENTENCE
        else:
            values = with_query(values, "auth_logs", tmp_path, slow_query("auth_logs", 60))
            with ThreadPoolExecutor(1) as pool:
                read = pool.submit(copy_reader.extract, settings_of(values), WINDOW)
                copying = "FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"
                assert soon(
                    lambda: all(
                        databases.execute(side, f"SELECT pid {copying}") for side in requests.SIDES
                    )
                )
                databases.execute("auth_logs", f"SELECT pg_cancel_backend(pid) {copying}")
                with pytest.raises(AggregatorError, match="auth_logs"):
                    read.result(60)
        assert nothing_runs(databases)


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")
@pytest.mark.system
def test_a_late_cancellation_spares_the_pooled_connections_next_transaction(
    databases: Databases, within_reach: Path
) -> None:
    with pooler(databases.values["transactions"], within_reach, "transaction") as address:
        settings = settings_of(with_source(databases.values, "transactions", **address))
        with sessions.session(settings, "transactions") as cursor:
            ended = sessions.backend(cursor)
        with (
            ThreadPoolExecutor(1) as pool,
            sessions.session(settings, "transactions") as cursor,
        ):
            running = sessions.backend(cursor)
            assert (running.process, running.since != ended.since) == (ended.process, True)

            def cancelled(backend: Backend, seconds: int) -> BaseException | None:
                sleep = pool.submit(cursor.execute, "SELECT pg_sleep(%s)", (seconds,))
                assert soon(lambda: statements(databases, "transactions") > 0)
                sessions.cancel(settings, "transactions", backend)
                return sleep.exception(60)

            assert cancelled(ended, 1) is None
            assert isinstance(cancelled(running, 120), psycopg2.errors.QueryCanceled)
