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
    "28": "{side}: o servidor recusou o usuário ou a senha; confira user e password, e com o "
    "administrador se a senha não venceu.",
    "28000": "{side}: o servidor não admite este usuário, banco ou computador; peça ao "
    "administrador uma entrada em pg_hba.conf e LOGIN para o usuário.",
    "3D": "{side}: o banco de dados configurado não existe no servidor; confira database.",
    "3F": "{side}: um esquema da consulta não existe no banco; confira o banco configurado.",
    "42P01": "{side}: a tabela {name} não existe no banco; confira o banco ou o query_file.",
    "42703": "{side}: a coluna {name} não existe no banco; confira as tabelas ou o query_file.",
    "42501": "{side}: o usuário não tem permissão de leitura em {name}; peça um GRANT SELECT "
    "(se for um esquema, GRANT USAGE).",
    "42601": "{side}: a consulta tem um erro de sintaxe; confira o query_file.",
    "42": "{side}: o banco não aceita a consulta (código {code}); confira o query_file.",
    "57014": "{side}: a leitura passou do tempo limite ou foi cancelada; "
    "reduza o período ou aumente statement_timeout.",
    "57P": "{side}: o servidor encerrou a conexão durante a leitura; tente de novo em instantes.",
    "53100": "{side}: o servidor do banco está sem espaço em disco; avise o administrador dele.",
    "53200": "{side}: o servidor do banco está sem memória, ou sem lugar para travas "
    "(max_locks_per_transaction); avise o administrador dele.",
    "53400": "{side}: a leitura passou de um limite do servidor (como temp_file_limit); "
    "reduza o período ou peça ao administrador um limite maior.",
    "53": "{side}: o servidor está sem conexões ou recursos livres; tente de novo em instantes.",
    "40": "{side}: o servidor interrompeu a leitura por conflito com outra operação; "
    "tente de novo em instantes.",
    "08": "{side}: a conexão com o servidor caiu durante a leitura; tente de novo em instantes.",
    "25P04": "{side}: a leitura passou do tempo que o servidor dá a uma transação "
    "(transaction_timeout); reduza o período ou peça ao administrador um limite maior.",
    "55000": "{side}: o banco de dados configurado não aceita conexões agora; confira database ou "
    "peça ao administrador que as permita (ALLOW_CONNECTIONS).",
    "25006": "{side}: a sessão é somente leitura e a consulta tenta gravar; confira o query_file.",
    "55P03": "{side}: uma carga espera por uma tabela que a leitura usa; "
    "tente de novo quando ela terminar.",
    "22021": "{side}: há textos fora da codificação do banco; "
    "peça ao administrador que os corrija.",
    "22P05": "{side}: a consulta, ou um comentário dela, tem um caractere que a codificação do "
    "banco não tem; confira o query_file.",
    "22012": "{side}: a consulta divide por zero; confira o query_file.",
    "22": "{side}: um valor não tem o tipo do contrato (data, hora ou valor; código {code}); "
    "confira os tipos das colunas.",
}
"""Templates by SQLSTATE: the whole code, its first three characters or its class."""
NO_SHA256: Final = (
    "{side}: o servidor não tem a função sha256, de que a leitura precisa; peça ao administrador "
    "o PostgreSQL 11 ou mais novo."
)
OTHER_STATE: Final = "{side}: a leitura falhou no banco (código {code}); veja o log do servidor."
NOT_CONNECTED: Final = (
    "{side}: não foi possível conectar a {host}, porta {port}; "
    "confira se o banco está no ar e se o endereço está certo."
)
STARTING: Final = (
    "{side}: o servidor em {host}, porta {port}, está iniciando, encerrando ou se recuperando e "
    "não aceita conexões; tente de novo em instantes."
)
REFUSED: Final = (
    "{side}: o servidor respondeu e recusou a conexão; confira user, password e database, e com o "
    "administrador se o usuário pode conectar, se há conexões livres e se o servidor já iniciou."
)
NOT_ADMITTED_WITHOUT_TLS: Final = (
    "{side}: o servidor não admite este usuário, banco ou computador em uma conexão sem TLS "
    "(sslmode = disable); mude sslmode, ou peça ao administrador uma entrada em pg_hba.conf."
)
LOGIN_INCOMPLETE: Final = (
    "{side}: o servidor pede uma senha, e a configuração não tem nenhuma; preencha password ou "
    "password_file."
)
NO_CONNECT: Final = (
    "{side}: o usuário não tem permissão de conectar ao banco configurado; peça um GRANT CONNECT."
)
NOT_POSTGRESQL: Final = (
    "{side}: o que responde em {host}, porta {port}, não é um servidor PostgreSQL; confira host e "
    "port."
)
ALL_IN_USE: Final = (
    "{side}: todas as conexões deste programa com o banco estão em uso; tente de novo em instantes."
)
CLOSED_AT_ONCE: Final = (
    "{side}: a conexão foi encerrada logo depois de aberta; tente de novo e, se persistir, confira "
    "se há um pooler diante do banco sem conexões livres, ou em modo statement, pois a leitura "
    "precisa de transações."
)
UNUSABLE_SETTING: Final = (
    "{side}: o servidor, ou um pooler diante dele, não aceita {name} como a leitura precisa; "
    "conecte-se direto ao PostgreSQL ou peça ao administrador que libere esse parâmetro."
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
NO_TLS: Final = (
    "{side}: o servidor não oferece a conexão segura (TLS) que sslmode exige; peça ao "
    "administrador que a ligue (ssl = on)."
)
TLS_REFUSED: Final = "{side}: a conexão segura (TLS) foi recusada; confira sslmode e sslrootcert."
# The driver raises a bare DatabaseError for a connection that is cut while COPY runs.
_LOST: Final = (psycopg2.OperationalError, psycopg2.DatabaseError, psycopg2.InterfaceError)
_CONTRACT_STATES: Final = ("42P01", "42703", "22021", "22012", "22")
_TRANSIENT: Final = re.compile("08...|57P0[1235]|40001|40P01|53300")
_RELOAD_WAITS: Final = "55P03"
_NO_FUNCTION: Final = "42883"
# The texts of PostgreSQL's catalogues in English, Spanish, Portuguese, French, German and Italian.
_DATABASE: Final = "(?:database|base de datos|banco de dados|base de données|Datenbank)"
_NO_ENTRY: Final = "pg_hba"
_CONNECTING: Final = (
    (_NO_ENTRY, BY_STATE["28000"]),
    (
        r"query_wait_timeout|out of memory|could not fork|No space left|memória esgotada|"
        r"mémoire épuisée|memoria (agotada|esaurita)|Speicher aufgebraucht|too many|"
        r"connection slots|no more connections|"
        r"demasiad[oa]s|conexiones restantes|muit[ao]s (clientes|conex)|conexões (rest|reman)|"
        r"trop de|emplacements de connexions|zu viele|verbleibenden Verbindungen|"
        r"tropp[ei] (client|conn)|slot di connessione",
        BY_STATE["53"],
    ),
    (
        "(permission denied|permiso denegado|permissão negada|droit refusé|keine Berechtigung|"
        f"permesso negato).* {_DATABASE}",
        NO_CONNECT,
    ),
    (
        "not permitted to log in|login rejected|no se le permite|não .*permi.*conect|"
        "pas autorisé à se connecter|Berechtigung zum Einloggen|consentito effettuare il login",
        BY_STATE["28000"],
    ),
    (
        '"" (is disabled|is not currently accepting|no acepta|não está aceitando|n.accepte plus|'
        "akzeptiert|attualmente non accetta)",
        BY_STATE["55000"],
    ),
    (
        f'{_DATABASE} "" (does not exist|não existe|n.existe pas|existiert nicht|non esiste)|'
        "no existe la base de datos|no such database",
        BY_STATE["3D"],
    ),
    ("no password supplied", LOGIN_INCOMPLETE),
    (
        "password|senha|authenti|autenti|"
        '(role|rol|rôle|ruolo) "" (does not exist|não existe|n.existe pas|existiert nicht|'
        'non esiste)|Rolle "" existiert nicht|no existe el rol',
        BY_STATE["28"],
    ),
)
# A session starts with one that poolers refuse only where its login's default quoting is another.
_REFUSED_PARAMETER: Final = "unsupported startup parameter"
_CLOSED_AT_ONCE: Final = (
    "server closed the connection|SSL connection has been closed|SSL SYSCALL error|"
    "SSL error: unexpected eof"
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
    (
        r"client certificate|certificate required|private key|certificado de cliente|"
        r"certificat client|Client-Zertifikat|certificato valido per il client",
        CLIENT_CERTIFICATE,
    ),
    (r"does not support SSL", NO_TLS),
    (r"certificate|SSL|TLS", TLS_REFUSED),
)
# Quoted names (host, socket, user, database, files) are the site's own and say nothing of the
# cause.
_QUOTED: Final = re.compile(r"""["«»“„][^"«»“”]*["«»“”]""")
# libpq's own messages are English; a server's begin with their severity and two spaces.
_FROM_SERVER: Final = re.compile(r": [^\s:]+:  ")
_ATTEMPTS: Final = re.compile(r"\n(?=connection to server)")
_STARTING: Final = (
    "starting up|shutting down|recovery|accepting connections|terminating|"
    "iniciándose|apagándose|recuperación|aceptando conexiones|terminando la conexión|"
    "iniciando|deslig|recupera|aceitando conexões|terminando conexão|"
    "se lance|s.arrête|restauration|n.accepte pas|arrêt des connexions|"
    "startet|herunter|Wiederherstellung|nimmt (noch )?keine|wird abgebrochen|"
    "avviando|spegnendo|ripristino|non accetta|interruzione della connessione"
)


def translate_connecting(error: Exception, side: Side, source: Source) -> AggregatorError:
    """Return the AggregatorError for a connection that the pool could not provide."""
    if isinstance(error, exc.TimeoutError):  # all connections of the pool are in use
        return TransientError(ALL_IN_USE, side=side)
    if isinstance(error, exc.SQLAlchemyError):  # the pool has no live connection
        return TransientError(BY_STATE["08"], side=side)
    if not getattr(error, "pgcode", None) and type(error) in _LOST:
        return _not_connected(_QUOTED.sub('""', str(error)), side, source)
    return translate(error, side)


def translate(error: Exception, side: Side) -> AggregatorError:
    """Return the AggregatorError for a psycopg2 error of a session on this side."""
    code = getattr(error, "pgcode", None) or ""
    if not code and type(error) in _LOST:
        return TransientError(BY_STATE["08"], side=side)
    if code == _NO_FUNCTION and "sha256" in str(error):
        return ExtractionError(NO_SHA256, side=side)
    for length in (5, 3, 2):
        prefix = code[:length]
        if prefix in BY_STATE:
            kind = ContractError if prefix in _CONTRACT_STATES else ExtractionError
            kind = TransientError if _TRANSIENT.fullmatch(code) else kind
            kind = SnapshotError if code == _RELOAD_WAITS else kind
            template = BY_STATE[prefix]
            # Only these driver messages quote an identifier; others may quote a row's value.
            name = _identifier(error) if "{name}" in template else "?"
            return kind(template, side=side, code=code, name=name)
    return ExtractionError(OTHER_STATE, side=side, code=code or "?")


def _not_connected(message: str, side: Side, source: Source) -> ExtractionError:
    address = {"host": source.host, "port": source.port}
    message = _cause(message)
    if re.search(_NOT_POSTGRESQL, message):
        return ExtractionError(NOT_POSTGRESQL, side=side, **address)
    if re.match(_CLOSED_AT_ONCE, message):  # after the login: libpq names no address
        return TransientError(CLOSED_AT_ONCE, side=side)
    if _REFUSED_PARAMETER in message:
        return ExtractionError(UNUSABLE_SETTING, side=side, name="standard_conforming_strings")
    for pattern, template in _CONNECTING:
        if re.search(pattern, message, re.IGNORECASE):
            if pattern == _NO_ENTRY and source.sslmode == "disable":
                template = NOT_ADMITTED_WITHOUT_TLS
            kind = TransientError if template == BY_STATE["53"] else ExtractionError
            return kind(template, side=side)
    for pattern, template in _TLS:
        if re.search(pattern, message) and "SYSCALL" not in message:
            return ExtractionError(template, side=side, host=source.host)
    # A server that refuses for an unknown reason will refuse again.
    if _FROM_SERVER.search(message) and "cannot connect to server" not in message:
        if re.search(_STARTING, message, re.IGNORECASE):
            return TransientError(STARTING, side=side, **address)
        return ExtractionError(REFUSED, side=side)
    return TransientError(NOT_CONNECTED, side=side, **address)


def _cause(message: str) -> str:
    """The message without an attempt in the clear that follows a refusal over TLS.

    libpq makes one in sslmode prefer, and the server's lack of an entry for it explains nothing.
    """
    attempts = _ATTEMPTS.split(message)
    causes = [a for a in attempts if _FROM_SERVER.search(a) and _NO_ENTRY not in a]
    return "\n".join(causes) or message


def _identifier(error: BaseException) -> str:
    """The table or column that a driver's message names: an identifier, never a value."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None) or ""
    named = _NAMED.search(primary)
    return next((n for n in named.groups() if n), "?") if named else "?"
