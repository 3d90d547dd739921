"""Whole days: those of a period, those to compare them with, and a reconciliation of some of them.

A day is whole once it is over; today is not. Knows no clock: a period carries its own today.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH
from lib.domain.requests import Period

if TYPE_CHECKING:
    from lib.domain.column_arrays import Bools, Ints
    from lib.domain.reconciliation import Reconciliation, Rows

_A_DAY: Final = timedelta(days=1)
_WEEK: Final = 7


def whole(period: Period) -> Period | None:
    """Return the whole days of the period, None where it has none."""
    end = min(period.end, period.today - _A_DAY)
    return replace(period, end=end) if period.start <= end else None


def compared(period: Period) -> Period | None:
    """Return the days to compare the period's whole days with, None where it has none.

    They are as many, the same weekdays, and do not overlap: the whole days, shifted back by the
    smallest sufficient multiple of seven.
    """
    days = whole(period)
    if days is None:
        return None
    weeks = -(-((days.end - days.start).days + 1) // _WEEK)
    return shifted(days, weeks)


def shifted(period: Period, weeks: int) -> Period:
    """Return the period so many weeks earlier."""
    back = timedelta(weeks=weeks)
    return Period(period.start - back, period.end - back, period.today)


def with_data(result: Reconciliation) -> list[date]:
    """Return the whole days of the period with records on both sides."""
    days = whole(result.period)
    if days is None:
        return []
    bought, logged = (
        np.unique(_day(result, side)[rows])
        for side, rows in (
            ("transactions", result.transaction_rows),
            ("auth_logs", result.log_rows),
        )
    )
    both = np.intersect1d(bought, logged)
    first, last = ((day - EPOCH).days for day in (days.start, days.end))
    return [EPOCH + timedelta(days=int(day)) for day in both if first <= day <= last]


def narrowed(result: Reconciliation, start: date, end: date) -> Reconciliation:
    """Return the part of the reconciliation on these days, as it was matched.

    A transaction belongs to the day of its date, a log to the day of its own: the counts are those
    of the days' rows in `books.balance_by_day`. A pair stays, also with a log of another day.
    """
    first, last = (start - EPOCH).days, (end - EPOCH).days

    transaction_day, log_day = _day(result, "transactions"), _day(result, "auth_logs")

    def transactions(rows: Rows) -> Bools:
        return _between(transaction_day[rows], first, last)

    def logs(rows: Rows) -> Bools:
        return _between(log_day[rows], first, last)

    paired = transactions(result.consolidated_rows)
    divergent = logs(result.divergent_rows)
    unmatched = transactions(result.without_log_rows)
    removed = transactions(result.duplicate_rows)
    return replace(
        result,
        period=Period(start, end, result.period.today),
        transaction_rows=result.transaction_rows[transactions(result.transaction_rows)],
        log_rows=result.log_rows[logs(result.log_rows)],
        consolidated_rows=result.consolidated_rows[paired],
        pair_rows=result.pair_rows[paired],
        pair_virtual=result.pair_virtual[paired],
        pair_seconds=result.pair_seconds[paired],
        matched_log_rows=result.matched_log_rows[logs(result.matched_log_rows)],
        divergent_rows=result.divergent_rows[divergent],
        motivo=result.motivo[divergent],
        nearest_rows=result.nearest_rows[divergent],
        without_log_rows=result.without_log_rows[unmatched],
        without_log_reason=result.without_log_reason[unmatched],
        duplicate_rows=result.duplicate_rows[removed],
        survivor_rows=result.survivor_rows[removed],
    )


def _between(day: Ints, first: int, last: int) -> Bools:
    mask: Bools = (day >= first) & (day <= last)
    return mask


def _day(result: Reconciliation, side: str) -> Ints:
    """Return the day of each record of a side."""
    if side == "transactions":
        return column_arrays.days(result.transactions, c.DATA_TRANSA)
    return column_arrays.days(result.auth_logs, c.DATA)
