"""What a driver's failures mean: one sentence that names the side and what to do, and its kind.

Owns the reading of SQLSTATEs and of the few messages that have none. The driver's own words, which
may carry values, stay out of the sentence. Opens nothing.
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

_BY_STATE: Final = {
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
}
_CONTRACT_STATES: Final = {
    "22021": "{side}: há textos fora da codificação do banco; peça a quem o administra que acerte.",
    "22": "{side}: um valor não tem o tipo do contrato (data, hora ou valor; código {code}); "
    "confira os tipos das colunas.",
}
# A line that is cut while COPY runs is a bare DatabaseError to the driver.
_LOST: Final = (psycopg2.OperationalError, psycopg2.DatabaseError, psycopg2.InterfaceError)
_TRANSIENT: Final = re.compile("08...|57P0[1235]|40001|40P01|53300")
_CONNECTING: Final = (
    (r"password|senha|authentication|autentica|pg_hba|role .* does not exist", "28"),
    (r"database .* does not exist", "3D"),
    (r"too many clients|connection slots|too many connections|muit[ao]s (clientes|conex)", "53"),
)
_TLS: Final = (
    (
        r"does not match host name",
        "{side}: o certificado do servidor não é de {host}; confira host, e se não é um impostor.",
    ),
    (
        r"certificate verify failed",
        "{side}: o certificado do servidor venceu ou não é de confiança; confira sslrootcert e a "
        "validade dele.",
    ),
    (
        r"client certificate|certificate required|private key",
        "{side}: o servidor pede um certificado de cliente que sirva; confira sslcert e sslkey "
        "(que só o dono pode ler).",
    ),
    (
        r"certificate|SSL|TLS",
        "{side}: a conexão segura (TLS) foi recusada; confira sslmode e sslrootcert.",
    ),
)
# The names of this site (host, socket, user, database, files) are quoted, and say nothing of why.
_QUOTED: Final = re.compile(r"""["«“][^"»”]*["»”]""")
_RESTARTING: Final = "starting up|shutting down|recovery|iniciando|deslig|recupera|terminating"


def translate(problem: Exception, side: Side, where: Source) -> AggregatorError:
    """The sentence for a driver's failure on this side; the driver's words stay out of it."""
    original = getattr(problem, "orig", None) or problem
    code = getattr(original, "pgcode", None) or ""
    if isinstance(problem, exc.InvalidRequestError):  # the pool gave up on finding a live one
        return TransientError(_BY_STATE["08"], side=side)
    if not code and type(original) in _LOST:
        if original is problem:  # SQLAlchemy wraps what happens while connecting, nothing later
            return TransientError(_BY_STATE["08"], side=side)
        return _not_connected(_QUOTED.sub('""', str(original)), side, where)
    for length in (5, 3, 2):
        prefix = code[:length]
        if prefix in _CONTRACT_STATES:
            return ContractError(_CONTRACT_STATES[prefix], side=side, code=code)
        if prefix in _BY_STATE:
            kind = ContractError if prefix in ("42P01", "42703") else ExtractionError
            kind = TransientError if _TRANSIENT.fullmatch(code) else kind
            name = _identifier(original)
            return kind(_BY_STATE[prefix], side=side, code=code, name=name)
    return ExtractionError(
        "{side}: a leitura falhou no banco (código {code}); veja o log do servidor.",
        side=side,
        code=code or "?",
    )


def _not_connected(words: str, side: Side, where: Source) -> ExtractionError:
    for pattern, state in _CONNECTING:
        if re.search(pattern, words, re.IGNORECASE):
            kind = TransientError if state == "53" else ExtractionError
            return kind(_BY_STATE[state], side=side)
    for pattern, sentence in _TLS:
        if re.search(pattern, words) and "SYSCALL" not in words:
            return ExtractionError(sentence, side=side, host=where.host)
    # A server that answers, but with a refusal of no known kind, will refuse again.
    refused = "FATAL" in words and not re.search(_RESTARTING, words, re.IGNORECASE)
    kind = ExtractionError if refused else TransientError
    return kind(
        "{side}: não foi possível conectar a {host}, porta {port}; "
        "confira se o banco está no ar e se o endereço está certo.",
        side=side,
        host=where.host,
        port=where.port,
    )


def _identifier(problem: BaseException) -> str:
    """The table or column a message names: an identifier, never a value."""
    primary = getattr(getattr(problem, "diag", None), "message_primary", None) or ""
    named = re.search(r'"([\w.]{1,63})"|(?:table|view|schema|column) ([\w.]{1,63})', primary)
    return next((n for n in named.groups() if n), "?") if named else "?"
