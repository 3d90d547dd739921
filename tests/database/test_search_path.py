"""Functions and operators of other schemas change no value that is read."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from lib.config import loader
from lib.database import copy_reader, sessions
from lib.database.column_types import Layout
from lib.domain import requests
from lib.domain.requests import Window
from tests.support.servers import MERCHANTS, Databases

MERCHANT = next(iter(MERCHANTS))
DAY = date(2026, 11, 10)
WINDOW = Window(MERCHANT, DAY, DAY)
OF_SESSIONS = {"now", "current_setting", "pg_backend_pid", "set_config", "count", "format"}
CALL = re.compile(r"\b([a-z_0-9]+)\(")
# Each type's value that no honest function would return.
_WRONG = {"text": "'wrong'", "integer": "6", "bytea": "'\\x66'", "boolean": "false"}
_FUNCTIONS = """
    SELECT proname, pg_get_function_identity_arguments(oid), format_type(prorettype, NULL)
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
      AND provariadic = 0 AND NOT proretset AND proname = ANY (%s)
"""
_OPERATORS = """
    SELECT oprname, format_type(oprleft, NULL), format_type(oprresult, NULL) FROM pg_operator
    WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft = oprright
      AND oprname IN ('=', '<>', '||', '~~', '~', '>=', '<', '+', '-')
      AND oprleft IN ('text'::regtype, 'bytea'::regtype, 'integer'::regtype, 'date'::regtype)
"""


def with_varchar(arguments: str) -> set[str]:
    return {arguments, arguments.replace("text", "character varying")}


def shadow(databases: Databases, side: str, names: set[str]) -> None:
    """Create a schema `other` with a wrong one of each function and operator of these names."""
    statements = ["CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO PUBLIC"]
    with databases.connect(side) as connection, connection.cursor() as cursor:
        cursor.execute(_FUNCTIONS, (sorted(names),))
        for name, arguments, kind in cursor.fetchall():
            statements += [
                f"CREATE FUNCTION other.{name}({own}) RETURNS {kind} IMMUTABLE LANGUAGE sql"
                f" AS $$ SELECT ({_WRONG.get(kind, 'NULL')})::{kind} $$"
                for own in with_varchar(arguments)
            ]
        cursor.execute(_OPERATORS)
        for number, (name, operand, kind) in enumerate(cursor.fetchall()):
            for own in with_varchar(operand):
                function = f'other."{number} {own}"'
                statements.append(
                    f"CREATE FUNCTION {function}({own}, {own}) RETURNS {kind} IMMUTABLE"
                    f" LANGUAGE sql AS $$ SELECT ({_WRONG.get(kind, 'NULL')})::{kind} $$;"
                    f" CREATE OPERATOR other.{name}"
                    f" (LEFTARG = {own}, RIGHTARG = {own}, FUNCTION = {function})"
                )
        cursor.execute(";".join(statements))
        assert len(statements) > 40


def read(databases: Databases) -> list[dict[str, Any]]:
    sessions._pool.cache_clear()
    extracted = copy_reader.extract(loader.from_values(databases.values, "teste", {}), WINDOW)
    return [*extracted.transactions.to_pylist(), *extracted.auth_logs.to_pylist()]


@pytest.mark.parametrize("kind", ["text", "varchar(40)", "char(20)"])
def test_a_login_whose_path_has_other_functions_and_operators_reads_the_same(
    databases: Databases, kind: str
) -> None:
    databases.fill(
        [("4000001234561234", DAY, "12:00", MERCHANT, "4000001234569999", "1.00")],
        [("52998224725", "4000001234561234")],
        [("4000001234561234", DAY, "12:00", "00", "4000 0012 3456 1234", "0" + MERCHANT)],
    )
    databases.execute(
        "transactions",
        "DROP POLICY own_merchants ON transactions; DROP POLICY own_merchants ON customer_cards;"
        "ALTER TABLE transactions DISABLE ROW LEVEL SECURITY;"
        "ALTER TABLE customer_cards DISABLE ROW LEVEL SECURITY;"
        f"ALTER TABLE transactions ALTER card_number TYPE {kind}, ALTER merchant_id TYPE"
        f" {kind.replace('20', '14')}; ALTER TABLE customer_cards ALTER card_number TYPE {kind}",
    )
    expected = read(databases)
    assert len(expected) == 2
    settings = loader.from_values(databases.values, "teste", {})
    names = set(OF_SESSIONS)
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            select = copy_reader.masked_select(
                cursor, settings, side, WINDOW, Layout(cents=False), clear=False
            )
            names |= set(CALL.findall(select.decode()))
    assert {"sha256", "substr", "regexp_replace", "round"} <= names
    try:
        for side in requests.SIDES:
            shadow(databases, side, names)
        for path in ("other, pg_catalog, public", "other, public", "public, other"):
            for side in requests.SIDES:
                databases.execute(side, f"ALTER ROLE aggregator SET search_path = {path}")
            assert read(databases) == expected, path
    finally:
        for side in requests.SIDES:
            databases.execute(side, "ALTER ROLE aggregator RESET search_path")
        sessions._pool.cache_clear()
