"""The translation of a driver's errors, independent of the names that a site uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import exc

from lib.config import loader
from lib.database import sessions
from lib.database.error_translation import (
    BY_STATE,
    NOT_CONNECTED,
    UNTRUSTED,
    WRONG_HOST,
    translate,
)
from lib.domain.errors import AggregatorError, ExtractionError, TransientError
from tests.support.sentences import pattern
from tests.support.servers import MERCHANTS

MISLEADING = ["authentication-db", "password.example.com", "senha", "client certificate", "TLS-1"]
UNREACHABLE = {
    'connection to server at "{name}" (10.0.0.1), port 5432 failed: Connection refused\n\t'
    "Is the server running on that host and accepting TCP/IP connections?",
    'connection to server on socket "/run/{name}/.s.PGSQL.5432" failed: No such file or directory',
    'could not translate host name "{name}" to address: Temporary failure in name resolution',
    'connection to server at "{name}" (10.0.0.1), port 5432 failed: timeout expired',
    'connection to server at "{name}" (10.0.0.1), port 5432 failed: FATAL:  the database system '
    "is starting up",
}
REFUSED = {
    'FATAL:  password authentication failed for user "{name}"': BY_STATE["28"],
    'FATAL:  role "{name}" does not exist': BY_STATE["28"],
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "{name}", database "d"': BY_STATE["28"],
    'FATAL:  database "{name}" does not exist': BY_STATE["3D"],
    "SSL error: certificate verify failed": UNTRUSTED,
    'server certificate for "x" does not match host name "{name}"': WRONG_HOST,
}


def settings_of(host: str) -> Any:
    source = {"host": host, "database": "d", "user": "u", "sslmode": "disable"}
    values = {"merchants": MERCHANTS, "transactions": source, "auth_logs": source}
    return loader.from_values(values | {"allow_insecure": True}, "teste", {})


def translated(message: str, host: str) -> AggregatorError:
    error = exc.OperationalError(None, None, psycopg2.OperationalError(message))
    return translate(error, "transactions", settings_of(host).transactions)


@pytest.mark.parametrize("name", MISLEADING)
@pytest.mark.parametrize("message", sorted(UNREACHABLE))
def test_a_server_that_is_down_is_a_transient_error_under_any_name(message: str, name: str) -> None:
    error = translated(message.format(name=name), name)
    assert isinstance(error, TransientError)
    assert str(error) == NOT_CONNECTED.format(side="transactions", host=name, port=5432)


@pytest.mark.parametrize("name", [*MISLEADING, "recovery", "SYSCALL"])
@pytest.mark.parametrize("message", REFUSED)
def test_a_refusal_is_recognised_under_any_name(message: str, name: str) -> None:
    start = f'connection to server at "{name}" (10.0.0.1), port 5432 failed: '
    error = translated(start + message.format(name=name), name)
    assert error.template == REFUSED[message]
    assert type(error) is ExtractionError


def test_the_drivers_real_message_about_a_misleading_socket_is_no_refusal(tmp_path: Path) -> None:
    host = tmp_path / "password-certificate"
    host.mkdir()
    with (
        pytest.raises(TransientError, match=pattern(NOT_CONNECTED)),
        sessions.session(settings_of(str(host)), "transactions"),
    ):
        pass
