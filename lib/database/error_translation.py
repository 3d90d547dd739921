"""Translate a driver's errors into AggregatorErrors that name the side and the remedy.

Owns the interpretation of SQLSTATEs and of the few driver messages without one. The driver's own
text may carry values, and is never repeated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psycopg2
from sqlalchemy import exc

from lib.domain.errors import AggregatorError, ContractError, ExtractionError, TransientError

if TYPE_CHECKING:
    from lib.config.settings import Source
    from lib.domain.requests import Side

BY_STATE: Final = {
    "28": "{side}: o servidor recusou o usuário ou a senha; confira user e password.",
    "3D": "{side}: o banco de dados configurado não existe no servidor; confira database.",
    "3F": "{side}: um esquema da consulta não existe no banco; confira o banco configurado.",
    "42P01": "{side}: a tabela {name} não existe no banco; confira o banco ou o query_file.",
    "42703": "{side}: a coluna {name} não existe no banco; confira as tabelas ou o query_file.",
    "42501": "{side}: o usuário não tem permissão de leitura em {name}; peça um GRANT SELECT.",
    "42601": "{side}: a consulta tem um erro de sintaxe; confira o query_file.",
    "42": "{side}: o banco não aceita a consulta (código {code}); confira o query_file.",
    "57014": "{side}: a leitura passou do tempo limite ou foi cancelada; "
    "reduza o período ou aumente statement_timeout.",
    "57P": "{side}: o servidor encerrou a conexão durante a leitura; tente de novo em instantes.",
    "53": "{side}: o servidor está sem conexões ou recursos livres; tente de novo em instantes.",
    "40": "{side}: o servidor interrompeu a leitura por conflito com outra operação; "
    "tente de novo em instantes.",
    "08": "{side}: a conexão com o servidor caiu durante a leitura; tente de novo em instantes.",
    "25": "{side}: a sessão é somente leitura e a consulta tenta gravar; confira o query_file.",
    "55P03": "{side}: uma carga espera por uma tabela que a leitura usa; "
    "tente de novo quando ela terminar.",
    "22021": "{side}: há textos fora da codificação do banco; peça a quem o administra que acerte.",
    "22": "{side}: um valor não tem o tipo do contrato (data, hora ou valor; código {code}); "
    "confira os tipos das colunas.",
}
"""Templates by SQLSTATE: the whole code, its first three characters or its class."""
OTHER_STATE: Final = "{side}: a leitura falhou no banco (código {code}); veja o log do servidor."
NOT_CONNECTED: Final = (
    "{side}: não foi possível conectar a {host}, porta {port}; "
    "confira se o banco está no ar e se o endereço está certo."
)
WRONG_HOST: Final = (
    "{side}: o certificado do servidor não é de {host}; confira host, e se não é um impostor."
)
UNTRUSTED: Final = (
    "{side}: o certificado do servidor venceu ou não é de confiança; confira sslrootcert e a "
    "validade dele."
)
CLIENT_CERTIFICATE: Final = (
    "{side}: o servidor pede um certificado de cliente que sirva; confira sslcert e sslkey "
    "(que só o dono pode ler)."
)
TLS_REFUSED: Final = "{side}: a conexão segura (TLS) foi recusada; confira sslmode e sslrootcert."
# The driver raises a bare DatabaseError for a connection that is cut while COPY runs.
_LOST: Final = (psycopg2.OperationalError, psycopg2.DatabaseError, psycopg2.InterfaceError)
_CONTRACT_STATES: Final = ("42P01", "42703", "22021", "22")
_TRANSIENT: Final = re.compile("08...|57P0[1235]|55P03|40001|40P01|53300")
_CONNECTING: Final = (
    (r"password|senha|authentication|autentica|pg_hba|role .* does not exist", "28"),
    (r"database .* does not exist", "3D"),
    (r"too many clients|connection slots|too many connections|muit[ao]s (clientes|conex)", "53"),
)
_TLS: Final = (
    (r"does not match host name", WRONG_HOST),
    (r"certificate verify failed", UNTRUSTED),
    (r"client certificate|certificate required|private key", CLIENT_CERTIFICATE),
    (r"certificate|SSL|TLS", TLS_REFUSED),
)
# Quoted names (host, socket, user, database, files) are the site's own and say nothing of the
# cause.
_QUOTED: Final = re.compile(r"""["«“][^"»”]*["»”]""")
_RESTARTING: Final = "starting up|shutting down|recovery|iniciando|deslig|recupera|terminating"


def translate(error: Exception, side: Side, source: Source) -> AggregatorError:
    """Return the AggregatorError for a psycopg2 or SQLAlchemy error on this side."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "pgcode", None) or ""
    if isinstance(error, exc.InvalidRequestError):  # the pool has no live connection
        return TransientError(BY_STATE["08"], side=side)
    if not code and type(original) in _LOST:
        if original is error:  # SQLAlchemy wraps errors of connecting only
            return TransientError(BY_STATE["08"], side=side)
        return _not_connected(_QUOTED.sub('""', str(original)), side, source)
    for length in (5, 3, 2):
        prefix = code[:length]
        if prefix in BY_STATE:
            kind = ContractError if prefix in _CONTRACT_STATES else ExtractionError
            kind = TransientError if _TRANSIENT.fullmatch(code) else kind
            template = BY_STATE[prefix]
            # Only these driver messages quote an identifier; others may quote a row's value.
            name = _identifier(original) if "{name}" in template else "?"
            return kind(template, side=side, code=code, name=name)
    return ExtractionError(OTHER_STATE, side=side, code=code or "?")


def _not_connected(message: str, side: Side, source: Source) -> ExtractionError:
    for pattern, state in _CONNECTING:
        if re.search(pattern, message, re.IGNORECASE):
            kind = TransientError if state == "53" else ExtractionError
            return kind(BY_STATE[state], side=side)
    for pattern, template in _TLS:
        if re.search(pattern, message) and "SYSCALL" not in message:
            return ExtractionError(template, side=side, host=source.host)
    # A server that refuses for an unknown reason will refuse again.
    refused = "FATAL" in message and not re.search(_RESTARTING, message, re.IGNORECASE)
    kind = ExtractionError if refused else TransientError
    return kind(NOT_CONNECTED, side=side, host=source.host, port=source.port)


def _identifier(error: BaseException) -> str:
    """The table or column that a driver's message names: an identifier, never a value."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None) or ""
    named = re.search(r'"([\w.]{1,63})"|(?:table|view|schema|column) ([\w.]{1,63})', primary)
    return next((n for n in named.groups() if n), "?") if named else "?"
