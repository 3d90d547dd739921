"""The logs in search order: by (card, declined, instant, visible values), sorted once.

Each transaction then takes two binary searches per card, however many records the card has; no list
of pairs is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.matching import duplicates, sorting
from lib.matching.pairing import MAX_DISTANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.domain.column_arrays import Bools, Instants, Ints

DATES_TOO_WIDE: Final = (
    "auth_logs: as datas dos logs vão muito além de qualquer período; "
    "confira o filtro de datas da consulta."
)


class Candidates(NamedTuple):
    """The best log of each transaction by one of its cards; ``log`` is -1 where there is none.

    ``distance`` is in seconds, `MAX_DISTANCE` where a time is missing; ``moment`` orders logs in
    time.
    """

    log: Ints
    declined: Bools
    distance: Ints
    moment: Ints

    @property
    def exists(self) -> Bools:
        return self.log >= 0


@dataclass(frozen=True)
class LogIndex:
    """The logs in search order.

    ``key`` is run * ``span`` + moment, where a run is the logs of one (card, declined) and a moment
    is seconds since ``origin``, below ``timed_span`` where the time is known.
    """

    cards: pa.Array
    row: Ints
    key: Ints
    same_moment: Ints
    seconds: Ints
    origin: int
    timed_span: int
    span: int

    @classmethod
    def build(cls, logs: pa.Table, instants: Instants, approved: Bools) -> Self:
        """Index the logs that have a card; logs without one match nothing."""
        encoded = column_arrays.column(logs, c.TOKEN_CARTAO).dictionary_encode()
        rows = np.flatnonzero(encoded.indices.is_valid().to_numpy(zero_copy_only=False))
        card = encoded.indices.take(pa.array(rows)).to_numpy().astype(np.int64)
        seconds, known, day = instants.seconds[rows], instants.known[rows], instants.day[rows]

        origin = int(seconds[known].min()) if known.any() else 0
        span = timed_span = int(seconds[known].max()) - origin + 1 if known.any() else 0
        moment = seconds - origin
        if not known.all():
            # Logs without a time come last in their run, by date.
            dates = column_arrays.distinct(day[~known])
            moment = np.where(known, moment, span + np.searchsorted(dates, day))
            span += len(dates)
        if 2 * (len(encoded.dictionary) + 1) >= MAX_DISTANCE // (span + 1):
            raise ContractError(DATES_TOO_WIDE)
        key = (card * 2 + ~approved[rows]) * span + moment

        texts = duplicates.texts(logs, c.COD_RESPOSTA, c.DES_LOG)
        order = sorting.arrange(key, sorting.among(rows, texts))
        key = key[order]
        return cls(
            cards=encoded.dictionary,
            row=rows[order],
            key=key,
            same_moment=np.searchsorted(key, key, side="left"),
            seconds=np.where(known, seconds, MAX_DISTANCE)[order],
            origin=origin,
            timed_span=timed_span,
            span=span,
        )

    def numbers(self, card: pa.Array) -> pa.Array:
        """Return each card's number among the cards with logs, NULL for the others."""
        return pc.index_in(card, value_set=self.cards, skip_nulls=True)

    def best(self, number: pa.Array, instants: Instants) -> Candidates:
        """Return each transaction's nearest approved log of its card, else the nearest declined.

        ``number`` (from `numbers`) and ``instants`` are by transaction row.
        """
        rows = np.flatnonzero(number.is_valid().to_numpy(zero_copy_only=False))
        run = number.take(pa.array(rows)).to_numpy().astype(np.int64) * 2
        log, distance, moment = self._nearest(run, instants, rows)
        declined = log < 0
        if declined.any():
            log[declined], distance[declined], moment[declined] = self._nearest(
                run[declined] + 1, instants, rows[declined]
            )
        n = len(number)
        result = Candidates(
            log=np.full(n, -1, dtype=np.int64),
            declined=np.zeros(n, dtype=np.bool_),
            distance=np.full(n, MAX_DISTANCE, dtype=np.int64),
            moment=np.zeros(n, dtype=np.int64),
        )
        result.log[rows] = log
        result.declined[rows] = declined
        result.distance[rows] = distance
        result.moment[rows] = moment
        return result

    def known(self, cards: Sequence[pa.Array], logs: int) -> Bools:
        """Return a mask of the log rows whose card is among these `numbers` of transactions."""
        has_transaction = np.zeros(len(self.cards), dtype=np.bool_)
        for number in cards:
            has_transaction[number.drop_null().to_numpy()] = True
        known = np.zeros(logs, dtype=np.bool_)
        card = self.key // (2 * self.span) if self.span else self.key
        known[self.row] = has_transaction[card]
        return known

    def _nearest(self, run: Ints, instants: Instants, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Return (log row or -1, distance, moment) of the nearest log in each row's run."""
        if not len(self.key):
            none = np.full(len(rows), -1, dtype=np.int64)
            return none, np.full(len(rows), MAX_DISTANCE), np.zeros(len(rows), dtype=np.int64)
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

    def _distance(self, positions: Ints, seconds: Ints, known: Bools, inside: Bools) -> Ints:
        logs = self.seconds[positions]
        return np.where(
            inside & known & (logs != MAX_DISTANCE), np.abs(logs - seconds), MAX_DISTANCE
        )
