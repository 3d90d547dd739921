"""The translation of a driver's errors, independent of the names that a site uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import exc

from lib.config import loader
from lib.database import error_translation as texts
from lib.database import sessions
from lib.database.error_translation import (
    ALL_IN_USE,
    BY_STATE,
    NO_CONNECT,
    NOT_CONNECTED,
    UNTRUSTED,
    WRONG_HOST,
    translate,
    translate_connecting,
)
from lib.database.error_translation import REFUSED as REFUSED_SOMEHOW
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
}
REFUSED = {
    'FATAL:  password authentication failed for user "{name}"': BY_STATE["28"],
    'FATAL:  role "{name}" does not exist': BY_STATE["28"],
    "fe_sendauth: no password supplied": texts.LOGIN_INCOMPLETE,
    "FATAL:  connection requires a valid client certificate": texts.CLIENT_CERTIFICATE,
    "server does not support SSL, but SSL was required": texts.NO_TLS,
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "{name}", database "d"': BY_STATE[
        "28000"
    ],
    'FATAL:  database "{name}" does not exist': BY_STATE["3D"],
    "SSL error: certificate verify failed": UNTRUSTED,
    'server certificate for "x" does not match host name "{name}"': WRONG_HOST,
}


def settings_of(host: str, sslmode: str = "prefer") -> Any:
    source = {"host": host, "database": "d", "user": "u", "sslmode": sslmode}
    values = {"merchants": MERCHANTS, "transactions": source, "auth_logs": source}
    return loader.from_values(values | {"allow_insecure": True}, "teste", {})


def translated(message: str, host: str) -> AggregatorError:
    error = psycopg2.OperationalError(message)
    return translate_connecting(error, "transactions", settings_of(host).transactions)


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


# PostgreSQL's own translations.
IN_OTHER_LANGUAGES = {
    "la autentificación password falló para el usuario «{name}»": BY_STATE["28"],
    'autenticação do tipo senha falhou para usuário "{name}"': BY_STATE["28"],
    "no existe el rol «{name}»": BY_STATE["28"],
    "al rol «{name}» no se le permite conectarse": BY_STATE["28000"],
    'role "{name}" não tem permissão para se conectar': BY_STATE["28000"],
    "no hay una línea en pg_hba.conf para «10.0.0.1», usuario «{name}»": BY_STATE["28000"],
    "permiso denegado a la base de datos «{name}»": NO_CONNECT,
    'permissão negada para banco de dados "{name}"': NO_CONNECT,
    "no existe la base de datos «{name}»": BY_STATE["3D"],
    'banco de dados "{name}" não existe': BY_STATE["3D"],
    "la base de datos «{name}» no acepta conexiones": BY_STATE["55000"],
    'banco de dados "{name}" não está aceitando conexões no momento': BY_STATE["55000"],
    "demasiadas conexiones para el rol «{name}»": BY_STATE["53"],
    "lo siento, ya tenemos demasiados clientes": BY_STATE["53"],
    "desculpe, muitos clientes conectados": BY_STATE["53"],
    "the database system is not yet accepting connections": texts.STARTING,
    "the database system is in recovery mode": texts.STARTING,
    "el sistema de base de datos está iniciándose": texts.STARTING,
    "el sistema de bases de datos aún no está aceptando conexiones": texts.STARTING,
    "terminando la conexión debido a una orden del administrador": texts.STARTING,
    "o sistema de banco de dados está iniciando": texts.STARTING,
    "das Datenbanksystem nimmt noch keine Verbindungen an": texts.STARTING,
    "le système de bases de données n'accepte pas encore de connexions": texts.STARTING,
    "il sistema di database non accetta connessioni": texts.STARTING,
    "la base de données « {name} » n'accepte plus les connexions": BY_STATE["55000"],
    "la connexion requiert un certificat client valide": texts.CLIENT_CERTIFICATE,
    "Verbindung erfordert ein gültiges Client-Zertifikat": texts.CLIENT_CERTIFICATE,
    "memoria agotada": BY_STATE["53"],
    "could not fork new process for connection: Resource unavailable": BY_STATE["53"],
    "pgbouncer cannot connect to server": NOT_CONNECTED,
    "query_wait_timeout": BY_STATE["53"],
    'database "{name}" is disabled': BY_STATE["55000"],
    "login rejected": BY_STATE["28000"],
    "прием подключений запрещён": REFUSED_SOMEHOW,
}


@pytest.mark.parametrize("name", ["vendas", "senha"])
@pytest.mark.parametrize("message", IN_OTHER_LANGUAGES)
def test_a_refusal_is_recognised_in_the_servers_language(message: str, name: str) -> None:
    start = f'connection to server at "{name}" (10.0.0.1), port 5432 failed: FATAL:  '
    error = translated(start + message.format(name=name), name)
    assert error.template == IN_OTHER_LANGUAGES[message]
    transient = error.template in (BY_STATE["53"], NOT_CONNECTED, texts.STARTING)
    assert isinstance(error, TransientError) == transient


def test_without_tls_a_missing_entry_may_be_one_for_tls_alone() -> None:
    message = 'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", no encryption'
    expected = {"prefer": BY_STATE["28000"], "disable": texts.NOT_ADMITTED_WITHOUT_TLS}
    error = psycopg2.OperationalError(message)
    for sslmode, template in expected.items():
        source = settings_of("10.0.0.1", sslmode).transactions
        assert translate_connecting(error, "transactions", source).template == template


BY_CODE = {
    "53100": BY_STATE["53100"],
    "53200": BY_STATE["53200"],
    "53300": BY_STATE["53"],
    "53400": BY_STATE["53400"],
    "25006": BY_STATE["25006"],
    "25P02": texts.OTHER_STATE,
    "22012": BY_STATE["22012"],
    "42883": BY_STATE["42"],
}


@pytest.mark.parametrize("code", BY_CODE)
def test_a_code_says_what_its_class_does_not(code: str) -> None:
    class Failure(psycopg2.Error):
        pgcode = code

    assert translate(Failure(), "transactions").template == BY_CODE[code]


def test_a_pool_without_a_free_or_living_connection_says_so() -> None:
    source = settings_of("h").transactions
    for error, template in (
        (exc.TimeoutError(), ALL_IN_USE),
        (exc.InvalidRequestError(), BY_STATE["08"]),
    ):
        translated = translate_connecting(error, "transactions", source)
        assert translated.template == template
        assert isinstance(translated, TransientError)


NAMED = {
    'relation "vendas" does not exist': "vendas",
    "no existe la relación «vendas»": "vendas",
    "permiso denegado a la tabla vendas": "vendas",
    "permissão negada para tabela vendas": "vendas",
    "Spalte t.valor existiert nicht": "t.valor",
    "la relation « vendas » n'existe pas": "vendas",
    "что-то": "?",
}


@pytest.mark.parametrize("message", NAMED)
def test_a_table_or_column_is_named_in_the_servers_language(message: str) -> None:
    class Diag:
        message_primary = message

    class Missing(psycopg2.Error):
        pgcode = "42P01"
        diag = Diag()

    error = translate(Missing(), "transactions")
    name = NAMED[message]
    assert str(error) == BY_STATE["42P01"].format(side="transactions", name=name)


def test_the_drivers_real_message_about_a_misleading_socket_is_no_refusal(tmp_path: Path) -> None:
    host = tmp_path / "password-certificate"
    host.mkdir()
    with (
        pytest.raises(TransientError, match=pattern(NOT_CONNECTED)),
        sessions.session(settings_of(str(host)), "transactions"),
    ):
        pass
