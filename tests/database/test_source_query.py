"""The query of a side: what is read of its file, and how its parameters are bound."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lib.database import sessions, source_query
from lib.domain.errors import ExtractionError
from tests.support.command import with_query, with_source
from tests.support.servers import Databases
from tests.support.settings import settings_of

QUERIES = {"select 1;\n": "select 1", "\n\nselect 'ç' -- ; one\n": "select 'ç' -- ; one"}
QUERIES |= {
    "select 1; -- a comment\n": "select 1",
    "select 1 -- first\n ; /* and\n last; */ ; \n": "select 1",
    "select '; -- x'": "select '; -- x'",
    "select $a$;$a$, E'\\'; --' ;": "select $a$;$a$, E'\\'; --'",
    "select 'a\\' ; -- it's": "select 'a\\'",
    'select ";" -- x;': 'select ";" -- x;',
}


@pytest.mark.parametrize(("text", "query"), QUERIES.items())
def test_a_query_file_is_read_without_its_last_semicolon(
    databases: Databases, tmp_path: Path, text: str, query: str
) -> None:
    values = with_query(databases.values, "auth_logs", tmp_path, text)
    assert source_query.load(settings_of(values), "auth_logs") == query


@pytest.mark.parametrize("content", [None, b"select '\xff'"])
def test_a_query_file_that_cannot_be_read_is_named(
    databases: Databases, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "mine.sql"
    if content:
        file.write_bytes(content)
    settings = settings_of(with_source(databases.values, "auth_logs", query_file=str(file)))
    with pytest.raises(ExtractionError) as caught:
        source_query.load(settings, "auth_logs")
    assert str(caught.value) == source_query.UNREADABLE_QUERY.format(side="auth_logs", path=file)


RENDERED = [
    ("SELECT :merchant", "SELECT '12345678000190'"),
    ("SELECT :merchant::text LIKE '%1%'", "SELECT '12345678000190' ::text LIKE '%1%'"),
    (r"SELECT '10\:30'", "SELECT '10:30'"),
    ("SELECT a[1:2] FROM t", "SELECT a[1:2] FROM t"),
    ("SELECT :start -- a comment", "SELECT '2026-11-22'::date -- a comment"),
]


@pytest.mark.parametrize(("sql", "rendered"), RENDERED)
def test_parameters_are_written_by_the_driver_and_colons_of_sql_stay(
    databases: Databases, sql: str, rendered: str
) -> None:
    given = {"merchant": "12345678000190", "start": date(2026, 11, 22)}
    with sessions.session(settings_of(databases.values), "transactions") as cursor:
        assert source_query.render(cursor, "transactions", sql, given).decode() == rendered


def test_a_hostile_value_stays_a_value(databases: Databases) -> None:
    hostile = "'; DROP TABLE transactions; --\\"
    with sessions.session(settings_of(databases.values), "transactions") as cursor:
        given = {"merchant": hostile}
        cursor.execute(source_query.render(cursor, "transactions", "SELECT :merchant", given))
        assert cursor.fetchone() == (hostile,)
