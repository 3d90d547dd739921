"""Filters of stored cases: their SQL conditions, and how many cases they find.

A search reads one index that has every word; figures without a search read the sums of the days.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import state_file
from lib.domain import cases

if TYPE_CHECKING:
    from sqlalchemy import Connection

BY_WORDS: Final = "cases INDEXED BY cases_by_words"
WITH_KEYS: Final = "key IN (SELECT value FROM json_each(?))"
FEW: Final = 20_000
"""The most cases of a search that are sorted; with more, a page walks an index in its order."""


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


def few(connection: Connection, where: str, values: tuple[Any, ...]) -> list[int] | None:
    """The keys of the cases that a search finds, None if they are not `FEW`."""
    rows = connection.exec_driver_sql(
        f"SELECT key FROM {BY_WORDS} WHERE {where} LIMIT ?", (*values, FEW + 1)
    ).all()
    return [row.key for row in rows] if len(rows) <= FEW else None


def where(
    connection: Connection, merchant: str, query: Filter, latest: Latest
) -> tuple[str, tuple[Any, ...]]:
    """The condition on a case, or on a row of `case_counts` without search and keys."""
    conditions, values = ["merchant = ?"], [merchant]
    conditions.append(_states(query.states, latest.number, values))
    for column, allowed in (
        ("status", query.statuses),
        ("owner", query.owners),
        ("kind", query.kinds),
        ("motivo", query.motivos),
    ):
        if allowed is not None:
            conditions.append(_one_of(column, allowed, values))
    if query.days is not None:
        conditions.append("day BETWEEN ? AND ?")
        values += [day.isoformat() for day in query.days]
    for moment, sign in zip(query.first_seen, (">=", "<"), strict=True):
        if moment is not None:
            conditions.append(f"first_seen {sign} ?")
            values.append(state_file.text_of(moment))
    if query.outside is not None and latest.period is not None:
        inside = "(day IS NULL OR day BETWEEN ? AND ?)"
        conditions.append(f"NOT {inside}" if query.outside else inside)
        values += [day.isoformat() for day in latest.period]
    if query.keys is not None:
        conditions.append(WITH_KEYS)
        values.append(json.dumps([cases.from_hexadecimal(key) for key in query.keys]))
    owners = _owners(connection, merchant) if query.search else []
    for word in query.search.lower().split():
        named = [owner for owner in owners if word in owner.lower()]
        conditions.append(
            f"(instr(words, ?){' OR owner IN (SELECT value FROM json_each(?))' if named else ''})"
        )
        values.append(word)
        values += [json.dumps(named)] * bool(named)
    return " AND ".join(conditions), tuple(values)


def _owners(connection: Connection, merchant: str) -> list[str]:
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT owner FROM case_counts WHERE merchant = ? AND owner IS NOT NULL",
        (merchant,),
    )
    return [row.owner for row in rows]


def _states(states: tuple[str, ...], latest: int, values: list[Any]) -> str:
    if set(states) == set(cases.STATES):
        return "TRUE"
    stored = {cases.OPEN if state == cases.NEW else state for state in states}
    if stored == {cases.OPEN} or stored == {cases.MATCHED, cases.MISSING}:
        condition = f"closed = {int(cases.OPEN not in stored)}"
    else:
        condition = _one_of("state", tuple(sorted(stored)), values)
    if (cases.NEW in states) != (cases.OPEN in states):
        sign = "=" if cases.NEW in states else "<>"
        condition = f"({condition} AND (state <> 'open' OR opened_by {sign} ?))"
        values.append(latest)
    return condition


def _one_of(column: str, allowed: tuple[str | None, ...], values: list[Any]) -> str:
    named = [value for value in allowed if value is not None]
    condition = f"{column} IN ({', '.join('?' * len(named))})"
    values += named
    return f"({condition} OR {column} IS NULL)" if None in allowed else condition


def grouped(
    connection: Connection, merchant: str, query: Filter, latest: Latest, columns: str
) -> Sequence[Any]:
    """The number of cases for each of these ``columns``, last in its row."""
    condition, values = where(connection, merchant, query, latest)
    summed = query.keys is None and not query.search
    source, number = ("case_counts", "sum(cases)") if summed else ("cases", "count(*)")
    if query.search:
        source = BY_WORDS
    by = f" GROUP BY {columns}" if columns else ""
    listed = f"{columns}, " if columns else ""
    return connection.exec_driver_sql(
        f"SELECT {listed}coalesce({number}, 0) FROM {source} WHERE {condition}{by}", values
    ).all()


def total(connection: Connection, merchant: str, query: Filter, latest: Latest) -> int:
    """The number of cases that the filter finds."""
    return int(grouped(connection, merchant, query, latest, "")[0][0])
