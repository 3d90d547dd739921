"""Cases in a reconciliation: the open ones, and what became of records that were cases before.

Each partition of a reconciliation gives its part of the evidence. Pure; knows no store.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lib.domain import cases, column_arrays
from lib.domain import columns as c
from lib.domain.requests import CARD
from lib.matching import duplicates, sorting

if TYPE_CHECKING:
    from lib.domain.column_arrays import Bools, Ints
    from lib.domain.reconciliation import Reconciliation, Rows

_CASES: Final = [c.MOTIVOS.index(motivo) for motivo in cases.MOTIVOS]
_SIDES: Final = {cases.LOG: "auth_logs", cases.TRANSACTION: "transactions"}
_UNTIMED: Final = 2**40
_NOT_CHOSEN: Final = 2**41


@dataclass(frozen=True)
class Watched:
    """Records to look for: their `cases.bases` and their dates and times, both sorted."""

    bases: Ints
    moments: Ints

    @classmethod
    def of(cls, merchant: str, table: pa.Table) -> Watched:
        """Watch the records of a table of cases."""
        moments = column_arrays.instants(table, cases.DAY, cases.TIME).sheet_order
        return cls(np.unique(cases.bases(merchant, table)), np.unique(moments))


NOTHING_WATCHED: Final = Watched(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class Evidence:
    """Watched records that are no case, by base.

    ``paired`` has one entry for each record with a counterpart, ``idle`` one for each that needs
    nobody for another reason. ``counterparts`` are (base, rank, JSON), the lowest rank the best.
    """

    paired: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    counterparts: list[tuple[int, int, str]] = field(default_factory=list)

    @classmethod
    def decode(cls, values: dict[str, Any]) -> Evidence:
        """Decode the fields of another process, read from JSON."""
        counterparts = [(base, rank, text) for base, rank, text in values["counterparts"]]
        return cls(values["paired"], values["idle"], counterparts)

    def __add__(self, other: Evidence) -> Evidence:
        """Join the evidence of two partitions."""
        return Evidence(
            self.paired + other.paired,
            self.idle + other.idle,
            self.counterparts + other.counterparts,
        )


class Closed(NamedTuple):
    """A case that is open no more: `cases.MATCHED` or `cases.MISSING`."""

    key: int
    state: str
    counterpart: str | None


def found(result: Reconciliation, merchant: str, *, clear: bool) -> pa.Table:
    """Return the open cases in `cases.SCHEMA`, masked."""
    divergences = result.divergences(np.flatnonzero(_is_case(result)))
    without_log = result.transactions.select(c.TRANSACTIONS_QUERY).take(result.without_log_rows)
    reasons = column_arrays.labels(result.without_log_reason, c.WITHOUT_LOG_REASONS)
    return of_tables(
        divergences, without_log.append_column(c.MOTIVO, reasons), merchant, clear=clear
    )


def keys(result: Reconciliation, merchant: str, *, clear: bool) -> tuple[list[str], list[str]]:
    """The key of each row of the divergences and of the transactions without log.

    Empty for a divergence that is no case.
    """
    numbered = cases.of_run(merchant, found(result, merchant, clear=clear))
    by_row = np.empty(len(numbered.keys), dtype=np.int64)
    by_row[numbered.rows] = numbered.keys
    named = list(map(cases.hexadecimal, by_row.tolist()))
    positions = np.flatnonzero(_is_case(result)).tolist()
    divergent = [""] * len(result.divergent_rows)
    for position, key in zip(positions, named, strict=False):
        divergent[position] = key
    return divergent, named[len(positions) :]


def of_tables(
    divergences: pa.Table, without_log: pa.Table, merchant: str, *, clear: bool
) -> pa.Table:
    """Return the rows of both tables, all of them cases, in `cases.SCHEMA`."""
    logs = cases.of_kind(cases.LOG, divergences, merchant, clear=clear)
    transactions = cases.of_kind(cases.TRANSACTION, without_log, merchant, clear=clear)
    return pa.concat_tables([logs, transactions]).combine_chunks()


def evidence(result: Reconciliation, merchant: str, watched: Watched, *, clear: bool) -> Evidence:
    """Find the watched records among those that are no case."""
    if not len(watched.bases):
        return Evidence()
    search = _Search(result, merchant, watched, clear)
    return search.logs() + search.transactions()


def closing(gone: Iterable[tuple[int, int, int]], evidence: Evidence) -> list[Closed]:
    """Decide the state of cases that are no longer found, given as (key, base, ordinal).

    Of identical ones as many are matched as identical records are; the lowest ordinals first.
    """
    paired, idle = Counter(evidence.paired), Counter(evidence.idle)
    counterparts: dict[int, dict[str, None]] = defaultdict(dict)
    for base, _, text in sorted(evidence.counterparts):
        counterparts[base][text] = None
    closed = []
    number: Counter[int] = Counter()
    for key, base, _ in sorted(gone, key=itemgetter(1, 2)):
        best = list(counterparts[base])
        if number[base] < paired[base]:
            other = best[min(number[base], len(best) - 1)] if best else None
            closed.append(Closed(key, cases.MATCHED, other))
        elif number[base] < paired[base] + idle[base]:
            closed.append(Closed(key, cases.MATCHED, None))
        else:
            closed.append(Closed(key, cases.MISSING, None))
        number[base] += 1
    return closed


class _Search:
    """The search for watched records in one reconciliation."""

    def __init__(
        self, result: Reconciliation, merchant: str, watched: Watched, clear: bool
    ) -> None:
        self._result, self._merchant = result, merchant
        self._watched, self._clear = watched, clear
        self._rows = {kind: self._at_watched_moments(kind) for kind in _SIDES}

    def logs(self) -> Evidence:
        """Watched logs that are matched, declined or recent."""
        result = self._result
        _, idle = self._among(cases.LOG, result.divergent_rows[~_is_case(result)])
        # A partition also holds pairs of logs that another one counts.
        matched = result.matched_log_rows
        either = np.zeros(len(result.auth_logs), dtype=np.bool_)
        either[matched] = either[result.pair_rows] = True
        rows, bases = self._among(cases.LOG, np.flatnonzero(either))
        pairs = np.flatnonzero(np.isin(result.pair_rows, rows))
        others = rows[~np.isin(rows, result.pair_rows[pairs])]
        nearest, seconds = _nearest(result, others)
        logs = np.concatenate([result.pair_rows[pairs], others])
        counterparts = self._counterparts(
            bases[np.searchsorted(rows, logs)],
            np.concatenate([self._distances(pairs), seconds + _NOT_CHOSEN]),
            cases.TRANSACTION,
            np.concatenate([result.consolidated_rows[pairs], nearest]),
        )
        return Evidence(bases[np.isin(rows, matched)].tolist(), idle.tolist(), counterparts)

    def transactions(self) -> Evidence:
        """Watched transactions that are consolidated, or copies of one that is."""
        result = self._result
        rows, bases = self._among(cases.TRANSACTION, result.consolidated_rows)
        copies, copied = self._among(cases.TRANSACTION, result.duplicate_rows)
        place = np.full(len(result.transactions), -1, dtype=np.int64)
        place[result.consolidated_rows] = np.arange(len(result.consolidated_rows))
        place[result.duplicate_rows] = place[result.survivor_rows]
        pairs = place[np.concatenate([rows, copies])]
        bases = np.concatenate([bases, copied])[pairs >= 0]
        pairs = pairs[pairs >= 0]
        counterparts = self._counterparts(
            bases, self._distances(pairs), cases.LOG, result.pair_rows[pairs]
        )
        return Evidence(bases.tolist(), [], counterparts)

    def _among(self, kind: str, rows: Rows) -> tuple[Rows, Ints]:
        """Return the watched records among these rows, and their bases."""
        rows = rows[self._rows[kind][rows]]
        bases = cases.bases(self._merchant, self._cases(kind, rows))
        watched = np.isin(bases, self._watched.bases)
        return rows[watched], bases[watched]

    def _at_watched_moments(self, kind: str) -> Bools:
        """Mark the records of a side that have the date and time of a watched one."""
        table, names = getattr(self._result, _SIDES[kind]), cases.NAMES[kind]
        instants = column_arrays.instants(table, names[cases.DAY], names[cases.TIME])
        return np.isin(instants.sheet_order, self._watched.moments)

    def _cases(self, kind: str, rows: Rows) -> pa.Table:
        table = getattr(self._result, _SIDES[kind]).select(cases.order(kind)).take(rows)
        return cases.of_kind(kind, table, self._merchant, clear=self._clear)

    def _distances(self, pairs: Rows) -> Ints:
        seconds = self._result.pair_seconds[pairs]
        return np.asarray(np.ma.filled(np.abs(seconds), _UNTIMED), dtype=np.int64)

    def _counterparts(
        self, bases: Ints, ranks: Ints, kind: str, rows: Rows
    ) -> list[tuple[int, int, str]]:
        known = rows >= 0
        shown = cases.plain(kind, self._cases(kind, rows[known]))
        texts = (json.dumps(values, ensure_ascii=False) for values in shown)
        return list(zip(bases[known].tolist(), ranks[known].tolist(), texts, strict=True))


def _is_case(result: Reconciliation) -> Bools:
    return np.isin(result.motivo, _CASES)


def _nearest(result: Reconciliation, logs: Rows) -> tuple[Rows, Ints]:
    """Return the transaction of the card nearest to each of these logs, and the seconds between.

    -1 where no other transaction has the card. A log that rule `card_time` matched without a pair
    in the period is the pair of a transaction outside it.
    """
    if not len(logs):
        return logs, logs
    transactions = result.transactions
    card, _ = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    instants = column_arrays.instants(transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    allowed = np.ones(len(transactions), dtype=np.bool_)
    if result.rule.name != CARD:
        allowed[result.transaction_rows] = False
    parts = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, present = column_arrays.token(transactions, name)
        rows = np.flatnonzero(allowed & present & np.isin(value, card[logs]))
        parts.append((rows, value[rows]))
    rows, tokens = (np.concatenate(column) for column in zip(*parts, strict=True))
    seconds = np.where(instants.known[rows], instants.seconds[rows], column_arrays.MISSING)
    order = sorting.arrange(seconds, sorting.among(rows, duplicates.visible(transactions)))
    by_card: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for token, second, row in zip(
        tokens[order].tolist(), seconds[order].tolist(), rows[order].tolist(), strict=True
    ):
        by_card[token][0].append(second)
        by_card[token][1].append(row)

    bought = column_arrays.instants(
        result.auth_logs.select((c.DATA, c.HORA)).take(logs), c.DATA, c.HORA
    )
    nearest, distances = [], []
    for token, second, known in zip(
        card[logs].tolist(), bought.seconds.tolist(), bought.known.tolist(), strict=True
    ):
        at, distance = _closest(by_card[token][0], second if known else None)
        nearest.append(-1 if at is None else by_card[token][1][at])
        distances.append(distance)
    return np.array(nearest, dtype=np.int64), np.array(distances, dtype=np.int64)


def _closest(seconds: Sequence[int], second: int | None) -> tuple[int | None, int]:
    """Return the first position of the closest of these sorted seconds, and its distance."""
    if not seconds:
        return None, _UNTIMED
    if second is None:
        return 0, _UNTIMED
    after = bisect_left(seconds, second)
    near = [at for at in (after - 1, after) if 0 <= at < len(seconds)]
    closest = min(near, key=lambda at: abs(seconds[at] - second))
    distance = abs(seconds[closest] - second)
    return bisect_left(seconds, seconds[closest]), min(distance, _UNTIMED)
