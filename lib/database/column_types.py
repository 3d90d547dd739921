"""Decide from its type how each column of a source query is read exactly, or refuse it.

A run and `check` examine the columns alike, before the first record. Reads no record.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from lib.database import sessions, source_query
from lib.domain import columns as c
from lib.domain.errors import ContractError, ExtractionError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side, Window

MISSING_COLUMN: Final = "{side}: a consulta não devolve a coluna {name}; confira o query_file."
WRONG_TYPE: Final = (
    "{side}: a coluna {name} tem o tipo {type}, que não pode ser lido com exatidão; converta-a "
    "na consulta (query_file) para {expected}."
)
LOCKED: Final = (
    "{side}: a leitura não começou em {seconds} s, porque outra operação (como uma carga) bloqueia "
    "uma tabela da consulta, ou alguém a cancelou; tente de novo quando ela terminar."
)
EXPECTED: Final = {"date": "date", "time": "time", "amount": "numeric", "text": "text"}

UNREADABLE: Final = (
    "{side}: um valor da coluna {columns} não pode ser lido (código {code}); corrija-o no banco, "
    "ou converta a coluna na consulta (query_file)."
)
_AS: Final = "{name} (tipo {type}, lida como {expected})"

_TEXT_TYPES: Final = {
    **{18: '"char"', 19: "name", 25: "text", 705: "unknown"},
    **{1042: "character", 1043: "character varying"},
}
_TEXTS: Final = frozenset(_TEXT_TYPES)
_INSTANTS: Final = frozenset({1114, 1184})  # timestamp, timestamptz
_NUMERIC: Final = 1700
_MONEY: Final = 790
_INTEGERS: Final = frozenset({20, 21, 23})
_DOCUMENTS: Final = frozenset({114, 142, 3802})  # json, xml, jsonb
_BY_KIND: Final[dict[str, Collection[int]]] = {
    "date": _TEXTS | _INSTANTS | {1082},
    "time": _TEXTS | _INSTANTS | {1083},
    "amount": _TEXTS | _INTEGERS | {700, 701, _MONEY, _NUMERIC},  # float4, float8
    "text": _TEXTS | {2950},  # uuid
}
_KINDS: Final = {
    **dict.fromkeys((c.DATA_TRANSA, c.DATA), "date"),
    **dict.fromkeys(c.TIMES, "time"),
    c.VLR_TOTAL: "amount",
}
_FREE_TEXTS: Final = (c.DES_LOG, c.DES_LINHA_RECEBIMENTO)
_CENTS: Final = 2
_AMOUNT: Final = ((c.VLR_TOTAL, "numeric"),)
_UNREADABLE: Final = frozenset({"22003", "22007", "22008", "22P02"})
# The default queries name tables as "FROM table AS t" and columns as "t.column AS name".
_TABLE: Final = re.compile(r"(?:FROM|JOIN) (\S+) AS (\w+)")
_COLUMN: Final = re.compile(r"\b(\w+)\.(\w+)(?:\s+AS (\w+))?")


@dataclass(frozen=True)
class Layout:
    """The properties of a query's types that decide how it is read.

    ``instants`` is true if the dates are timestamps; ``cents`` if the type of the amounts has at
    most two decimals; ``money`` if the amounts' text has a currency and separators; ``utf8`` if
    the database stores texts in UTF-8. ``converted`` names the texts that hold dates, times or
    amounts, and the type of each value.
    """

    instants: bool = False
    cents: bool = True
    money: bool = False
    utf8: bool = True
    converted: tuple[tuple[str, str], ...] = ()


def required(side: Side) -> tuple[str, ...]:
    """The columns that this side's query must return."""
    return c.TRANSACTIONS_QUERY if side == "transactions" else c.AUTH_LOGS_QUERY


def examine(cursor: Any, settings: Settings, side: Side, window: Window) -> Layout:
    """Examine the columns of this side's query without reading a record.

    Raises ContractError, naming the column, if one is missing or cannot be read exactly; with the
    default query, the column of the table. Raises ExtractionError if a table stays locked.
    """
    try:
        return _examined(cursor, settings, side, window)
    except psycopg2.errors.QueryCanceled as error:  # it reads nothing: only a lock takes time
        seconds = sessions.source_of(settings, side).statement_timeout
        raise ExtractionError(LOCKED, side=side, seconds=seconds) from error
    except (ContractError, psycopg2.ProgrammingError, psycopg2.DataError):
        if sessions.source_of(settings, side).query_file is None:
            cursor.connection.rollback()
            with suppress(psycopg2.Error):
                _require_tables(cursor, side, source_query.load(settings, side))
        raise


