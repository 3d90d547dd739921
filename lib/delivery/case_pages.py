"""The keys of a page of stored cases, in an order of the screen, and how many the filter finds.

Where many cases fit the filter, a page is a walk of the index in that order; few are sorted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
"""A walk is worth it where at least one in so many cases fits the filter."""
_ORDERS: Final[dict[Sort, tuple[str, ...]]] = {
    "moment": ("moment", "key"),
    "first_seen": ("first_seen", "key"),
    "owner": ("owner", "moment", "key"),
    "status": ("status", "moment", "key"),
    "amount": ("CAST(amount AS REAL)", "moment", "key"),
}
_INDEXES: Final[dict[Sort, str]] = {
    "moment": "cases_by_moment",
    "first_seen": "cases_by_age",
    "owner": "cases_by_owner",
    "status": "cases_by_status",
    "amount": "cases_by_amount",
}


@dataclass(frozen=True)
class Order:
    """The order of the pages."""

    sort: Sort
    descending: bool


@dataclass(frozen=True)
class _Part:
    """Cases that one index has in the order of a page, one after another."""

    sort: Sort
    condition: str
    size: int


def keys(
    connection: Connection,
    merchant: str,
    query: Filter,
    latest: Latest,
    order: Order,
    offset: int,
    limit: int,
) -> tuple[list[int], int]:
    """The keys of a page, and the number of all cases that the filter finds."""
    total, few = None, True
    if case_filters.summed(query):
        total = case_filters.total(connection, merchant, query, latest)
        alike = case_filters.total(connection, merchant, Filter(query.states), latest)
        few = total <= FEW and total * _DENSE < alike
    if few and total != 0:
        rows = _few(connection, merchant, query, latest, order.sort)
        if len(rows) <= FEW or query.keys is not None:
            rows.sort(key=lambda row: (row[0] is not None, *row), reverse=order.descending)
            return [row[-1] for row in rows[offset : offset + limit]], len(rows)
    if total is None:
        total = case_filters.total(connection, merchant, query, latest)
    found: list[int] = []
    for part in _parts(connection, merchant, query, latest, order, total):
        if offset < part.size and len(found) < limit:
            of_part = min(limit - len(found), part.size - offset)
            found += _walk(connection, merchant, query, latest, order, part, offset, of_part)
        offset = max(offset - part.size, 0)
    return found, total


def _few(
    connection: Connection, merchant: str, query: Filter, latest: Latest, sort: Sort
) -> list[Any]:
    """What the order compares of the cases that the filter finds; without keys, of `FEW` + 1."""
    source = case_filters.source(connection, merchant, query, latest)
    where, values = case_filters.where(connection, merchant, query, latest)
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(_ORDERS[sort])} FROM {source} WHERE {where} LIMIT ?",
        (*values, FEW + 1 if query.keys is None else -1),
    )
    return list(map(tuple, rows))


def _parts(
    connection: Connection, merchant: str, query: Filter, latest: Latest, order: Order, total: int
) -> list[_Part]:
    """Cases without an owner or a status, which an index by it leaves out, come before others."""
    if order.sort == "owner":
        allowed, unmarked = query.owners, replace(query, owners=(None,))
    elif order.sort == "status":
        allowed, unmarked = query.statuses, replace(query, statuses=(None,))
    else:
        return [_Part(order.sort, "TRUE", total)]
    size = 0
    if allowed is None or None in allowed:
        size = case_filters.total(connection, merchant, unmarked, latest)
    parts = [
        _Part("moment", f"{order.sort} IS NULL", size),
        _Part(order.sort, f"{order.sort} IS NOT NULL", total - size),
    ]
    return parts[::-1] if order.descending else parts


def _walk(
    connection: Connection,
    merchant: str,
    query: Filter,
    latest: Latest,
    order: Order,
    part: _Part,
    offset: int,
    limit: int,
) -> list[int]:
    """The keys of a stretch of a part: the open and the closed cases of an index, merged."""
    # Skipping reads the index, from the end that is nearer.
    backwards = offset > part.size // 2
    if backwards:
        offset = part.size - offset - limit
    columns = _ORDERS[part.sort]
    selects: list[str] = []
    values: list[Any] = []
    for closed in case_filters.closed(query):
        where, of_these = case_filters.where(connection, merchant, query, latest, (closed,))
        selects.append(
            f"SELECT {', '.join(columns)} FROM cases INDEXED BY {_INDEXES[part.sort]}"
            f" WHERE {where} AND {part.condition}"
        )
        values += of_these
    direction = "DESC" if order.descending != backwards else "ASC"
    by = ", ".join(f"{number + 1} {direction}" for number in range(len(columns)))
    rows = connection.exec_driver_sql(
        f"{' UNION ALL '.join(selects)} ORDER BY {by} LIMIT ? OFFSET ?", (*values, limit, offset)
    )
    found = [row[-1] for row in rows]
    return found[::-1] if backwards else found
