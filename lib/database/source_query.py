"""The query of a side: its site's file or the contract's own, and the parameters bound into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from lib.database import sessions
from lib.domain import file_system
from lib.domain.errors import ContractError, ExtractionError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.sessions import Cursor
    from lib.domain.requests import Side

UNKNOWN_PARAMETER: Final = (
    "{side}: a consulta usa o parâmetro desconhecido :{name}; há {known} "
    "(escreva \\: para um dois-pontos comum)."
)
UNREADABLE_QUERY: Final = (
    "{side}: não foi possível ler o arquivo de consulta {path}; confira query_file."
)
# The dialects of PostgreSQL take a tenth of a run's start to load.
_DIALECT: Final = DefaultDialect(paramstyle="pyformat")
_TOKENS: Final = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\s+|;"""
    r"""|(?P<code>\b[Ee]'(?:[^'\\]|\\.|'')*'|'[^']*'|"[^"]*"|(?P<tag>\$\w*\$).*?(?P=tag)|.)""",
    re.DOTALL,
)
_DEFAULT_QUERIES: Final = Path(__file__).with_name("sql")


def load(settings: Settings, side: Side) -> str:
    """The side's SQL: its query file, or by default the query on the contract's tables."""
    path = sessions.source_of(settings, side).query_file or _DEFAULT_QUERIES / f"{side}.sql"
    try:
        return _without_end(file_system.read_text(path))
    except (OSError, ValueError) as error:
        raise ExtractionError(UNREADABLE_QUERY, side=side, path=path) from error


def render(cursor: Cursor, side: Side, sql: str, parameters: dict[str, object]) -> bytes:
    """Render the parameters into the statement with the driver, because COPY takes none."""
    spaced = re.sub(r"(?<![:\w\\])(:\w+)::", r"\1 ::", sql)
    compiled = text(spaced).compile(dialect=_DIALECT)
    unknown = sorted(set(compiled.params) - set(parameters))
    if unknown:
        known = ", ".join(f":{name}" for name in sorted(parameters))
        raise ContractError(UNKNOWN_PARAMETER, side=side, name=unknown[0], known=known)
    rendered: bytes = cursor.mogrify(str(compiled), parameters)
    return rendered


def _without_end(sql: str) -> str:
    """The statement without its closing semicolon and the comments behind it."""
    end, closed = 0, False
    for token in _TOKENS.finditer(sql):
        if token["code"]:
            end, closed = token.end(), False
        closed = closed or token[0] == ";"
    return (sql[:end] if closed else sql).strip()
