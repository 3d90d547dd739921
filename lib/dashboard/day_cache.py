"""Cache recently read days, so that a period moved by a day reads only the missing days.

Owns which days are cached, for which reader, and when they expire. A settled day, which was over
long before it was read, expires after half a day; a recent day after minutes, because its records
still arrive. A period assembled from several reads has the same rows as a single read. For a site
with its own query file every period is read whole: only the author knows the meaning of its dates.
Matches nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lib.database import copy_reader
from lib.database.copy_reader import Extracted
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH
from lib.domain.requests import Progress, Window, days_of

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
    """One extraction: window, moment, rows, and the day of each row."""

    window: Window
    moment: datetime
    extracted: Extracted
    transaction_day: NDArray[np.int32]
    log_day: NDArray[np.int32]
    size_bytes: int = field(default=0)

    def has(self, day: date, now: datetime) -> bool:
        """True if this read includes the day and has not expired for it."""
        if not self.window.start <= day <= self.window.end:
            return False
        return now - self.moment < (SETTLED if settled(day, self.moment) else RECENT)

    def rows_of(self, days: list[date]) -> Extracted:
        """The rows of these days; not copied if these are all days of the read."""
        numbers = np.array([(day - EPOCH).days for day in days], dtype=np.int32)
        return Extracted(
            _rows(self.extracted.transactions, self.transaction_day, numbers),
            _rows(self.extracted.auth_logs, self.log_day, numbers),
        )


class Days:
    """Cached reads within a budget of bytes; the least recently used is evicted."""

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
        self._forgets = 0

    def read(
        self, settings: Settings, window: Window, progress: Progress
    ) -> tuple[datetime, Extracted]:
        """Return the moment of the window's oldest read, and the window's rows.

        Raises ExtractionError or ContractError.
        """
        now = self._clock(settings)
        if settings.transactions.query_file or settings.auth_logs.query_file:
            return now, self._extract(settings, window, progress=progress)
        forgets = self._forgets
        chosen = self._choose(window, now)
        missing = [day for day in days_of(window.start, window.end) if day not in chosen]
        for start, end in _spans(missing):
            part = replace(window, start=start, end=end)
            read = _read(part, now, self._extract(settings, part, progress=progress))
            chosen |= dict.fromkeys(days_of(start, end), read)
            self._keep(read, forgets)
        return min(read.moment for read in chosen.values()), _assembled(chosen)

    def forget(self, window: Window) -> None:
        """Drop every cached read that overlaps this window."""
        with self._lock:
            self._forgets += 1
            self._kept = [read for read in self._kept if not _overlap(read.window, window)]

    @property
    def size_bytes(self) -> int:
        """Memory of the cached reads; a data set made of a single read shares it."""
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(read.size_bytes for read in self._kept)

    def _choose(self, window: Window, now: datetime) -> dict[date, _Read]:
        """Choose the newest read of each day; days without an unexpired read are left out."""
        chosen: dict[date, _Read] = {}
        days = days_of(window.start, window.end)
        with self._lock:
            candidates = [read for read in self._kept if _overlap(read.window, window)]
            for read in sorted(candidates, key=lambda read: read.moment):
                chosen |= {day: read for day in days if read.has(day, now)}
            used = {id(read) for read in chosen.values()}
            self._kept.sort(key=lambda read: id(read) in used)
        return chosen

    def _keep(self, read: _Read, forgets: int) -> None:
        with self._lock:
            if forgets != self._forgets:
                return  # begun before a refresh, which reads its own
            self._kept.append(read)
            while self._kept and self._size() > self._budget:
                self._kept.pop(0)


def settled(day: date, moment: datetime) -> bool:
    """True if this day was over by more than `SETTLED_DAYS` at that moment."""
    return day < moment.date() - timedelta(days=SETTLED_DAYS)


def _read(window: Window, moment: datetime, extracted: Extracted) -> _Read:
    tables = (extracted.transactions, extracted.auth_logs)
    return _Read(
        window,
        moment,
        extracted,
        _day_numbers(extracted.transactions, c.DATA_TRANSA),
        _day_numbers(extracted.auth_logs, c.DATA),
        sum(table.nbytes + 4 * len(table) for table in tables),
    )


def _day_numbers(table: pa.Table, name: str) -> NDArray[np.int32]:
    # The product's own queries select a range of dates, so that no date is NULL.
    numbers: NDArray[np.int32] = column_arrays.column(table, name).view(pa.int32()).to_numpy()
    return numbers


def _rows(table: pa.Table, day: NDArray[np.int32], chosen: NDArray[np.int32]) -> pa.Table:
    rows = np.flatnonzero(np.isin(day, chosen))
    return table if len(rows) == len(table) else table.take(rows)


def _assembled(chosen: dict[date, _Read]) -> Extracted:
    reads = {id(read): read for read in chosen.values()}
    parts = [
        read.rows_of([day for day, source in chosen.items() if source is read])
        for read in reads.values()
    ]
    if len(parts) == 1:
        return parts[0]
    return Extracted(
        _stacked([part.transactions for part in parts]),
        _stacked([part.auth_logs for part in parts]),
    )


def _stacked(tables: list[pa.Table]) -> pa.Table:
    """Concatenate the tables; each column is one chunk with one dictionary."""
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _spans(days: list[date]) -> list[tuple[date, date]]:
    """Group the days, which ascend, into spans without gaps."""
    spans: list[tuple[date, date]] = []
    for day in days:
        if spans and spans[-1][1] + _DAY == day:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def _overlap(a: Window, b: Window) -> bool:
    same_rows = (a.merchant, a.user) == (b.merchant, b.user)
    return same_rows and a.start <= b.end and b.start <= a.end
