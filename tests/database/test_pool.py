"""The pool of connections to a source: what it keeps, asks, replaces and refuses."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from lib.config.settings import Settings
from lib.database import sessions
from lib.database.error_translation import ALL_IN_USE, BY_STATE, NOT_CONNECTED
from lib.domain.errors import AggregatorError, ExtractionError, TransientError
from tests.support.command import with_source
from tests.support.servers import Databases, Servers
from tests.support.settings import settings_of


def result(settings: Settings, statement: str) -> Any:
    with sessions.session(settings, "transactions") as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_one_pool_serves_a_configuration_and_another_its_change(databases: Databases) -> None:
    settings = settings_of(databases.values)
    again = settings_of(databases.values)
    other = settings_of(with_source(databases.values, "transactions", statement_timeout=9))
    pool = sessions.pool(settings, "transactions")
    assert sessions.pool(again, "transactions") is pool
    assert sessions.pool(other, "transactions") is not pool
    assert result(other, "SHOW statement_timeout") == "9s"


def test_a_connection_is_asked_for_an_answer_once_a_session(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    ping = sessions._ping

    def observed(driver: Any, seconds: float) -> None:
        asked.append(driver)
        ping(driver, seconds)

    monkeypatch.setattr(sessions, "_ping", observed)
    settings = settings_of(databases.values)
    for number in (1, 2, 3):
        assert result(settings, "SELECT 1") == 1
        assert len(asked) == number
    assert len(set(asked)) == 1


def test_a_pool_whose_connections_are_all_in_use_says_so(databases: Databases) -> None:
    settings = settings_of(databases.values)
    pool: Any = sessions.pool(settings, "transactions")
    pool._max_overflow, pool._timeout = 0, 0.1
    with ExitStack() as held:
        for _ in range(pool.size()):
            held.enter_context(sessions.session(settings, "transactions"))
        with pytest.raises(TransientError) as caught:
            result(settings, "SELECT 1")
    assert str(caught.value) == ALL_IN_USE.format(side="transactions")
    assert result(settings, "SELECT 1") == 1


def test_a_connection_that_died_in_the_pool_is_replaced_unnoticed(
    servers: Servers, databases: Databases
) -> None:
    settings = settings_of(databases.values)
    before = result(settings, "SELECT pg_backend_pid()")
    servers.stop("transactions")
    with pytest.raises(AggregatorError) as caught:
        result(settings, "SELECT 1")
    assert caught.value.template == NOT_CONNECTED
    servers.start("transactions")
    assert result(settings, "SELECT pg_backend_pid()") != before


def terminate_and_continue(databases: Databases, cursor: sessions.Cursor) -> None:
    pid = cursor.connection.info.backend_pid
    databases.execute("transactions", f"SELECT pg_terminate_backend({pid}, 5000)")
    cursor.execute("SELECT 1")


def test_a_connection_that_an_administrator_ends_is_one_sentence_and_no_log(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(databases.values)
    with (
        pytest.raises(ExtractionError) as caught,
        sessions.session(settings, "transactions") as cursor,
    ):
        terminate_and_continue(databases, cursor)
    assert str(caught.value) == BY_STATE["08"].format(side="transactions")
    assert caplog.records == []
    assert result(settings, "SELECT 1") == 1


def test_an_error_within_a_session_gives_its_connection_back(databases: Databases) -> None:
    settings = settings_of(databases.values)
    for _ in range(20):
        with pytest.raises(AggregatorError):
            result(settings, "SELECT * FROM nowhere")
    pool = sessions.pool(settings, "transactions")
    assert "Current Checked out connections: 0" in pool.status()
