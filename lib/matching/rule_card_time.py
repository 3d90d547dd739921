"""Rule `card_time`: pair each log with at most one purchase, within the tolerance, nearest first.

Converts the tables to points for `lib.matching.nearest_pairs`, pairs approved logs before declined
ones, and determines the reason for each unpaired record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.matching import duplicates, nearest_pairs, sorting
from lib.matching.pairing import MAX_DISTANCE, Pairing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Bools, Ints
    from lib.matching.prepared import Logs, Transactions

DATES_TOO_WIDE: Final = (
    "As datas lidas vão muito além de qualquer período; confira o filtro de datas das consultas."
)
_SEM_LOG, _FORA, _USADO = (
    c.WITHOUT_LOG_REASONS.index(reason)
    for reason in (c.SEM_LOG_DO_CARTAO, c.FORA_DA_TOLERANCIA, c.LOG_USADO)
)


class _CardNumbers(NamedTuple):
    """The number of each record's card, by row; -1 where no log has the card."""

    physical: Ints
    virtual: Ints
    log: Ints


class Within(NamedTuple):
    """Masks of the rows of each table that lie in the widened period."""

    transactions: Bools
    logs: Bools


@dataclass(frozen=True)
class _Cards:
    """The numbers of the logs' cards, and the integers that combine a card and an instant.

    ``origin`` is the earliest instant, ``reach`` the largest distance on one card, in seconds.
    """

    tokens: pa.Array
    origin: int
    reach: int

    @property
    def span(self) -> int:
        """The distance between two cards: points of one card are always nearer."""
        return 2 * self.reach + 1

    def number(self, table: pa.Table, name: str) -> Ints:
        """Return the number of each row's card, -1 where no log has it."""
        tokens = column_arrays.column(table, name)
        number = pc.index_in(tokens, value_set=self.tokens, skip_nulls=True)
        return np.asarray(number.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def point(self, card: Ints, seconds: Ints) -> Ints:
        return card * self.span + (seconds - self.origin)


def pair(transactions: Transactions, logs: Logs, within: Within, tolerance: int) -> Pairing:
    """Match the records ``within`` the widened period one to one; ``tolerance`` in seconds."""
    cards = _cards(transactions, logs, within, tolerance)
    numbers = _CardNumbers(
        physical=cards.number(transactions.table, c.TOKEN_CARTAO),
        virtual=cards.number(transactions.table, c.TOKEN_VIRTUAL),
        log=cards.number(logs.table, c.TOKEN_CARTAO),
    )
    entries = _entries(transactions, within, cards, numbers)
    points = _log_points(logs, within, cards, numbers.log)

    paired_entries, paired_logs = [], []
    free = np.ones(len(entries.row), dtype=np.bool_)
    for eligible in (logs.approved[points.row], ~logs.approved[points.row]):
        entry_at, log_at = np.flatnonzero(free), np.flatnonzero(eligible)
        entry, log = nearest_pairs.pair(
            entries.points.filter(free), points.point[eligible], tolerance
        )
        paired_entries.append(entry_at[entry])
        paired_logs.append(points.row[log_at[log]])
        purchase = entries.points.purchase
        free &= ~np.isin(purchase, purchase[paired_entries[-1]])
    entry, log = np.concatenate(paired_entries), np.concatenate(paired_logs)
    row = entries.row[entry]

    log_of = np.full(len(transactions.table), -1, dtype=np.int64)
    log_of[row] = log
    virtual = np.zeros(len(transactions.table), dtype=np.bool_)
    virtual[row] = entries.virtual[entry]
    matched = np.zeros(len(logs.table), dtype=np.bool_)
    matched[log] = True
    nearest = np.full(len(logs.table), -1, dtype=np.int64)
    neighbour = nearest_pairs.nearest(points.point, entries.points.point)
    same_card = neighbour.distance <= cards.reach
    nearest[points.row[same_card]] = entries.row[neighbour.position[same_card]]
    return Pairing(
        log=log_of,
        virtual=virtual,
        survivor=_survivors(transactions, log_of >= 0),
        reason=_reasons(numbers, entries, points, tolerance),
        matched=matched,
        known=_known(numbers, within, cards),
        nearest=nearest,
    )


def _cards(transactions: Transactions, logs: Logs, within: Within, tolerance: int) -> _Cards:
    tokens = column_arrays.column(logs.table, c.TOKEN_CARTAO).filter(pa.array(within.logs))
    tokens = tokens.dictionary_encode().dictionary
    seconds = np.concatenate(
        [
            instants.seconds[instants.known & inside]
            for instants, inside in zip((transactions.instants, logs.instants), within, strict=True)
        ]
    )
    origin = int(seconds.min()) if len(seconds) else 0
    reach = max(int(seconds.max()) - origin if len(seconds) else 0, tolerance)
    if (len(tokens) + 1) * (2 * reach + 1) >= MAX_DISTANCE:
        raise ContractError(DATES_TOO_WIDE)
    return _Cards(tokens, origin, reach)


@dataclass(frozen=True)
class _Entries:
    """One entry for each card of a transaction that has a log: its row, join and point.

    ``purchase_of_row`` is by transaction row: the first row of its copies.
    """

    row: Ints
    virtual: Bools
    points: nearest_pairs.Entries
    purchase_of_row: Ints


def _entries(
    transactions: Transactions, within: Within, cards: _Cards, numbers: _CardNumbers
) -> _Entries:
    table, instants, copies = transactions.table, transactions.instants, transactions.copies
    purchase = duplicates.first_of_each(copies, np.arange(len(copies.rows)), len(table))
    rows, points = [], []
    for card in (numbers.physical, numbers.virtual):
        row = np.flatnonzero((card >= 0) & instants.known & within.transactions)
        rows.append(row)
        points.append(cards.point(card[row], instants.seconds[row]))
    row, point = np.concatenate(rows), np.concatenate(points)
    virtual = np.arange(len(row)) >= len(rows[0])

    preference = [
        *sorting.by(virtual),
        *sorting.among(row, duplicates.preference(table)),
        *sorting.by(row),
    ]
    by_purchase = sorting.arrange(purchase[row], preference)
    starts = np.flatnonzero(np.diff(purchase[row][by_purchase], prepend=-1))
    sizes = np.diff(starts, append=len(row))
    choice = np.empty(len(row), dtype=np.int64)
    choice[by_purchase] = np.arange(len(row)) - np.repeat(starts, sizes)

    order = sorting.arrange(point, preference)
    row, virtual = row[order], virtual[order]
    entries = nearest_pairs.Entries(
        point=point[order],
        moment=instants.seconds[row],
        purchase=purchase[row],
        choice=choice[order],
        choices=int(sizes.max(initial=1)),
    )
    return _Entries(row, virtual, entries, purchase)


class _LogPoints(NamedTuple):
    row: Ints
    point: Ints


def _log_points(logs: Logs, within: Within, cards: _Cards, card: Ints) -> _LogPoints:
    row = np.flatnonzero((card >= 0) & logs.instants.known & within.logs)
    point = cards.point(card[row], logs.instants.seconds[row])
    texts = duplicates.texts(logs.table, c.COD_RESPOSTA, c.DES_LOG)
    order = sorting.arrange(point, sorting.among(row, texts))
    return _LogPoints(row[order], point[order])


def _survivors(transactions: Transactions, paired: Bools) -> Ints:
    """Return each transaction's survivor: the paired copy, else the preferred one."""
    copies, rows = transactions.copies, transactions.copies.rows
    keys = [lambda positions: ~paired[positions], *duplicates.preference(transactions.table)]
    order = sorting.arrange(copies.purchase, sorting.among(rows, keys))
    return duplicates.first_of_each(copies, order, len(transactions.table))


def _reasons(
    numbers: _CardNumbers, entries: _Entries, logs: _LogPoints, tolerance: int
) -> NDArray[np.int8]:
    """Return the reason for each transaction, should it have no log.

    The reason considers the cards of all copies of the purchase.
    """
    purchase = entries.purchase_of_row
    has_log = np.zeros(len(purchase), dtype=np.bool_)
    for card in (numbers.physical, numbers.virtual):
        has_log[purchase[card >= 0]] = True
    near = nearest_pairs.nearest(entries.points.point, logs.point).distance <= tolerance
    has_near_log = np.zeros(len(purchase), dtype=np.bool_)
    has_near_log[entries.points.purchase[near]] = True

    reason = np.full(len(purchase), _SEM_LOG, dtype=np.int8)
    reason[has_log[purchase]] = _FORA
    reason[has_near_log[purchase]] = _USADO
    return reason


def _known(numbers: _CardNumbers, within: Within, cards: _Cards) -> Bools:
    """Return a mask of the logs whose card is a transaction's, with or without a time."""
    # The last slot takes card -1, which is no card.
    known = np.zeros(len(cards.tokens) + 1, dtype=np.bool_)
    for card in (numbers.physical, numbers.virtual):
        known[card[within.transactions]] = True
    known[-1] = False
    return known[numbers.log]
