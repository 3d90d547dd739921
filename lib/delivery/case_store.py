"""Cases in the state file: one judging run applied to them, whole or not at all.

A state is stored as open, matched or missing; an open case is new while the run that opened it is
its merchant's latest judging run. Decides nothing about which days a run judges
(`lib.delivery.cases` does), and draws nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.analysis import case_evidence
from lib.delivery import case_counts, case_days, case_texts, state_file
from lib.domain import cases, column_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from lib.analysis.case_evidence import Evidence, Watched
    from lib.domain.cases import Cases
    from lib.domain.column_arrays import Bools, Ints

_OWN_COLUMNS: Final = (cases.KIND, cases.DAY, cases.MOTIVO, cases.AMOUNT)
_INSERT: Final = (
    "INSERT INTO cases (merchant, opened_by, first_seen, state, key, moment, words, base, ordinal,"
    f" digest, {', '.join(_OWN_COLUMNS)}, texts)"
    f" VALUES ({{}}, 'open', ?, ?, ?, ?, ?, ?, {'?, ' * len(_OWN_COLUMNS)}?)"
)
_REVALUE: Final = "UPDATE cases SET digest = ?, words = ?, texts = ?, motivo = ? WHERE key = ?"
_REOPEN: Final = (
    "UPDATE cases SET state = 'open', opened_by = ?, counterpart = NULL,"
    " owner = iif(status = 'resolvida', NULL, owner),"
    " version = version + (status IS 'resolvida'),"
    " status = nullif(status, 'resolvida') WHERE key = ?"
)
_JUDGED_LAST: Final = (
    "(SELECT at FROM judged_days JOIN judgements ON id = judgement WHERE"
    " judged_days.merchant = cases.merchant AND judged_days.day = coalesce(cases.day, ''))"
)
LAST_SEEN: Final = f"iif(state = 'open', {_JUDGED_LAST}, last_seen)"
"""Every run that judges a day finds its open cases: their own column is written as they close."""
EVENT: Final = "INSERT INTO case_events (key, at, who, kind, text) VALUES (?, ?, ?, ?, ?)"
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
        update = _Update(connection, judging)
        new, resolved = update.apply(found, evidence)
        if judging.kept_since is not None:
            _prune(connection, judging.merchant, judging.kept_since)
        return update.counted(new, resolved)


def watched(path: Path, merchant: str, first: date, last: date) -> Watched:
    """The open cases of these days, and those without a date. Raises HistoryError."""
    _, bases, _, moments = on_days(path, merchant, first, last, "closed = 0")
    return case_evidence.Watched(column_arrays.distinct(bases), column_arrays.distinct(moments))


def forget(path: Path, merchant: str) -> None:
    """Remove every case of a merchant and what was judged. Raises HistoryError."""
    with state_file.writing(path) as connection:
        connection.exec_driver_sql(
            "DELETE FROM case_events WHERE key IN (SELECT key FROM cases WHERE merchant = ?)",
            (merchant,),
        )
        for table in ("cases", "case_counts", "judged_days", "judgements"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE merchant = ?", (merchant,))


class _Update:
    """One judging run, inside the transaction that applies it."""

    def __init__(self, connection: Connection, judging: Judging) -> None:
        self._connection, self._judging = connection, judging
        self._merchant, self._at = judging.merchant, state_file.text_of(judging.at)
        self._days = judged(connection, judging)

    def apply(self, found: Cases, evidence: Callable[[Watched], Evidence]) -> tuple[int, int]:
        """Apply the run; return how many cases it opened and closed, without settled ones."""
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
        places = _places(found.keys, stored.keys)
        known = places >= 0
        seen = np.zeros(len(stored.keys), dtype=np.bool_)
        seen[places[known]] = True
        new = np.flatnonzero(~known)
        again = np.flatnonzero(known)
        changed = again[found.digests[again] != stored.digests[places[again]]]
        reopened, gone = stored.keys[seen & ~stored.open], stored.keys[~seen & stored.open]
        self._insert(found, new)
        keys = np.concatenate([found.keys[changed], reopened, gone])
        with case_counts.kept_current(self._connection, keys.tolist()):
            self._revalue(found, changed)
            unsettled = self._reopen(reopened.tolist())
            resolved = self._close(gone.tolist(), evidence)
        # The undated ones are judged by every run.
        self._connection.exec_driver_sql(
            "INSERT OR REPLACE INTO judged_days VALUES (?, ?, ?)",
            [
                (self._merchant, day, self._number)
                for day in ("", *sorted(map(date.isoformat, self._days)))
            ],
        )
        return len(new) + unsettled, resolved

    def _stored(self) -> _Stored:
        """The stored cases of the judged days, in key order."""
        keys, closed, digests, moments = case_days.read(
            self._connection, "key, closed, digest, moment", self._merchant, self._days
        )
        rows = np.flatnonzero(case_days.among(moments, self._days))
        rows = rows[np.argsort(keys[rows])]
        return _Stored(keys[rows], closed[rows] == 0, digests[rows])

    def _insert(self, found: Cases, rows: Ints) -> None:
        if not len(rows):
            return
        new = found if len(rows) == len(found.keys) else found.take(rows)
        values: tuple[Iterable[Any], ...] = (
            new.keys.tolist(),
            column_arrays.instants(new.table, cases.DAY, cases.TIME).sheet_order.tolist(),
            case_texts.words(new.table),
            new.bases.tolist(),
            new.ordinals.tolist(),
            new.digests.tolist(),
            *(case_texts.plain(new.table[name]) for name in _OWN_COLUMNS),
            case_texts.packed(new.table),
        )
        stored = self._connection.exec_driver_sql("SELECT sum(cases) FROM case_counts").scalar()
        with (
            state_file.indexed_afterwards(self._connection, "cases")
            if len(rows) > (stored or 0)
            else nullcontext()
        ):
            # By the driver itself, row by row: a list of all, and values that are the same in each
            # row, would cost as much again.
            driver: Any = self._connection.connection.driver_connection
            merchant = self._merchant.replace("'", "''")
            driver.executemany(
                _INSERT.format(f"'{merchant}', {self._number}, '{self._at}'"),
                zip(*values, strict=True),
            )
        opened = (cases.OPEN, self._number, self._at, None, None)
        by = [cases.DAY, cases.KIND, cases.MOTIVO]
        groups = new.table.group_by(by).aggregate([([], "count_all")]).to_pylist()
        counts = {
            (self._merchant, day and day.isoformat(), *names, *opened): number
            for day, *names, number in map(dict.values, groups)
        }
        case_counts.add(self._connection, Counter(counts))

    def _revalue(self, found: Cases, rows: Ints) -> None:
        """Bring changed values up to date."""
        if not len(rows):
            return
        part = found.take(rows)
        texts = case_texts.words(part.table), case_texts.packed(part.table)
        motivos = part.table[cases.MOTIVO].to_pylist()
        renewed = zip(part.digests.tolist(), *texts, motivos, part.keys.tolist(), strict=True)
        self._connection.exec_driver_sql(_REVALUE, list(renewed))

    def _reopen(self, keys: Sequence[int]) -> int:
        """Open closed cases again and return how many nobody has accepted."""
        if not keys:
            return 0
        self._connection.exec_driver_sql(_REOPEN, [(self._number, key) for key in keys])
        self._record(keys, REOPENED)
        return _unsettled(self._rows("status", keys))

    def _close(self, keys: Sequence[int], evidence: Callable[[Watched], Evidence]) -> int:
        """Close cases that are gone and return how many nobody had settled before."""
        rows = self._rows("key, base, ordinal, moment, status", keys)
        if (covered := self._judging.watched) is not None:
            # A case of a run that ended meanwhile: the next run judges it.
            known = set(covered.bases.tolist())
            rows = [row for row in rows if row.base in known]
        if not rows:
            return 0
        bases, moments = ([getattr(row, name) for row in rows] for name in ("base", "moment"))
        asked = case_evidence.Watched(np.unique(bases), np.unique(moments))
        closed = case_evidence.closing([tuple(row[:3]) for row in rows], evidence(asked))
        self._connection.exec_driver_sql(
            f"UPDATE cases SET state = ?, counterpart = ?, last_seen = {_JUDGED_LAST}"
            " WHERE key = ?",
            [(case.state, case.counterpart, case.key) for case in closed],
        )
        for state in (cases.MATCHED, cases.MISSING):
            self._record([case.key for case in closed if case.state == state], state)
        return _unsettled(rows)

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

    def counted(self, new: int, resolved: int) -> Change:
        """Count the open cases, and keep the counts with the run."""
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
    # No case is seen before its day: only old days need a look, and cases without a date.
    old = case_days.keys_until(
        connection, merchant, before.date(), f"{LAST_SEEN} < ?", state_file.text_of(before)
    )
    if old:
        keys = [(key,) for key in old]
        connection.exec_driver_sql("DELETE FROM case_events WHERE key = ?", keys)
        with case_counts.kept_current(connection, old):
            connection.exec_driver_sql("DELETE FROM cases WHERE key = ?", keys)


def on_days(
    path: Path, merchant: str, first: date, last: date, condition: str = "TRUE"
) -> list[Ints]:
    """Key, base, ordinal and moment of the cases of these days, and of those without a date."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return [np.empty(0, dtype=np.int64)] * 4
        columns = "key, base, ordinal, moment"
        return case_days.read(connection, columns, merchant, [first, last], condition)


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
    return found if len(rows) == len(found.keys) else found.take(rows)


def _unsettled(rows: Iterable[Any]) -> int:
    return sum(row.status not in cases.SETTLED for row in rows)


def _places(keys: Ints, among: Ints) -> Ints:
    """The position of each key among these sorted ones, -1 where it is not."""
    if not len(among):
        return np.full(len(keys), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.where(among[at] == keys, at, -1)
