"""The days that were read lately, so that a period moved by a day reads only the days it lacks.

Owns which days are kept, for whom, and when they are too old: a day that was over long before it
was read is settled and stays for half a day while there is room; a recent one expires after
minutes, as records still arrive. A period put together from several reads has the rows of one
whole read. Matches nothing. A site with a query file of its own is always read whole: only its
author knows what the dates in it mean.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.database import copy_reader
from lib.database.copy_reader import Extracted
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH
from lib.domain.requests import Progress, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.config.settings import Settings

SETTLED_DAYS: Final = 3
RECENT: Final = timedelta(minutes=5)
SETTLED: Final = timedelta(hours=12)
_DAY: Final = timedelta(days=1)

Extract = Callable[..., Extracted]


@dataclass(frozen=True)
class _Read:
    """What one extraction gave: its window, its moment, and the days of each row."""

    window: Window
    moment: datetime
    extracted: Extracted
    transaction_day: NDArray[np.int32]
    log_day: NDArray[np.int32]
    size_bytes: int = field(default=0)

    def has(self, day: date, now: datetime) -> bool:
        """Whether this day was read and may still be believed."""
        if not self.window.start <= day <= self.window.end:
            return False
        return now - self.moment < (SETTLED if settled(day, self.moment) else RECENT)

    def rows_of(self, days: list[date]) -> Extracted:
        """The rows of these days; all of them as they are, without a copy."""
        wanted = np.array([(day - EPOCH).days for day in days], dtype=np.int32)
        return Extracted(
            _rows(self.extracted.transactions, self.transaction_day, wanted),
            _rows(self.extracted.auth_logs, self.log_day, wanted),
        )


class Days:
    """Reads by merchant and reader within a budget of bytes, the least recently used leaving."""

    def __init__(
        self,
        budget_bytes: int,
        extract: Extract = copy_reader.extract,
        clock: Callable[[Settings], datetime] = lambda settings: datetime.now(settings.zone),
    ) -> None:
        self._budget = budget_bytes
        self._extract = extract
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: list[_Read] = []

    def read(
        self, settings: Settings, window: Window, progress: Progress
    ) -> tuple[datetime, Extracted]:
        """The window's rows, and since when the oldest of them may have changed.

        Raises ExtractionError or ContractError.
        """
        now = self._clock(settings)
        if settings.transactions.query_file or settings.auth_logs.query_file:
            return now, self._extract(settings, window, progress=progress)
        chosen = self._choose(window, now)
        lacking = [day for day in _days(window) if day not in chosen]
        for start, end in _runs(lacking):
            part = replace(window, start=start, end=end)
            read = _read(part, now, self._extract(settings, part, progress=progress))
            chosen |= dict.fromkeys(_days(part), read)
            self._keep(read)
        return min(read.moment for read in chosen.values()), _together(chosen)

    def forget(self, window: Window) -> None:
        """Have every day of this window read anew."""
        with self._lock:
            self._kept = [read for read in self._kept if not _overlap(read.window, window)]

    @property
    def size_bytes(self) -> int:
        """What the kept reads take in memory; a data set that is one of them shares it."""
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(read.size_bytes for read in self._kept)

    def _choose(self, window: Window, now: datetime) -> dict[date, _Read]:
        """The newest read of each day that has one that may be believed."""
        chosen: dict[date, _Read] = {}
        with self._lock:
            mine = [read for read in self._kept if _overlap(read.window, window)]
            for read in sorted(mine, key=lambda read: read.moment):
                chosen |= {day: read for day in _days(window) if read.has(day, now)}
            used = {id(read) for read in chosen.values()}
            self._kept.sort(key=lambda read: id(read) in used)
        return chosen

    def _keep(self, read: _Read) -> None:
        with self._lock:
            self._kept.append(read)
            while self._kept and self._size() > self._budget:
                self._kept.pop(0)


def settled(day: date, moment: datetime) -> bool:
    """Whether this day was long over at that moment."""
    return day < moment.date() - timedelta(days=SETTLED_DAYS)


def _read(window: Window, moment: datetime, extracted: Extracted) -> _Read:
    frames = (extracted.transactions, extracted.auth_logs)
    return _Read(
        window,
        moment,
        extracted,
        _day_numbers(extracted.transactions, c.DATA_TRANSA),
        _day_numbers(extracted.auth_logs, c.DATA),
        sum(int(frame[name].array.nbytes) for frame in frames for name in frame.columns)
        + 4 * sum(map(len, frames)),
    )


def _day_numbers(frame: pd.DataFrame, name: str) -> NDArray[np.int32]:
    # The product's own queries ask for dates between two, so that none is without one.
    numbers: NDArray[np.int32] = column_arrays.column(frame, name).view(pa.int32()).to_numpy()
    return numbers


def _rows(frame: pd.DataFrame, day: NDArray[np.int32], wanted: NDArray[np.int32]) -> pd.DataFrame:
    at = np.flatnonzero(np.isin(day, wanted))
    return frame if len(at) == len(frame) else _frame(_table(frame).take(pa.array(at)))


def _together(chosen: dict[date, _Read]) -> Extracted:
    reads = {id(read): read for read in chosen.values()}
    parts = [
        read.rows_of([day for day, other in chosen.items() if other is read])
        for read in reads.values()
    ]
    if len(parts) == 1:
        return parts[0]
    return Extracted(
        _stacked([part.transactions for part in parts]),
        _stacked([part.auth_logs for part in parts]),
    )


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames' rows in one, each column one chunk with one dictionary."""
    return _frame(pa.concat_tables(map(_table, frames)).unify_dictionaries().combine_chunks())


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.table({name: column_arrays.column(frame, name) for name in frame.columns})


def _frame(table: pa.Table) -> pd.DataFrame:
    return pd.DataFrame(
        {n: pd.arrays.ArrowExtensionArray(table.column(n)) for n in table.column_names}, copy=False
    )


def _days(window: Window) -> Iterable[date]:
    return (window.start + n * _DAY for n in range((window.end - window.start).days + 1))


def _runs(days: list[date]) -> list[tuple[date, date]]:
    """The days, ascending, as unbroken spans."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and runs[-1][1] + _DAY == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def _overlap(one: Window, other: Window) -> bool:
    same = (one.merchant, one.user) == (other.merchant, other.user)
    return same and one.start <= other.end and other.start <= one.end
