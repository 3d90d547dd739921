"""Sessions on a source, and the sentence for each failure to open one."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lib.config.settings import Settings
from lib.database import sessions
from lib.database.error_translation import (
    BY_STATE,
    LOGIN_INCOMPLETE,
    NO_CONNECT,
    NO_TLS,
    NOT_CONNECTED,
    NOT_POSTGRESQL,
    STARTING,
)
from lib.domain import requests
from lib.domain.errors import AggregatorError, ContractError, ExtractionError
from tests.support.command import APPLICATION, with_source
from tests.support.sentences import says
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases, Servers
from tests.support.settings import settings_of

SHOWN = {
    "transaction_isolation": "repeatable read",
    "transaction_read_only": "on",
    "application_name": APPLICATION,
    "statement_timeout": "5min",
    "client_encoding": "UTF8",
    "datestyle": "ISO, DMY",
}
REFUSED = BY_STATE["28"].format(side="transactions")


def result(settings: Settings, statement: str, side: requests.Side = "transactions") -> Any:
    with sessions.session(settings, side) as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def failure(values: Mapping[str, Any], statement: str = "SELECT 1") -> AggregatorError:
    with pytest.raises(AggregatorError) as caught:
        result(settings_of(values), statement)
    return caught.value


def test_a_session_is_a_named_read_only_snapshot_with_a_time_limit(databases: Databases) -> None:
    settings = settings_of(databases.values)
    for side in requests.SIDES:
        shown = {name: result(settings, f"SHOW {name}", side) for name in SHOWN}
        assert shown == SHOWN


def test_a_session_sees_nothing_that_is_committed_after_its_first_statement(
    databases: Databases,
) -> None:
    count = "SELECT count(*) FROM customer_cards"
    with sessions.session(settings_of(databases.values), "transactions") as cursor:
        for rows in (0, 0):
            cursor.execute(count)
            assert cursor.fetchone() == (rows,)
            databases.fill(customer_cards=[("12345678909", "4000001234561234")])
    assert result(settings_of(databases.values), count) == 2


def test_a_session_of_the_pool_starts_a_new_snapshot_and_carries_nothing_over(
    databases: Databases,
) -> None:
    settings = settings_of(databases.values)
    with sessions.session(settings, "transactions") as cursor:
        cursor.execute("SET statement_timeout = 7; SET search_path = nowhere")
        backend = cursor.connection.info.backend_pid
    assert result(settings, "SELECT pg_backend_pid()") == backend
    assert result(settings, "SHOW statement_timeout") == "5min"
    assert result(settings, "SHOW search_path") == 'pg_catalog, "$user", public, pg_temp'


def test_a_session_that_tries_to_write_is_refused_even_to_a_superuser(databases: Databases) -> None:
    written = failure(databases.values_for("postgres"), "DELETE FROM transactions")
    assert str(written) == BY_STATE["25006"].format(side="transactions")


def test_a_statement_longer_than_the_limit_is_ended_by_its_server(databases: Databases) -> None:
    limited = with_source(databases.values, "transactions", statement_timeout=1)
    late = failure(limited, "SELECT pg_sleep(3600)")
    assert str(late) == BY_STATE["57014"].format(side="transactions")


def test_the_right_password_opens_and_is_shown_nowhere(databases: Databases) -> None:
    settings = settings_of(databases.values_for(NEEDS_PASSWORD, PASSWORD))
    assert result(settings, "SELECT current_user") == NEEDS_PASSWORD
    pool = sessions.pool(settings, "transactions")
    assert PASSWORD not in f"{pool!r} {pool._creator!r} {settings!r}"


def test_a_wrong_password_or_user_is_refused_without_repeating_it(databases: Databases) -> None:
    error = failure(databases.values_for(NEEDS_PASSWORD, "senha@errada"))
    assert str(error) == REFUSED == str(failure(databases.values_for("ninguem")))
    assert isinstance(error, ExtractionError)
    assert "senha@" not in repr(error.values)


@pytest.mark.parametrize("password", ["", None])
def test_a_missing_password_is_reported_as_missing(
    databases: Databases, password: str | None
) -> None:
    error = failure(databases.values_for(NEEDS_PASSWORD, password))
    assert str(error) == LOGIN_INCOMPLETE.format(side="transactions")


def test_a_missing_database_is_reported_as_missing(databases: Databases) -> None:
    error = failure(with_source(databases.values, "transactions", database="nenhum"))
    assert str(error) == BY_STATE["3D"].format(side="transactions")


def test_a_server_without_free_connections_is_reported_as_full(databases: Databases) -> None:
    databases.execute("transactions", "CREATE ROLE cheio LOGIN CONNECTION LIMIT 0")
    try:
        error = failure(databases.values_for("cheio"))
    finally:
        databases.execute("transactions", "DROP ROLE cheio")
    assert str(error) == BY_STATE["53"].format(side="transactions")


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A listening socket of this machine that does not answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        yield silent


def at(listening: socket.socket, **keys: Any) -> dict[str, Any]:
    """A source at this socket's address."""
    return {"host": "127.0.0.1", "port": listening.getsockname()[1], **keys}


