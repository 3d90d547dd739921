"""Proves, before anything is read for anybody, that both databases keep users' rows apart.

For each side: its query reads no table without active policies, is refused where the policies
may not be left out, and gives nothing to a user whom nobody knows. Changes nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from lib.database import sessions
from lib.domain import requests
from lib.domain.errors import ContractError, ExtractionError, TransientError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.sessions import Cursor
    from lib.domain.requests import Side, Window

_UNPROTECTED: Final = (
    "{side}: row_level_security está ligada, mas o banco não separa as linhas de {table} para o "
    "usuário configurado; aplique docs/row_level_security.sql."
)
_STATEMENTS: Final = 2.0
"""How many of a session's statements may take their whole time."""
_OPEN: Final = (
    "{side}: row_level_security está ligada, mas o banco mostra linhas a quem ninguém conhece; "
    "confira as políticas (docs/row_level_security.sql)."
)


def prove(settings: Settings, window: Window) -> None:
    """Raise ExtractionError where a side does not protect its rows; nothing if not asked for."""
    if not settings.row_level_security:
        return
    for side in requests.SIDES:
        _prove(settings, side, window)


def _prove(settings: Settings, side: Side, window: Window) -> None:
    query = f"SELECT FROM (\n{sessions.query(settings, side)}\n) AS q"
    nobody = secrets.token_hex(16)
    with sessions.session(settings, side, nobody, limit=_limit(settings, side)) as cursor:
        statement = sessions.render(cursor, side, query, window.parameters)
        cursor.execute(b"EXPLAIN (VERBOSE, FORMAT JSON) " + statement)
        for table in sorted(set(_tables(_plan(cursor)))):
            cursor.execute(
                "SELECT row_security_active(format('%%I.%%I', %s::text, %s::text)::regclass)", table
            )
            if cursor.fetchone() != (True,):
                raise ContractError(_UNPROTECTED, side=side, table=".".join(table))
        cursor.execute(statement + b" LIMIT 1")
        if cursor.fetchone() is not None:
            raise ContractError(_OPEN, side=side)
    if not _refused_without_policies(settings, side, statement):
        raise ContractError(_UNPROTECTED, side=side, table="query_file")


def _refused_without_policies(settings: Settings, side: Side, statement: bytes) -> bool:
    """Whether the server refuses rather than leave the policies out, as it then would."""
    try:
        with sessions.session(settings, side, limit=_limit(settings, side)) as cursor:
            cursor.execute("SET LOCAL row_security = off")
            cursor.execute(statement + b" LIMIT 0")
    except TransientError:
        raise
    except ExtractionError as refusal:
        return sessions.lacks_permission(refusal)
    return False


def _limit(settings: Settings, side: Side) -> float:
    return _STATEMENTS * sessions.source(settings, side).statement_timeout


def _plan(cursor: Cursor) -> Any:
    (found,) = cursor.fetchone()
    return json.loads(found) if isinstance(found, str) else found


def _tables(plan: Any) -> Iterator[tuple[str, str]]:
    """Schema and name of every table in a plan but those that only a policy reads."""
    if isinstance(plan, list):
        for part in plan:
            yield from _tables(part)
    elif isinstance(plan, dict):
        if plan.get("Parent Relationship") in ("SubPlan", "InitPlan"):
            return
        if "Relation Name" in plan:
            yield str(plan["Schema"]), str(plan["Relation Name"])
        for part in plan.values():
            yield from _tables(part)