def _examined(cursor: Any, settings: Settings, side: Side, window: Window) -> Layout:
    sql = f"SELECT * FROM (\n{source_query.load(settings, side)}\n) AS q LIMIT 0"
    cursor.execute(source_query.render(cursor, side, sql, window.parameters))
    columns = {column.name: column for column in cursor.description}
    encoding = cursor.connection.info.parameter_status("server_encoding")
    layout = Layout(utf8=encoding == "UTF8")
    for name in required(side):
        if name not in columns:
            raise ContractError(MISSING_COLUMN, side=side, name=name)
        column, kind = columns[name], _KINDS.get(name, "text")
        if column.type_code not in _BY_KIND[kind]:
            _require_text(cursor, side, name, column.type_code)
        elif kind != "text" and column.type_code in _TEXTS:
            type_name = _TEXT_TYPES[column.type_code]
            converted = _AS.format(name=name, type=type_name, expected=EXPECTED[kind])
            layout = replace(layout, converted=(*layout.converted, (converted, EXPECTED[kind])))
        if kind == "date":
            layout = replace(layout, instants=column.type_code in _INSTANTS)
        if kind == "amount":
            money = column.type_code == _MONEY
            layout = replace(layout, cents=_has_cents(column), money=money)
    return layout


@contextmanager
def conversions_named(side: Side, layout: Layout) -> Iterator[None]:
    """Raise ContractError with the columns at fault if the server cannot convert a value."""
    try:
        yield
    except psycopg2.DataError as error:
        # In any language the message names the type, and behind a colon the value.
        types = re.findall(r"\w+", (error.diag.message_primary or "").partition(":")[0])
        amount = () if any(kind == "numeric" for _, kind in layout.converted) else _AMOUNT
        columns = " ou ".join(name for name, kind in layout.converted + amount if kind in types)
        if columns and error.pgcode in _UNREADABLE:
            raise ContractError(
                UNREADABLE, side=side, columns=columns, code=error.pgcode
            ) from error
        raise


def widened(settings: Settings, side: Side, window: Window, layout: Layout) -> Window:
    """Extend the window so that a site's own query returns every instant of the last day.

    For timestamps, a comparison with the last date ends at its first midnight. The default query
    needs no extension.
    """
    own = sessions.source_of(settings, side).query_file is not None
    return replace(window, end=following(window)) if own and layout.instants else window


def following(window: Window) -> date:
    """The day after the window."""
    return min(window.end, date.max - timedelta(days=1)) + timedelta(days=1)


def _has_cents(column: Any) -> bool:
    if column.type_code == _NUMERIC:
        return column.scale is not None and 0 <= column.scale <= _CENTS
    return column.type_code in _INTEGERS


def _require_tables(cursor: Any, side: Side, query: str) -> None:
    """Raise ContractError for a table's column that the default query cannot compare or read."""
    tables = {alias: table for table, alias in _TABLE.findall(query)}
    columns = [column for column in _COLUMN.findall(query) if column[0] in tables]
    names = {column: name for _, column, name in columns if name}
    for alias, column in dict.fromkeys(column[:2] for column in columns):
        cursor.execute(f"SELECT {column} FROM {tables[alias]} LIMIT 0")
        code = cursor.description[0].type_code
        name = names[column]
        kind = _KINDS.get(name, "text")
        # The query compares its dates with dates, which a text cannot be.
        if code not in _BY_KIND[kind] or (kind == "date" and code in _TEXTS):
            _require_text(cursor, side, name, code, f"{tables[alias]}.{column}")


def _require_text(cursor: Any, side: Side, name: str, code: int, shown: str = "") -> None:
    """Raise ContractError unless a text column is of a string, enumerated or allowed type.

    The error names the column ``shown``, by default ``name``.
    """
    kind = _KINDS.get(name, "text")
    cursor.execute(
        "SELECT typcategory::text, format_type(oid, NULL) FROM pg_catalog.pg_type WHERE oid = %s",
        (code,),
    )
    category, type_name = cursor.fetchone()
    readable = category in ("S", "E") or (name in _FREE_TEXTS and code in _DOCUMENTS)
    if not readable or kind != "text":
        expected = EXPECTED[kind]
        raise ContractError(
            WRONG_TYPE, side=side, name=shown or name, type=type_name, expected=expected
        )
