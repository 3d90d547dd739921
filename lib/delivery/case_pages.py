"""The keys of a page of stored cases, in an order of the screen, and how many the filter finds.

A filter that many cases fit is a walk of an index in that order; the few that fit another are
sorted here. Neither reads more rows than it has to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from lib.delivery import case_filters
from lib.delivery.case_filters import Filter

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lib.delivery.case_filters import Latest

Sort = Literal["moment", "first_seen", "owner", "status", "amount"]

FEW: Final = 20_000
"""The most cases of a filter that are sorted here."""
_DENSE: Final = 50
"""One case in so many has to fit for a walk of all in a page's order."""
_ORDERS: Final[dict[Sort, tuple[str, ...]]] = {
    "moment": ("moment", "key"),
    "first_seen": ("first_seen", "key"),
    "owner": ("owner", "moment", "key"),
    "status": ("status", "moment", "key"),
    "amount": ("CAST(amount AS REAL)", "moment", "key"),
}
_OFTEN_NULL: Final[dict[Sort, str]] = {"owner": "owner", "status": "status", "amount": "amount"}
"""Their indexes leave out the cases without a value."""


def keys(
    connection: Connection,
    merchant: str,
    query: Filter,
    latest: Latest,
    *,
    sort: Sort,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[int], int]:
    """The keys of the page, and the number of all cases that the filter finds."""
    if case_filters.summed(query):
        total = case_filters.total(connection, merchant, query, latest)
        if offset >= total:
            return [], total
        alike = case_filters.total(connection, merchant, Filter(query.states), latest)
        few = total <= FEW and total * _DENSE < alike
    else:
        total, few = None, True
    if few:
        rows = _few(connection, merchant, query, latest, sort)
        if len(rows) <= FEW:
            rows.sort(key=lambda row: (row[0] is not None, *row), reverse=descending)
            return [row[-1] for row in rows[offset : offset + limit]], len(rows)
    if total is None:
        total = case_filters.total(connection, merchant, query, latest)
    limit = max(min(limit, total - offset), 0)
    # Skipping reads an index, from the end that is nearer.
    backwards = offset > total // 2
    if backwards:
        offset = total - offset - limit
    statement, values = _walk(connection, merchant, query, latest, sort, descending != backwards)
    page = connection.exec_driver_sql(f"{statement} LIMIT ? OFFSET ?", (*values, limit, offset))
    keys = [row[-1] for row in page]
    return keys[::-1] if backwards else keys, total


def _few(
    connection: Connection, merchant: str, query: Filter, latest: Latest, sort: Sort
) -> list[Any]:
    """What the order compares of each case that the filter finds, of more than `FEW` only some."""
    source = case_filters.source(connection, merchant, query, latest)
    where, values = case_filters.where(connection, merchant, query, latest)
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(_ORDERS[sort])} FROM {source} WHERE {where} LIMIT ?",
        (*values, FEW + 1),
    )
    return list(map(tuple, rows))


def _walk(
    connection: Connection,
    merchant: str,
    query: Filter,
    latest: Latest,
    sort: Sort,
    descending: bool,
) -> tuple[str, tuple[Any, ...]]:
    """A query for all keys in order: each part has an index in that order, and SQLite merges."""
    first, *others = _ORDERS[sort]
    parts = [(first, "TRUE")]
    if sort in _OFTEN_NULL:
        name = _OFTEN_NULL[sort]
        parts = [(first, f"{name} IS NOT NULL"), ("NULL", f"{name} IS NULL")]
    selects: list[str] = []
    values: list[Any] = []
    for closed in case_filters.closed(query):
        where, of_part = case_filters.where(connection, merchant, query, latest, (closed,))
        for value, condition in parts:
            columns = ", ".join((value, *others))
            selects.append(f"SELECT {columns} FROM cases WHERE {where} AND {condition}")
            values += of_part
    direction = "DESC" if descending else "ASC"
    by = ", ".join(f"{number} {direction}" for number in range(1, len(others) + 2))
    return f"{' UNION ALL '.join(selects)} ORDER BY {by}", tuple(values)
