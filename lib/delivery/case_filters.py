"""Filters of stored cases: their SQL conditions, and how many cases they find.

Figures without a search read the sums of the days.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from lib.analysis import table_query
from lib.delivery import case_days, state_file
from lib.domain import cases

if TYPE_CHECKING:
    from sqlalchemy import Connection

WITH_KEYS: Final = "key IN (SELECT value FROM json_each(?))"
_LIMITED: Final = "key IN limited"
_STATES: Final = ((cases.OPEN,), (cases.MATCHED, cases.MISSING))
"""By the column `closed`."""
_SCATTERED: Final = 5
"""To read a row by an index takes as long as to read so many in the order of the table."""


@dataclass(frozen=True)
class Filter:
    """The cases to find; None stands for any value, and a None within a tuple for "unmarked".

    ``days`` are those of the records, ``first_seen`` is from a moment (inclusive) to another
    (exclusive), ``outside`` is about the period of the latest judging run, and ``keys`` limits the
    cases to these.
    """

    states: tuple[str, ...] = (cases.NEW, cases.OPEN)
    statuses: tuple[str | None, ...] | None = None
    owners: tuple[str | None, ...] | None = None
    kinds: tuple[str, ...] | None = None
    motivos: tuple[str, ...] | None = None
    days: tuple[date, date] | None = None
    first_seen: tuple[datetime | None, datetime | None] = (None, None)
    outside: bool | None = None
    search: str = ""
    keys: frozenset[str] | None = None


@dataclass(frozen=True)
class Latest:
    """A merchant's latest judging run."""

    number: int = 0
    run: int = 0
    at: datetime | None = None
    period: tuple[date, date] | None = None
    new: int = 0
    resolved: int = 0
    reach: tuple[date | None, date | None] = (None, None)


def closed(query: Filter) -> tuple[int, ...]:
    """The values of the column `closed` of the cases in these states."""
    return tuple(sorted({int(state in _STATES[1]) for state in query.states}))


def summed(query: Filter) -> bool:
    """True if the sums tell how many cases the filter finds."""
    return query.keys is None and not query.search


def source(connection: Connection, merchant: str, query: Filter, latest: Latest) -> str:
    """The table: by the index of words for a search, without indexes that lead to much of it."""
    if query.keys is not None:
        return "cases NOT INDEXED"
    if query.search:
        return "cases INDEXED BY cases_by_words"
    led_to = Filter(
        query.states,
        statuses=None if None in (query.statuses or ()) else query.statuses,
        owners=None if None in (query.owners or ()) else query.owners,
        days=query.days,
        first_seen=query.first_seen,
    )
    stored = connection.exec_driver_sql("SELECT coalesce(sum(cases), 0) FROM case_counts")
    many = total(connection, merchant, led_to, latest) * _SCATTERED > stored.scalar_one()
    return "cases NOT INDEXED" if many else "cases"


def where(
    connection: Connection,
    merchant: str,
    query: Filter,
    latest: Latest,
    among: tuple[int, ...] | None = None,
    *,
    sums: bool = False,
) -> tuple[str, tuple[Any, ...]]:
    """The condition on a case, or on a row of `case_counts` (``sums``) without search and keys.

    ``among`` limits it to these values of `closed`.
    """
    values: list[Any] = []
    conditions: list[str] = []
    # Of conditions on a row, the first ones leave out the most.
    owners = _owners(connection, merchant) if query.search else []
    for word in table_query.folded(query.search).split():
        named = [owner for owner in owners if word in table_query.folded(owner)]
        conditions.append(
            f"(instr(words, ?){' OR owner IN (SELECT value FROM json_each(?))' if named else ''})"
        )
        values.append(word)
        values += [json.dumps(named)] * bool(named)
    conditions.append("merchant = ?")
    values.append(merchant)
    conditions += _states(query, closed(query) if among is None else among, latest.number, values)
    for column, allowed in (
        ("status", query.statuses),
        ("owner", query.owners),
        ("kind", query.kinds),
        ("motivo", query.motivos),
    ):
        if allowed is not None:
            conditions.append(_one_of(column, allowed, values))
    if query.days is not None:
        conditions.append(f"{'day' if sums else 'moment'} BETWEEN ? AND ?")
        values += [day.isoformat() for day in query.days] if sums else case_days.span(query.days)
    for moment, sign in zip(query.first_seen, (">=", "<"), strict=True):
        if moment is not None:
            conditions.append(f"first_seen {sign} ?")
            values.append(state_file.text_of(moment))
    if query.outside is not None and latest.period is not None:
        inside = "(day IS NULL OR day BETWEEN ? AND ?)"
        conditions.append(f"NOT {inside}" if query.outside else inside)
        values += [day.isoformat() for day in latest.period]
    if query.keys is not None:
        conditions.append(limited_to(connection, query.keys))
    return " AND ".join(conditions), tuple(values)


def limited_to(connection: Connection, keys: frozenset[str]) -> str:
    """The condition that a case is one of these, which are written once for all its questions."""
    if connection.info.get(_LIMITED) is not keys:
        connection.exec_driver_sql("DROP TABLE IF EXISTS temp.limited")
        connection.exec_driver_sql("CREATE TEMP TABLE limited (key INTEGER PRIMARY KEY)")
        numbers = cases.from_hexadecimals(keys)
        connection.exec_driver_sql(
            "INSERT INTO limited SELECT value FROM json_each(?)", (json.dumps(numbers),)
        )
        connection.info[_LIMITED] = keys
    return _LIMITED


def _owners(connection: Connection, merchant: str) -> list[str]:
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT owner FROM case_counts WHERE merchant = ? AND owner IS NOT NULL",
        (merchant,),
    )
    return [row.owner for row in rows]


def _states(query: Filter, among: tuple[int, ...], latest: int, values: list[Any]) -> Sequence[str]:
    conditions = [f"closed IN ({', '.join(map(str, among))})"]
    stored = {cases.OPEN if state == cases.NEW else state for state in query.states}
    if not stored.issuperset(state for c in among for state in _STATES[c]):
        conditions.append(_one_of("state", tuple(sorted(stored)), values))
    if 0 in among and (cases.NEW in query.states) != (cases.OPEN in query.states):
        sign = "=" if cases.NEW in query.states else "<>"
        conditions.append(f"(closed OR opened_by {sign} ?)")
        values.append(latest)
    return conditions


def _one_of(column: str, allowed: tuple[str | None, ...], values: list[Any]) -> str:
    named = [value for value in allowed if value is not None]
    condition = f"{column} IN ({', '.join('?' * len(named))})"
    values += named
    return f"({condition} OR {column} IS NULL)" if None in allowed else condition


def grouped(
    connection: Connection, merchant: str, query: Filter, latest: Latest, columns: str
) -> Sequence[Any]:
    """The number of cases for each of these ``columns``, last in its row."""
    if summed(query):
        table, number = "case_counts", "sum(cases)"
    else:
        table, number = source(connection, merchant, query, latest), "count(*)"
    condition, values = where(connection, merchant, query, latest, sums=summed(query))
    by = f" GROUP BY {columns}" if columns else ""
    listed = f"{columns}, " if columns else ""
    return connection.exec_driver_sql(
        f"SELECT {listed}coalesce({number}, 0) FROM {table} WHERE {condition}{by}", values
    ).all()


def total(connection: Connection, merchant: str, query: Filter, latest: Latest) -> int:
    """The number of cases that the filter finds."""
    return int(grouped(connection, merchant, query, latest, "")[0][0])
