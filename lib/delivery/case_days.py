"""Stored cases of some days, and those without a date: every judging run looks at both.

Reads one index from its moments; decides nothing.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lib.domain import column_arrays
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from sqlalchemy import Connection

    from lib.domain.column_arrays import Bools, Ints

_DAY: Final = column_arrays.DAY_SECONDS + 1
_UNDATED: Final = column_arrays.MISSING - _DAY
_IN_SPAN: Final = "merchant = ? AND closed IN (0, 1) AND moment BETWEEN ? AND ?"
_FIRST: Final = -column_arrays.MISSING


def read(
    connection: Connection,
    columns: str,
    merchant: str,
    days: Iterable[date],
    condition: str = "TRUE",
) -> list[Ints]:
    """Read these columns, all of integers, of cases from the first to the last day or undated."""
    query, values = _query(columns, merchant, span(days), condition)
    # By the driver itself: a `Row` for each case would cost more than the query.
    driver: Any = connection.connection.driver_connection
    rows = driver.execute(query, values).fetchall()
    count = columns.count(",") + 1
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * count)
    return list(np.ascontiguousarray(flat.reshape(len(rows), count).T))


def keys_until(
    connection: Connection, merchant: str, last: date, condition: str, value: str
) -> list[int]:
    """The keys of the cases up to this day, or undated, that the condition on a value holds for."""
    query, values = _query("key", merchant, (_FIRST, span([last])[1]), condition, value)
    return [row.key for row in connection.exec_driver_sql(query, values)]


def among(moments: Ints, days: Iterable[date]) -> Bools:
    """Mark the moments on these days, and those without a date."""
    numbers = [(day - EPOCH).days for day in days]
    return np.isin(moments // _DAY, numbers) | (moments >= _UNDATED)


def span(days: Iterable[date]) -> tuple[int, int]:
    """The first and the last moment of these days; of none, no moment."""
    numbers = [(day - EPOCH).days for day in days]
    if not numbers:
        return 1, 0
    return min(numbers) * _DAY, (max(numbers) + 1) * _DAY - 1


def _query(
    columns: str, merchant: str, moments: tuple[int, int], condition: str, *more: str
) -> tuple[str, tuple[Any, ...]]:
    # Two ranges of the index; an OR would read all of it.
    query = f"SELECT {columns} FROM cases WHERE {_IN_SPAN} AND {condition}"
    undated = (_UNDATED, column_arrays.MISSING)
    values = (merchant, *moments, *more, merchant, *undated, *more)
    return f"{query} UNION ALL {query}", values
