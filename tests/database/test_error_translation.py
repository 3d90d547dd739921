"""What a driver's words are taken to mean, whatever the site calls its servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import exc

from lib.config import loader
from lib.database import sessions
from lib.database.error_translation import translate
from lib.domain.errors import AggregatorError, ExtractionError, TransientError
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
    'FATAL:  password authentication failed for user "{name}"': "confira user e password",
    'FATAL:  role "{name}" does not exist': "confira user e password",
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "{name}", database "d"': (
        "confira user e password"
    ),
    'FATAL:  database "{name}" does not exist': "confira database",
    "SSL error: certificate verify failed": "confira sslrootcert",
    'server certificate for "x" does not match host name "{name}"': "não é de",
}


def settings_of(host: str) -> Any:
    where = {"host": host, "database": "d", "user": "u", "sslmode": "disable"}
    values = {"merchants": MERCHANTS, "transactions": where, "auth_logs": where}
    return loader.from_values(values | {"allow_insecure": True}, "teste", {})


def meant(words: str, host: str) -> AggregatorError:
    problem = exc.OperationalError(None, None, psycopg2.OperationalError(words))
    return translate(problem, "transactions", settings_of(host).transactions)


@pytest.mark.parametrize("name", MISLEADING)
@pytest.mark.parametrize("words", sorted(UNREACHABLE))
def test_a_server_that_is_down_is_asked_again_whatever_it_is_called(words: str, name: str) -> None:
    problem = meant(words.format(name=name), name)
    assert isinstance(problem, TransientError)
    assert str(problem).startswith(f"transactions: não foi possível conectar a {name}, porta 5432")


@pytest.mark.parametrize("name", [*MISLEADING, "recovery", "SYSCALL"])
@pytest.mark.parametrize("words", REFUSED)
def test_a_refusal_is_told_for_what_it_is_whatever_the_names(words: str, name: str) -> None:
    at = f'connection to server at "{name}" (10.0.0.1), port 5432 failed: '
    problem = meant(at + words.format(name=name), name)
    assert REFUSED[words] in str(problem)
    assert type(problem) is ExtractionError


def test_the_drivers_own_words_about_a_socket_of_such_a_name_are_no_refusal(tmp_path: Path) -> None:
    host = tmp_path / "password-certificate"
    host.mkdir()
    with (
        pytest.raises(TransientError, match="não foi possível conectar"),
        sessions.session(settings_of(str(host)), "transactions"),
    ):
        pass
