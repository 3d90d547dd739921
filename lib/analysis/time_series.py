"""The small frames that the charts draw: counts by day, hour, weekday, join and time difference.

Totals and the books belong to `lib.analysis.books`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from lib.analysis import books, periods
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Instants, Ints
    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Period

HOURS: Final = 24
WEEKDAYS: Final = 7

_HOUR_SECONDS: Final = column_arrays.DAY_SECONDS // HOURS
_EPOCH_WEEKDAY: Final = EPOCH.weekday()
_BINS: Final = 40
_MOST_POINTS: Final = 400
_WIDTHS: Final = (  # round numbers of seconds, minutes and hours
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True)
class Series:
    """The frames of this module and `books.by_response_code`, for one period."""

    timeline: pd.DataFrame
    weekdays_and_hours: pd.DataFrame
    response_codes: pd.DataFrame
    time_difference: pd.DataFrame
    median_distance: float | None


def series(result: Reconciliation) -> Series:
    """Compute all frames of the charts."""
    return Series(
        timeline=condensed(timeline(result)),
        weekdays_and_hours=by_weekday_and_hour(result),
        response_codes=books.by_response_code(result).to_pandas(),
        time_difference=time_difference(result),
        median_distance=median_distance(result),
    )


def is_hourly(period: Period) -> bool:
    """Return True where the timeline is by hour: in a period of a single day."""
    return period.start == period.end


def timeline(result: Reconciliation) -> pd.DataFrame:
    """Return one row per day of the period, or per hour where the period is a single day.

    Columns: ``at`` (local datetime, start of the day or hour), ``consolidated, divergences,
    without_log, fisico, virtual`` (counts), ``rate`` (consolidated by all purchases, NaN without
    purchases) and ``amount, amount_fisico, amount_virtual`` (exact decimals, consolidated).
    A record without a date (by the hour: or a time) is in no row.
    """
    slots = _Slots.of(result.period)
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA)
    rows, virtual = result.consolidated_rows, result.pair_virtual
    slot = slots.number(bought, rows)
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)[rows]
    cents[cents == column_arrays.MISSING] = 0

    consolidated = slots.count(slot)
    by_virtual = slots.count(slot[virtual])
    amount = slots.total(slot, cents)
    amount_virtual = slots.total(slot[virtual], cents[virtual])
    without_log = slots.count(slots.number(bought, result.without_log_rows))
    purchases = consolidated + without_log
    return pd.DataFrame(
        {
            "at": slots.starts(),
            "consolidated": consolidated,
            "divergences": slots.count(slots.number(logged, result.divergent_rows)),
            "without_log": without_log,
            "fisico": consolidated - by_virtual,
            "virtual": by_virtual,
            "rate": share(consolidated, purchases),
            "amount": column_arrays.decimals(amount),
            "amount_fisico": column_arrays.decimals(amount - amount_virtual),
            "amount_virtual": column_arrays.decimals(amount_virtual),
        }
    )


def condensed(timeline: pd.DataFrame) -> pd.DataFrame:
    """Sum up the days of a long timeline by week or month, so that a browser can draw it.

    A week begins on Monday, which may be before the period. Shorter timelines are returned as they
    are.
    """
    points = len(timeline)
    if points <= _MOST_POINTS:
        return timeline
    unit = "W" if points <= _MOST_POINTS * WEEKDAYS else "M"
    starts = timeline["at"].dt.to_period(unit).dt.start_time
    sums = timeline.drop(columns=["at", "rate"]).groupby(starts).sum().reset_index()
    sums["rate"] = share(
        sums["consolidated"].to_numpy(), (sums["consolidated"] + sums["without_log"]).to_numpy()
    )
    return sums[list(timeline.columns)]


def by_weekday_and_hour(result: Reconciliation) -> pd.DataFrame:
    """Count consolidated purchases by weekday and hour: 168 rows, Monday (0) first, hour 0 to 23.

    Columns: ``weekday, hour, transactions, days`` and ``mean`` (purchases per such day, NaN without
    days). Only whole days with data count (`periods.with_data`); unlike the count, the mean can be
    compared where some weekdays occur more often than others. A purchase without a time is in no
    row.
    """
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    counted = np.array([_day(day) for day in periods.with_data(result)], dtype=np.int64)
    rows = result.consolidated_rows
    rows = rows[bought.known[rows] & np.isin(bought.day[rows], counted)]
    hour = bought.seconds[rows] % column_arrays.DAY_SECONDS // _HOUR_SECONDS
    cell = weekday(bought.day[rows]) * HOURS + hour
    count = np.bincount(cell, minlength=WEEKDAYS * HOURS)
    days = np.bincount(weekday(counted), minlength=WEEKDAYS).repeat(HOURS)
    return pd.DataFrame(
        {
            "weekday": np.arange(WEEKDAYS).repeat(HOURS),
            "hour": np.tile(np.arange(HOURS), WEEKDAYS),
            "transactions": count,
            "days": days,
            "mean": share(count, days),
        }
    )


def time_difference(result: Reconciliation) -> pd.DataFrame:
    """Return the histogram of log minus purchase in seconds, over the consolidated purchases.

    Columns: ``low, high`` (floats, low <= difference < high) and ``transactions``. The bins have
    equal widths and extend three times the interquartile range beyond both quartiles, so that a
    few pairs hours apart do not put all others into one bin; values further out are in a first bin
    from -inf and a last one to inf, present if not empty. Pairs without a known difference are in
    no bin.
    """
    seconds = np.asarray(result.pair_seconds.compressed(), dtype=np.int64)
    if not len(seconds):
        return pd.DataFrame({"low": [], "high": [], "transactions": np.zeros(0, dtype=np.int64)})
    quartiles = [len(seconds) // 4, len(seconds) - 1 - len(seconds) // 4]
    lower, upper = (int(v) for v in np.partition(seconds, quartiles)[quartiles])
    reach = 3 * max(upper - lower, 1)
    near = seconds[(seconds >= lower - reach) & (seconds <= upper + reach)]
    low, high = int(near.min()), int(near.max())
    widths = (w for w in _WIDTHS if high // w - low // w < _BINS)
    width = next(widths, (high - low) // (_BINS - 1) + 1)
    first, last = low // width, high // width
    edges = np.arange(first, last + 2) * float(width)
    edges = np.concatenate([[-np.inf], edges, [np.inf]])
    # Bin 0 holds the values before the first edge.
    number = np.clip(seconds // width - first + 1, 0, len(edges) - 2)
    frame = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "transactions": np.bincount(number, minlength=len(edges) - 1),
        }
    )
    empty_end = np.isinf(frame["high"] - frame["low"]) & (frame["transactions"] == 0)
    return frame[~empty_end].reset_index(drop=True)


def median_distance(result: Reconciliation) -> float | None:
    """Return the median distance in seconds between a consolidated purchase and its log."""
    seconds = np.abs(result.pair_seconds.compressed())
    return float(np.median(seconds)) if len(seconds) else None


def share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide part by whole, NaN where the whole is zero."""
    quotient = np.full(len(whole), np.nan)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def weekday(day: Ints) -> Ints:
    """Return the weekday (Monday 0) of days since 1970-01-01."""
    return (day + _EPOCH_WEEKDAY) % WEEKDAYS


