"""Rule `card`: a purchase takes the best log of its cards, however many others take it too.

Logs are sorted once by (card, declined, instant, visible values); each transaction then needs two
binary searches, whatever the number of records its card has. No pairs are built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.matching import duplicates, sorting
from lib.matching.pairing import Pairing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

FAR: Final = np.int64(2**62)
"""The distance of a pair in which a time is missing: larger than any other."""


def pair(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    bought: column_arrays.Instants,
    logged: column_arrays.Instants,
    approved: Bools,
) -> Pairing:
    """Match every transaction by physical and by virtual card, once per purchase."""
    index = LogIndex.build(auth_logs, logged, approved)
    physical = index.best(column_arrays.column(transactions, c.TOKEN_CARTAO), bought)
    virtual = index.best(column_arrays.column(transactions, c.TOKEN_VIRTUAL), bought)
    best, by_virtual = _better(physical, virtual)
    matched = index.touched(transactions, len(auth_logs))
    return Pairing(
        log=best.log,
        virtual=by_virtual,
        survivor=_survivors(transactions, auth_logs, bought, best, by_virtual),
        reason=np.full(
            len(transactions), c.WITHOUT_LOG_REASONS.index(c.SEM_LOG_DO_CARTAO), dtype=np.int8
        ),
        matched=matched,
        known=matched,
        nearest=np.full(len(auth_logs), -1, dtype=np.int64),
    )


@dataclass(frozen=True)
class Candidates:
    """The best pair of each transaction, row by row; ``log`` is -1 where there is none.

    ``distance`` is in seconds (`FAR` where a time is missing); ``moment`` orders logs in time.
    """

    log: Ints
    declined: Bools
    distance: Ints
    moment: Ints

    @property
    def found(self) -> Bools:
        return self.log >= 0


def _better(physical: Candidates, virtual: Candidates) -> tuple[Candidates, Bools]:
    """Each copy's best pair of the two joins, and whether it is the virtual one.

    Approved before declined, then the nearer, then the earlier log, then físico.
    """
    wins = np.zeros(len(physical.log), dtype=np.bool_)
    undecided = physical.found & virtual.found
    for ours, theirs in (
        (physical.declined, virtual.declined),
        (physical.distance, virtual.distance),
        (physical.moment, virtual.moment),
    ):
        wins |= undecided & (theirs < ours)
        undecided &= theirs == ours
    wins |= virtual.found & ~physical.found
    return (
        Candidates(
            log=np.where(wins, virtual.log, physical.log),
            declined=np.where(wins, virtual.declined, physical.declined),
            distance=np.where(wins, virtual.distance, physical.distance),
            moment=np.where(wins, virtual.moment, physical.moment),
        ),
        wins,
    )


def _survivors(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    bought: column_arrays.Instants,
    pairs: Candidates,
    by_virtual: Bools,
) -> Ints:
    """For each transaction the row that stands for its purchase, itself where it has no twin."""
    copies = duplicates.copies(transactions, bought)
    rows = copies.rows
    log = pairs.log[rows]

    order = sorting.arrange(
        copies.purchase,
        [
            *sorting.by(
                ~pairs.found[rows],
                pairs.declined[rows],
                pairs.distance[rows],
                pairs.moment[rows],
                by_virtual[rows],
            ),
            *sorting.among(rows, duplicates.preference(transactions)),
            *sorting.among(log, duplicates.texts(auth_logs, c.COD_RESPOSTA, c.DES_LOG)),
        ],
    )
    return duplicates.first_of_each(copies, order, len(transactions))


@dataclass(frozen=True)
class LogIndex:
    """The logs in search order. ``key`` joins run and moment, where a run is (card, declined)."""

    cards: pa.Array
    row: Ints
    key: Ints
    same_moment: Ints
    seconds: Ints
    origin: int
    timed_span: int
    span: int

    @classmethod
    def build(
        cls, logs: pd.DataFrame, instants: column_arrays.Instants, approved: Bools
    ) -> LogIndex:
        """Sort the logs; those without a card are left out, for they match nothing."""
        encoded = column_arrays.column(logs, c.TOKEN_CARTAO).dictionary_encode()
        rows = np.flatnonzero(encoded.indices.is_valid().to_numpy(zero_copy_only=False))
        card = encoded.indices.take(pa.array(rows)).to_numpy().astype(np.int64)
        seconds, known, day = instants.seconds[rows], instants.known[rows], instants.day[rows]

        origin = int(seconds[known].min()) if known.any() else 0
        span = timed_span = int(seconds[known].max()) - origin + 1 if known.any() else 0
        moment = seconds - origin
        if not known.all():
            # Logs without a time come after all others of their card, by date.
            dates = np.unique(day[~known])
            moment = np.where(known, moment, span + np.searchsorted(dates, day))
            span += len(dates)
        if 2 * (len(encoded.dictionary) + 1) >= FAR // (span + 1):
            raise ContractError(
                "auth_logs: as datas dos logs vão muito além de qualquer período; "
                "confira o filtro de datas da consulta."
            )
        key = (card * 2 + ~approved[rows]) * span + moment

        order = sorting.arrange(
            key,
            [
                lambda at: column_arrays.text_rank(logs, c.COD_RESPOSTA, rows[at]),
                lambda at: column_arrays.text_rank(logs, c.DES_LOG, rows[at]),
            ],
        )
        key = key[order]
        return cls(
            cards=encoded.dictionary,
            row=rows[order],
            key=key,
            same_moment=np.searchsorted(key, key, side="left"),
            seconds=np.where(known, seconds, FAR)[order],
            origin=origin,
            timed_span=timed_span,
            span=span,
        )

    def best(self, card: pa.Array, instants: column_arrays.Instants) -> Candidates:
        """For each transaction the nearest approved log of this card, else the nearest declined."""
        found = pc.index_in(card, value_set=self.cards, skip_nulls=True)
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        run = found.take(pa.array(rows)).to_numpy().astype(np.int64) * 2
        log, distance, at = self._nearest(run, instants, rows)
        declined = log < 0
        if declined.any():
            log[declined], distance[declined], at[declined] = self._nearest(
                run[declined] + 1, instants, rows[declined]
            )
        n = len(card)
        result = Candidates(
            log=np.full(n, -1, dtype=np.int64),
            declined=np.zeros(n, dtype=np.bool_),
            distance=np.full(n, FAR, dtype=np.int64),
            moment=np.zeros(n, dtype=np.int64),
        )
        result.log[rows] = log
        result.declined[rows] = declined
        result.distance[rows] = distance
        result.moment[rows] = at
        return result

    def touched(self, transactions: pd.DataFrame, logs: int) -> Bools:
        """Which of the log rows carry the physical or virtual card of some transaction."""
        presented = pa.chunked_array(
            [column_arrays.column(transactions, name) for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL)]
        )
        known = pc.is_in(self.cards, value_set=presented, skip_nulls=True)
        touched = np.zeros(logs, dtype=np.bool_)
        card = self.key // (2 * self.span) if self.span else self.key
        touched[self.row] = known.to_numpy(zero_copy_only=False)[card]
        return touched

    def _nearest(
        self, run: Ints, instants: column_arrays.Instants, rows: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """(log row or -1, distance, moment) of the nearest log of each run."""
        if not len(self.key):
            nothing = np.full(len(rows), -1, dtype=np.int64)
            return nothing, np.full(len(rows), FAR), np.zeros(len(rows), dtype=np.int64)
        known = instants.known[rows]
        seconds = instants.seconds[rows]
        start = run * self.span
        moment = np.where(known, np.clip(seconds - self.origin, 0, self.timed_span), 0)
        after = np.searchsorted(self.key, start + moment, side="left")
        before = self.same_moment[after - 1]

        last = len(self.key) - 1
        after_inside = (after <= last) & (self.key[np.minimum(after, last)] < start + self.span)
        before_inside = (after > 0) & (self.key[before] >= start)
        after = np.minimum(after, last)
        after_distance = self._distance(after, seconds, known, after_inside)
        before_distance = self._distance(before, seconds, known, before_inside)

        earlier = before_inside & ((before_distance <= after_distance) | ~after_inside)
        chosen = np.where(earlier, before, after)
        distance = np.where(earlier, before_distance, after_distance)
        log = np.where(before_inside | after_inside, self.row[chosen], -1)
        return log, distance, self.key[chosen] - start

    def _distance(self, at: Ints, seconds: Ints, known: Bools, inside: Bools) -> Ints:
        logs = self.seconds[at]
        return np.where(inside & known & (logs != FAR), np.abs(logs - seconds), FAR)
