"""Prove before a read that both databases enforce row-level security. Changes nothing.

Checks for each side that its query reads only tables with active policies, that the server refuses
it instead of bypassing a policy, and that it returns nothing to an unknown user.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from lib.database import column_types, sessions, sides, source_query
from lib.domain.errors import ContractError, ExtractionError, TransientError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.sessions import Cursor
    from lib.domain.requests import Side, Window

UNPROTECTED: Final = (
    "{side}: row_level_security está ligada, mas o banco não separa as linhas de {table} para o "
    "usuário configurado; aplique docs/row_level_security.sql."
)
OPEN: Final = (
    "{side}: row_level_security está ligada, mas o banco mostra linhas a um usuário desconhecido; "
    "confira as políticas (docs/row_level_security.sql)."
)

_STATEMENTS: Final = 2.0
"""The time limit of a session, in statement timeouts."""


def prove(settings: Settings, window: Window) -> None:
    """Raise ExtractionError if a side does not protect its rows; skip if not configured."""
    if not settings.row_level_security:
        return
    sides.each(lambda side: _prove(settings, side, window))


def _prove(settings: Settings, side: Side, window: Window) -> None:
    query = f"SELECT FROM (\n{source_query.load(settings, side)}\n) AS q"
    unknown_user = secrets.token_hex(16)
    with sessions.session(settings, side, unknown_user, limit=_limit(settings, side)) as cursor:
        column_types.examine(cursor, settings, side, window)
        statement = source_query.render(cursor, side, query, window.parameters)
        cursor.execute(b"EXPLAIN (VERBOSE, FORMAT JSON) " + statement)
        for table in sorted(set(_tables(_plan(cursor)))):
            cursor.execute(
                "SELECT row_security_active(format('%%I.%%I', %s::text, %s::text)::regclass)", table
            )
            if cursor.fetchone() != (True,):
                raise ContractError(UNPROTECTED, side=side, table=".".join(table))
        cursor.execute(statement + b" LIMIT 1")
        if cursor.fetchone() is not None:
            raise ContractError(OPEN, side=side)
    if not _refused_without_policies(settings, side, statement):
        raise ContractError(UNPROTECTED, side=side, table="query_file")


def _refused_without_policies(settings: Settings, side: Side, statement: bytes) -> bool:
    """Check that the server refuses the statement when the session would bypass policies."""
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
    return _STATEMENTS * sessions.source_of(settings, side).statement_timeout


def _plan(cursor: Cursor) -> Any:
    (plan,) = cursor.fetchone()
    return json.loads(plan) if isinstance(plan, str) else plan


def _tables(plan: Any) -> Iterator[tuple[str, str]]:
    """Schema and name of every table in a plan, except tables that only a policy reads."""
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
