"""Cases in the state file: one judging run applied to them, whole or not at all.

A state is stored as open, matched or missing; an open case is new while the run that opened it is
its merchant's latest judging run. Decides nothing about which days a run judges
(`lib.delivery.cases` does), and draws nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.analysis import case_evidence
from lib.delivery import state_file
from lib.domain import cases, column_arrays
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from lib.analysis.case_evidence import Evidence, Watched
    from lib.domain.cases import Cases
    from lib.domain.column_arrays import Bools, Ints

_DAY: Final = column_arrays.DAY_SECONDS + 1
_UNDATED: Final = column_arrays.MISSING - _DAY
_TEXTS: Final = (
    *(cases.KIND, cases.DAY, cases.TIME, cases.CARD, cases.CODE, cases.AMOUNT, cases.CPF),
    *(cases.VIRTUAL, cases.FIELD, cases.TEXT, cases.MOTIVO),
)
_INSERT: Final = (
    "INSERT INTO cases (key, merchant, state, opened_by, moment, first_seen, last_seen, base,"
    f" ordinal, digest, {', '.join(_TEXTS)})"
    f" VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?{', ?' * len(_TEXTS)})"
)
_REVALUE: Final = (
    f"UPDATE cases SET digest = ?, {', '.join(f'{name} = ?' for name in cases.CHANGEABLE)}"
    " WHERE key = ?"
)
_REOPEN: Final = (
    "UPDATE cases SET state = 'open', opened_by = ?, counterpart = NULL,"
    " owner = iif(status = 'resolvida', NULL, owner),"
    " version = version + (status IS 'resolvida'),"
    " status = nullif(status, 'resolvida') WHERE key = ?"
)
_SEEN: Final = (
    "UPDATE cases SET last_seen = ? WHERE merchant = ? AND state = 'open'"
    " AND moment BETWEEN ? AND ? AND (day IS NULL OR day IN (SELECT value FROM json_each(?)))"
)
EVENT: Final = "INSERT INTO case_events (key, at, who, kind, text) VALUES (?, ?, ?, ?, ?)"
_COUNTED: Final = "merchant, day, kind, motivo, state, opened_by, first_seen, status, owner"
REOPENED: Final = "reopened"


@dataclass(frozen=True)
class Judging:
    """One judging run: its number in the history, its moment in UTC, and the days it judges.

    ``first_day`` is judged only if no earlier run judged it. ``watched`` are the records that the
    evidence covers, None if it covers all. ``reach`` are the latest days with transactions and
    logs. Cases last seen before ``kept_since`` are removed.
    """

    run: int
    merchant: str
    at: datetime
    period: tuple[date, date]
    days: frozenset[date]
    first_day: date | None = None
    watched: Watched | None = None
    reach: tuple[date | None, date | None] = (None, None)
    kept_since: datetime | None = None


@dataclass(frozen=True)
class Change:
    """The counts after a judging run, without cases that somebody accepted or resolved.

    ``new`` and ``resolved`` are of this run; ``outside`` are open on days outside its period.
    """

    new: int
    resolved: int
    open: int
    outside: int


@dataclass(frozen=True)
class _Stored:
    keys: Ints
    open: Bools
    digests: Ints


def judge(
    path: Path, judging: Judging, found: Cases, evidence: Callable[[Watched], Evidence]
) -> Change:
    """Apply a run to the stored cases; a run that was applied before changes nothing.

    ``found`` are the cases of all its days; ``evidence`` is asked about those that are gone.
    Raises HistoryError.
    """
    with state_file.writing(path) as connection:
        applied = connection.exec_driver_sql(
            "SELECT new, resolved, open, outside FROM judgements WHERE run = ?", (judging.run,)
        ).one_or_none()
        if applied is not None:
            return Change(*applied)
        change = _Update(connection, judging).apply(found, evidence)
        if judging.kept_since is not None:
            _prune(connection, judging.merchant, judging.kept_since)
        return change


def watched(path: Path, merchant: str, first: date, last: date) -> Watched:
    """The open cases of these days, and those without a date. Raises HistoryError."""
    _, bases, _, moments = on_days(path, merchant, first, last, " AND state = 'open'")
    return case_evidence.Watched(np.unique(bases), np.unique(moments))


def forget(path: Path, merchant: str) -> None:
    """Remove every case of a merchant and what was judged. Raises HistoryError."""
    with state_file.writing(path) as connection:
        connection.exec_driver_sql(
            "DELETE FROM case_events WHERE key IN (SELECT key FROM cases WHERE merchant = ?)",
            (merchant,),
        )
        for table in ("cases", "case_counts", "judged_days", "judgements"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE merchant = ?", (merchant,))


def count_again(connection: Connection, merchant: str, days: Iterable[str | None]) -> None:
    """Renew the sums of these days."""
    of_days: list[tuple[str, str | None]] = []
    spans: list[tuple[str, int, int]] = []
    for day in days:
        of_days.append((merchant, day))
        low, high = (_UNDATED, column_arrays.MISSING)
        if day is not None:
            low, high = _span([date.fromisoformat(day)])
        spans.append((merchant, low, high))
    if not of_days:
        return
    connection.exec_driver_sql("DELETE FROM case_counts WHERE merchant = ? AND day IS ?", of_days)
    connection.exec_driver_sql(
        f"INSERT INTO case_counts SELECT {_COUNTED}, count(*) FROM cases"
        f" WHERE merchant = ? AND moment BETWEEN ? AND ? GROUP BY {_COUNTED}",
        spans,
    )


class _Update:
    """One judging run, inside the transaction that applies it."""

    def __init__(self, connection: Connection, judging: Judging) -> None:
        self._connection, self._judging = connection, judging
        self._merchant, self._at = judging.merchant, state_file.text_of(judging.at)
        self._days = judged(connection, judging)
        self._texts = {day.isoformat() for day in self._days}

    def apply(self, found: Cases, evidence: Callable[[Watched], Evidence]) -> Change:
        inserted = self._connection.exec_driver_sql(
            "INSERT INTO judgements (run, merchant, at, period_start, period_end,"
            " transactions_until, logs_until) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._judging.run,
                self._merchant,
                self._at,
                *(day.isoformat() for day in self._judging.period),
                *(day and day.isoformat() for day in self._judging.reach),
            ),
        )
        self._number = int(inserted.lastrowid)
        found = _of_days(found, self._days)
        stored = self._stored()
        known = np.isin(found.keys, stored.keys)
        seen = np.isin(stored.keys, found.keys)
        again = stored.keys[seen & ~stored.open]
        self._insert(found, np.flatnonzero(~known))
        self._revalue(found, stored)
        new = int((~known).sum()) + self._reopen(again)
        resolved = self._close(stored.keys[~seen & stored.open], evidence)
        self._mark_seen()
        if self._texts:
            self._connection.exec_driver_sql(
                "INSERT OR REPLACE INTO judged_days VALUES (?, ?, ?)",
                [(self._merchant, day, self._number) for day in sorted(self._texts)],
            )
        count_again(self._connection, self._merchant, [*sorted(self._texts), None])
        return self._counted(new, resolved)

    def _stored(self) -> _Stored:
        """The stored cases of the judged days, in key order."""
        rows = self._connection.exec_driver_sql(
            "SELECT key, state = 'open', digest, moment FROM cases"
            " WHERE merchant = ? AND (moment BETWEEN ? AND ? OR moment >= ?)",
            (self._merchant, *_span(self._days), _UNDATED),
        ).all()
        keys, is_open, digests, moments = _columns(rows, 4)
        judged = _on_days(moments, self._days)
        order = np.argsort(keys[judged])
        keys, is_open, digests = (column[judged][order] for column in (keys, is_open, digests))
        return _Stored(keys, is_open.astype(np.bool_), digests)

    def _insert(self, found: Cases, rows: Ints) -> None:
        if not len(rows):
            return
        table = found.table.take(pa.array(rows))
        columns: list[Iterable[Any]] = [
            found.keys[rows].tolist(),
            column_arrays.instants(table, cases.DAY, cases.TIME).sheet_order.tolist(),
            cases.bases(self._merchant, table).tolist(),
            found.ordinals[rows].tolist(),
            found.digests[rows].tolist(),
            *(table[name].cast(pa.string()).to_pylist() for name in _TEXTS),
        ]
        same = (self._merchant, self._number), (self._at, self._at)
        self._connection.exec_driver_sql(
            _INSERT,
            [
                (key, *same[0], moment, *same[1], *values)
                for key, moment, *values in zip(*columns, strict=True)
            ],
        )

    def _revalue(self, found: Cases, stored: _Stored) -> None:
        """Bring changed values up to date."""
        at = np.minimum(np.searchsorted(stored.keys, found.keys), max(len(stored.keys) - 1, 0))
        if not len(stored.keys):
            return
        changed = np.flatnonzero(
            (stored.keys[at] == found.keys) & (stored.digests[at] != found.digests)
        )
        if len(changed):
            table = found.table.take(pa.array(changed))
            values = (table[name].to_pylist() for name in cases.CHANGEABLE)
            keys, digests = found.keys[changed].tolist(), found.digests[changed].tolist()
            rows = list(zip(digests, *values, keys, strict=True))
            self._connection.exec_driver_sql(_REVALUE, rows)

    def _reopen(self, keys: Ints) -> int:
        """Open closed cases again and return how many nobody has accepted."""
        if not len(keys):
            return 0
        numbers = keys.tolist()
        self._connection.exec_driver_sql(_REOPEN, [(self._number, key) for key in numbers])
        self._record(numbers, REOPENED)
        return self._unsettled(numbers)

    def _close(self, keys: Ints, evidence: Callable[[Watched], Evidence]) -> int:
        """Close cases that are gone and return how many nobody had settled before."""
        rows = self._rows("key, base, ordinal, moment", keys.tolist())
        if (covered := self._judging.watched) is not None:
            # A case of a run that ended meanwhile: the next run judges it.
            known = set(covered.bases.tolist())
            rows = [row for row in rows if row.base in known]
        if not rows:
            return 0
        _, bases, _, moments = _columns(rows, 4)
        gone = case_evidence.Watched(np.unique(bases), np.unique(moments))
        closed = case_evidence.closing([tuple(row[:3]) for row in rows], evidence(gone))
        unsettled = self._unsettled([case.key for case in closed])
        self._connection.exec_driver_sql(
            "UPDATE cases SET state = ?, counterpart = ? WHERE key = ?",
            [(case.state, case.counterpart, case.key) for case in closed],
        )
        for state in (cases.MATCHED, cases.MISSING):
            self._record([case.key for case in closed if case.state == state], state)
        return unsettled

    def _record(self, keys: Sequence[int], kind: str) -> None:
        if keys:
            who = f"#{self._judging.run}"
            events = [(key, self._at, who, kind, None) for key in keys]
            self._connection.exec_driver_sql(EVENT, events)

    def _rows(self, columns: str, keys: Sequence[int]) -> Sequence[Any]:
        return self._connection.exec_driver_sql(
            f"SELECT {columns} FROM cases WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        ).all()

    def _unsettled(self, keys: Sequence[int]) -> int:
        settled = sum(row.status in cases.SETTLED for row in self._rows("status", keys))
        return len(keys) - settled

    def _mark_seen(self) -> None:
        """Every case of the judged days that is open now was found by this run."""
        days = json.dumps(sorted(self._texts))
        for span in (_span(self._days), (_UNDATED, column_arrays.MISSING)):
            self._connection.exec_driver_sql(_SEEN, (self._at, self._merchant, *span, days))

    def _counted(self, new: int, resolved: int) -> Change:
        start, end = (day.isoformat() for day in self._judging.period)
        inside, outside = self._connection.exec_driver_sql(
            "SELECT coalesce(sum(cases), 0), coalesce(sum(cases) FILTER"
            " (WHERE day NOT BETWEEN ? AND ?), 0) FROM case_counts WHERE merchant = ?"
            " AND state = 'open' AND (status IS NULL OR status NOT IN ('aceita', 'resolvida'))",
            (start, end, self._merchant),
        ).one()
        change = Change(new, resolved, inside - outside, outside)
        self._connection.exec_driver_sql(
            "UPDATE judgements SET new = ?, resolved = ?, open = ?, outside = ? WHERE id = ?",
            (change.new, change.resolved, change.open, change.outside, self._number),
        )
        return change


def _prune(connection: Connection, merchant: str, before: datetime) -> None:
    """Remove cases last seen before this moment, with their timelines."""
    # No case is seen before its day: only old days need a look.
    old = connection.exec_driver_sql(
        "SELECT key, day FROM cases WHERE merchant = ? AND moment < ? AND last_seen < ?",
        (merchant, _span([before.date()])[1], state_file.text_of(before)),
    ).all()
    if old:
        keys = [(row.key,) for row in old]
        connection.exec_driver_sql("DELETE FROM case_events WHERE key = ?", keys)
        connection.exec_driver_sql("DELETE FROM cases WHERE key = ?", keys)
        count_again(connection, merchant, {row.day for row in old})


def on_days(path: Path, merchant: str, first: date, last: date, condition: str = "") -> list[Ints]:
    """Key, base, ordinal and moment of the cases of these days, and of those without a date."""
    rows: Sequence[Any] = ()
    with state_file.reading_cases(path) as connection:
        if connection is not None:
            rows = connection.exec_driver_sql(
                "SELECT key, base, ordinal, moment FROM cases WHERE merchant = ?"
                f" AND (moment BETWEEN ? AND ? OR moment >= ?){condition}",
                (merchant, *_span([first, last]), _UNDATED),
            ).all()
    return _columns(rows, 4)


def judged(connection: Connection, judging: Judging) -> set[date]:
    """The days that the run judges: without its first one, if that was judged before."""
    days = set(judging.days)
    if judging.first_day is not None:
        before = connection.exec_driver_sql(
            "SELECT count(*) FROM judged_days WHERE merchant = ? AND day = ?",
            (judging.merchant, judging.first_day.isoformat()),
        ).scalar_one()
        if before:
            days.discard(judging.first_day)
    return days


def _of_days(found: Cases, days: set[date]) -> Cases:
    """The cases on these days or without a date."""
    column = found.table[cases.DAY]
    judged = pc.or_kleene(pc.is_null(column), pc.is_in(column, pa.array(list(days), pa.date32())))
    rows = np.flatnonzero(judged.to_numpy())
    if len(rows) == len(found.keys):
        return found
    table = found.table.take(pa.array(rows))
    return cases.Cases(
        found.keys[rows], found.rows[rows], found.ordinals[rows], found.digests[rows], table
    )


def _on_days(moments: Ints, days: Iterable[date]) -> Bools:
    numbers = [(day - EPOCH).days for day in days]
    return np.isin(moments // _DAY, numbers) | (moments >= _UNDATED)


def _span(days: Iterable[date]) -> tuple[int, int]:
    """The first and the last moment of these days; of none, no moment."""
    numbers = [(day - EPOCH).days for day in days]
    if not numbers:
        return 1, 0
    return min(numbers) * _DAY, (max(numbers) + 1) * _DAY - 1


def _columns(rows: Sequence[Any], count: int) -> list[Ints]:
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * count)
    values = flat.reshape(len(rows), count)
    return list(np.ascontiguousarray(values.T))