@dataclass(frozen=True)
class _Slots:
    """The days of a period, or the hours of its only day, numbered from 0; -1 means outside."""

    period: Period
    size: int

    @classmethod
    def of(cls, period: Period) -> _Slots:
        return cls(
            period, HOURS if is_hourly(period) else _day(period.end) - _day(period.start) + 1
        )

    def number(self, instants: Instants, rows: Ints) -> Ints:
        first = _day(self.period.start)
        if is_hourly(self.period):
            hour = instants.seconds[rows] // _HOUR_SECONDS - first * HOURS
            number = np.where(instants.known[rows], hour, -1)
        else:
            number = instants.day[rows] - first
        return np.where((number >= 0) & (number < self.size), number, -1)

    def count(self, number: Ints) -> Ints:
        return np.bincount(number + 1, minlength=self.size + 1)[1:]

    def total(self, number: Ints, cents: Ints) -> Ints:
        sums = np.zeros(self.size + 1, dtype=np.int64)
        np.add.at(sums, number + 1, cents)
        return sums[1:]

    def starts(self) -> list[datetime]:
        step = timedelta(hours=1) if is_hourly(self.period) else timedelta(days=1)
        first = datetime.combine(self.period.start, time.min)
        return [first + i * step for i in range(self.size)]


def _day(day: Any) -> int:
    return int((day - EPOCH).days)
