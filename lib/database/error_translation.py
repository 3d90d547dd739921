"""Translate a driver's errors into AggregatorErrors that name the side and the remedy.

Owns the interpretation of SQLSTATEs, and of refused connections, for which the driver has a text
alone: in the server's language, here recognised in six. The driver's text may carry values, and is
never repeated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psycopg2
from sqlalchemy import exc

from lib.domain.errors import (
    AggregatorError,
    ContractError,
    ExtractionError,
    SnapshotError,
    TransientError,
)

if TYPE_CHECKING:
    from lib.config.settings import Source
    from lib.domain.requests import Side

BY_STATE: Final = {
    "28": "{side}: o servidor recusou o usuário ou a senha; confira user e password.",
    "28000": "{side}: o servidor não admite este usuário, banco ou computador; peça ao "
    "administrador uma entrada em pg_hba.conf e LOGIN para o usuário.",
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
    "25P04": "{side}: a leitura passou do tempo que o servidor dá a uma transação "
    "(transaction_timeout); reduza o período ou peça ao administrador um limite maior.",
    "55000": "{side}: o banco de dados configurado não aceita conexões agora; confira database ou "
    "peça ao administrador que as permita (ALLOW_CONNECTIONS).",
    "25": "{side}: a sessão é somente leitura e a consulta tenta gravar; confira o query_file.",
    "55P03": "{side}: uma carga espera por uma tabela que a leitura usa; "
    "tente de novo quando ela terminar.",
    "22021": "{side}: há textos fora da codificação do banco; "
    "peça ao administrador que os corrija.",
    "22P05": "{side}: a consulta, ou um comentário dela, tem um caractere que a codificação do "
    "banco não tem; confira o query_file.",
    "22": "{side}: um valor não tem o tipo do contrato (data, hora ou valor; código {code}); "
    "confira os tipos das colunas.",
}
"""Templates by SQLSTATE: the whole code, its first three characters or its class."""
OTHER_STATE: Final = "{side}: a leitura falhou no banco (código {code}); veja o log do servidor."
NOT_CONNECTED: Final = (
    "{side}: não foi possível conectar a {host}, porta {port}; "
    "confira se o banco está no ar e se o endereço está certo."
)
REFUSED: Final = (
    "{side}: o servidor respondeu e recusou a conexão; confira user, password e database, e com o "
    "administrador se o usuário pode conectar e se há conexões livres."
)
NO_CONNECT: Final = (
    "{side}: o usuário não tem permissão de conectar ao banco configurado; peça um GRANT CONNECT."
)
NOT_POSTGRESQL: Final = (
    "{side}: o que responde em {host}, porta {port}, não é um servidor PostgreSQL; confira host e "
    "port."
)
CLOSED_AT_ONCE: Final = (
    "{side}: a conexão foi encerrada logo depois de aberta; tente de novo e, se persistir, confira "
    "se há um pooler em modo statement diante do banco, pois a leitura precisa de transações."
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
_TRANSIENT: Final = re.compile("08...|57P0[1235]|40001|40P01|53300")
_RELOAD_WAITS: Final = "55P03"
# The texts of PostgreSQL's catalogues in English, Spanish, Portuguese, French, German and Italian.
_DATABASE: Final = "(?:database|base de datos|banco de dados|base de données|Datenbank)"
_CONNECTING: Final = (
    (r"pg_hba", BY_STATE["28000"]),
    (
        r"too many|connection slots|no more connections|demasiad[oa]s|conexiones restantes|"
        r"muit[ao]s (clientes|conex)|conexões (rest|reman)|trop de|emplacements de connexions|"
        r"zu viele|verbleibenden Verbindungen|tropp[ei] (client|conn)|slot di connessione",
        BY_STATE["53"],
    ),
    (
        "(permission denied|permiso denegado|permissão negada|droit refusé|keine Berechtigung|"
        f"permesso negato).* {_DATABASE}",
        NO_CONNECT,
    ),
    (
        "not permitted to log in|no se le permite|não .*permi.*conect|pas autorisé à se connecter|"
        "Berechtigung zum Einloggen|consentito effettuare il login",
        BY_STATE["28000"],
    ),
    (
        '"" (is not currently accepting|no acepta|não está aceitando|n.accepte plus|akzeptiert|'
        "attualmente non accetta)",
        BY_STATE["55000"],
    ),
    (
        f'{_DATABASE} "" (does not exist|não existe|n.existe pas|existiert nicht|non esiste)|'
        "no existe la base de datos|no such database",
        BY_STATE["3D"],
    ),
    (
        "password|senha|authenti|autenti|"
        '(role|rol|rôle|ruolo) "" (does not exist|não existe|n.existe pas|existiert nicht|'
        'non esiste)|Rolle "" existiert nicht|no existe el rol',
        BY_STATE["28"],
    ),
)
_NOT_POSTGRESQL: Final = "received invalid response|expected authentication request"
_NAMED: Final = re.compile(
    r"""["«»“„]\s?([\w.]{1,63})\s?["«»“”]|"""
    "(?:table|view|schema|column|tabla|vista|esquema|columna|tabela|visão|coluna|vue|schéma|colonne|"
    r"Tabelle|Sicht|Spalte|tabella|colonna) ([\w.]{1,63})",
    re.IGNORECASE,
)
_TLS: Final = (
    (r"does not match host name", WRONG_HOST),
    (r"certificate verify failed", UNTRUSTED),
    (r"client certificate|certificate required|private key", CLIENT_CERTIFICATE),
    (r"certificate|SSL|TLS", TLS_REFUSED),
)
# Quoted names (host, socket, user, database, files) are the site's own and say nothing of the
# cause.
_QUOTED: Final = re.compile(r"""["«»“„][^"«»“”]*["«»“”]""")
# libpq's own messages are English; a server's begin with their severity and two spaces.
_FROM_SERVER: Final = re.compile(r": [^\s:]+:  ")
_STARTING: Final = (
    "starting up|shutting down|recovery|accepting connections|terminating|iniciándose|apagándose|"
    "recuperación|iniciando|deslig|recupera|se lance|s.arrête|restauration|startet|herunter|"
    "Wiederherstellung|avviando|spegnendo|ripristino|cannot connect to server"
)


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
            kind = SnapshotError if code == _RELOAD_WAITS else kind
            template = BY_STATE[prefix]
            # Only these driver messages quote an identifier; others may quote a row's value.
            name = _identifier(original) if "{name}" in template else "?"
            return kind(template, side=side, code=code, name=name)
    return ExtractionError(OTHER_STATE, side=side, code=code or "?")


def _not_connected(message: str, side: Side, source: Source) -> ExtractionError:
    address = {"host": source.host, "port": source.port}
    if re.search(_NOT_POSTGRESQL, message):
        return ExtractionError(NOT_POSTGRESQL, side=side, **address)
    if message.startswith("server closed the connection"):
        return TransientError(CLOSED_AT_ONCE, side=side)
    for pattern, template in _CONNECTING:
        if re.search(pattern, message, re.IGNORECASE):
            kind = TransientError if template == BY_STATE["53"] else ExtractionError
            return kind(template, side=side)
    for pattern, template in _TLS:
        if re.search(pattern, message) and "SYSCALL" not in message:
            return ExtractionError(template, side=side, host=source.host)
    # A server that refuses for an unknown reason will refuse again.
    if _FROM_SERVER.search(message) and not re.search(_STARTING, message, re.IGNORECASE):
        return ExtractionError(REFUSED, side=side)
    return TransientError(NOT_CONNECTED, side=side, **address)


def _identifier(error: BaseException) -> str:
    """The table or column that a driver's message names: an identifier, never a value."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None) or ""
    named = _NAMED.search(primary)
    return next((n for n in named.groups() if n), "?") if named else "?"