def not_connected(source: dict[str, Any]) -> str:
    return NOT_CONNECTED.format(side="transactions", host=source["host"], port=source["port"])


@pytest.mark.timeout(60)
def test_a_server_that_stays_silent_is_given_up_after_the_connect_timeout(
    databases: Databases,
) -> None:
    # Without the time limit the session would wait forever.
    with listener() as silent:
        source = at(silent, connect_timeout=2)
        error = failure(with_source(databases.values, "transactions", **source))
    assert str(error) == not_connected(source)


def test_an_address_where_nobody_listens_is_named(databases: Databases) -> None:
    with listener() as closed_soon:
        source = at(closed_soon)
    error = failure(with_source(databases.values, "transactions", **source))
    assert str(error) == not_connected(source)


def test_a_server_without_the_required_tls_is_refused(databases: Databases) -> None:
    def refuse_tls(plain: socket.socket) -> None:
        client, _ = plain.accept()
        with client:
            client.recv(8)
            client.sendall(b"N")
            client.recv(1)

    with listener() as plain:
        answering = threading.Thread(target=refuse_tls, args=(plain,))
        answering.start()
        source = at(plain, sslmode="require")
        error = failure(with_source(databases.values, "transactions", **source))
        answering.join()
    assert str(error) == NO_TLS.format(side="transactions")


REFUSED_IN_LATIN = {
    "no existe la base de datos «vendas»": BY_STATE["3D"],
    'autenticação do tipo senha falhou para usuário "vendas"': BY_STATE["28"],
    "le système de bases de données n'accepte pas de connexions": STARTING,
}


@pytest.mark.parametrize("message", REFUSED_IN_LATIN)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_refusal_is_recognised_in_the_encoding_of_the_servers_locale(
    databases: Databases, message: str, encoding: str
) -> None:
    fields = b"SFATAL\0VFATAL\0C28000\0M" + message.encode(encoding) + b"\0\0"

    def refuse(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.recv(1_000)
            client.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

    with listener() as server:
        answering = threading.Thread(target=refuse, args=(server,))
        answering.start()
        source = at(server, sslmode="disable")
        error = failure(with_source(databases.values, "transactions", **source))
        answering.join()
    expected = REFUSED_IN_LATIN[message]
    assert says(str(error), expected.replace("{side}", "transactions"))


def test_the_drivers_message_and_values_never_reach_the_sentence(databases: Databases) -> None:
    error = failure(databases.values, "SELECT '4000001234561234x'::bigint")
    assert isinstance(error, ContractError)
    assert "4000001234561234" not in f"{error} {error!r}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


REFUSALS = {
    "ALTER ROLE refused NOLOGIN": BY_STATE["28000"],
    "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC": NO_CONNECT,
    "ALTER DATABASE {database} ALLOW_CONNECTIONS false": BY_STATE["55000"],
    "ALTER ROLE refused CONNECTION LIMIT 0": BY_STATE["53"],
}


@pytest.mark.parametrize("statement", REFUSALS)
def test_a_refused_connection_is_reported_with_its_cause(
    servers: Servers, databases: Databases, statement: str
) -> None:
    database = databases.values["transactions"]["database"]
    servers._administer("transactions", "CREATE ROLE refused LOGIN")
    try:
        servers._administer("transactions", statement.format(database=database))
        error = failure(databases.values_for("refused"))
    finally:
        servers._administer("transactions", "DROP ROLE refused")
    assert str(error) == REFUSALS[statement].format(side="transactions")


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
def test_a_server_that_is_not_postgresql_is_named(databases: Databases, sslmode: str) -> None:
    def answer(web: socket.socket) -> None:
        with suppress(OSError):  # the listener is closed under it
            while True:
                client, _ = web.accept()
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                client.close()

    with listener() as web:
        answering = threading.Thread(target=answer, args=(web,), daemon=True)
        answering.start()
        source = at(web, sslmode=sslmode)
        error = failure(with_source(databases.values, "transactions", **source))
    expected = NOT_POSTGRESQL.format(side="transactions", host="127.0.0.1", port=source["port"])
    assert str(error) == expected


def test_a_comment_that_the_databases_encoding_lacks_is_named(
    servers: Servers, databases: Databases, tmp_path: Path
) -> None:
    servers._administer(
        "transactions",
        "CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    try:
        values = with_source(databases.values, "transactions", database="latin")
        error = failure(values, "SELECT 1 -- um comentário → outro")
    finally:
        sessions._pool.cache_clear()
        servers._administer("transactions", "DROP DATABASE latin WITH (FORCE)")
    assert str(error) == BY_STATE["22P05"].format(side="transactions")
