"""Rule `card_time`: one log for one purchase, within the tolerance, the nearest first.

Turns the frames into places on cards for `lib.matching.nearest_pairs`, approved logs before
declined ones, and says how near each left-over record came. Source of the rule: the contract,
section Matching.
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
from lib.matching.pairing import Pairing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_LARGEST: Final = 2**62
_SEM_LOG, _FORA, _USADO = (
    c.WITHOUT_LOG_REASONS.index(reason)
    for reason in (c.SEM_LOG_DO_CARTAO, c.FORA_DA_TOLERANCIA, c.LOG_USADO)
)


class _Held(NamedTuple):
    """The number of each record's card, -1 where it is none that a log has."""

    physical: Ints
    virtual: Ints
    logged: Ints


class Within(NamedTuple):
    """Which rows of each frame the rule looks at."""

    transactions: Bools
    logs: Bools


@dataclass(frozen=True)
class _Cards:
    """Numbers the cards, and puts (card, instant) into one integer that measures distance."""

    numbers: pa.Array
    origin: int
    reach: int

    @property
    def span(self) -> int:
        """So wide that the nearest place is on the same card wherever that card has one."""
        return 2 * self.reach + 1

    def of(self, tokens: pa.Array) -> Ints:
        """The card's number, -1 where it is none that a log has."""
        found = pc.index_in(tokens, value_set=self.numbers, skip_nulls=True)
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def place(self, card: Ints, seconds: Ints) -> Ints:
        """Where on which card."""
        return card * self.span + (seconds - self.origin)


def pair(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    bought: column_arrays.Instants,
    logged: column_arrays.Instants,
    approved: Bools,
    within: Within,
    tolerance: int,
) -> Pairing:
    """Match one to one the records ``within`` the widened period; ``tolerance`` in seconds."""
    cards = _cards(auth_logs, bought, logged, within, tolerance)
    held = _Held(
        physical=cards.of(column_arrays.column(transactions, c.TOKEN_CARTAO)),
        virtual=cards.of(column_arrays.column(transactions, c.TOKEN_VIRTUAL)),
        logged=cards.of(column_arrays.column(auth_logs, c.TOKEN_CARTAO)),
    )
    entries = _entries(transactions, bought, within, cards, held)
    logs = _logs(auth_logs, logged, within, cards, held.logged)

    pairs = _Pairs([], [])
    free = np.ones(len(entries.row), dtype=np.bool_)
    for which in (approved[logs.row], ~approved[logs.row]):
        entry_at, log_at = np.flatnonzero(free), np.flatnonzero(which)
        entry, log = nearest_pairs.pair(entries.line.keep(free), logs.place[which], tolerance)
        pairs.entry.append(entry_at[entry])
        pairs.log.append(logs.row[log_at[log]])
        free &= ~np.isin(entries.line.purchase, entries.line.purchase[pairs.entry[-1]])
    entry, log = np.concatenate(pairs.entry), np.concatenate(pairs.log)
    row = entries.row[entry]

    taken = np.full(len(transactions), -1, dtype=np.int64)
    taken[row] = log
    virtual = np.zeros(len(transactions), dtype=np.bool_)
    virtual[row] = entries.virtual[entry]
    matched = np.zeros(len(auth_logs), dtype=np.bool_)
    matched[log] = True
    closest = np.full(len(auth_logs), -1, dtype=np.int64)
    near = nearest_pairs.nearest(logs.place, entries.line.place)
    same_card = near.distance <= cards.reach
    closest[logs.row[same_card]] = entries.row[near.position[same_card]]
    return Pairing(
        log=taken,
        virtual=virtual,
        survivor=_survivors(transactions, entries.copies, taken >= 0),
        reason=_reasons(held, entries, logs, tolerance),
        matched=matched,
        known=_known(held, within, cards),
        nearest=closest,
    )


class _Pairs(NamedTuple):
    entry: list[Ints]
    log: list[Ints]


def _cards(
    auth_logs: pd.DataFrame,
    bought: column_arrays.Instants,
    logged: column_arrays.Instants,
    within: Within,
    tolerance: int,
) -> _Cards:
    tokens = column_arrays.column(auth_logs, c.TOKEN_CARTAO).filter(pa.array(within.logs))
    numbers = tokens.dictionary_encode().dictionary
    seconds = np.concatenate(
        [
            bought.seconds[bought.known & within.transactions],
            logged.seconds[logged.known & within.logs],
        ]
    )
    origin = int(seconds.min()) if len(seconds) else 0
    reach = max(int(seconds.max()) - origin if len(seconds) else 0, tolerance)
    if (len(numbers) + 1) * (2 * reach + 1) >= _LARGEST:
        raise ContractError(
            "As datas lidas vão muito além de qualquer período; "
            "confira o filtro de datas das consultas."
        )
    return _Cards(numbers, origin, reach)


@dataclass(frozen=True)
class _Entries:
    """Each transaction once for each card of its that has a log: its row, join and place."""

    row: Ints
    virtual: Bools
    line: nearest_pairs.Entries
    copies: duplicates.Copies
    purchase_of_row: Ints


def _entries(
    transactions: pd.DataFrame,
    bought: column_arrays.Instants,
    within: Within,
    cards: _Cards,
    held: _Held,
) -> _Entries:
    copies = duplicates.copies(transactions, bought)
    purchase = np.arange(len(transactions))
    purchase[copies.rows] = copies.rows[np.flatnonzero(np.diff(copies.purchase, prepend=-1))][
        copies.purchase
    ]
    rows, places = [], []
    for card in (held.physical, held.virtual):
        row = np.flatnonzero((card >= 0) & bought.known & within.transactions)
        rows.append(row)
        places.append(cards.place(card[row], bought.seconds[row]))
    row, place = np.concatenate(rows), np.concatenate(places)
    virtual = np.arange(len(row)) >= len(rows[0])

    better = [
        *sorting.by(virtual),
        *sorting.among(row, duplicates.preference(transactions)),
        *sorting.by(row),
    ]
    of_purchase = sorting.arrange(purchase[row], better)
    starts = np.flatnonzero(np.diff(purchase[row][of_purchase], prepend=-1))
    sizes = np.diff(starts, append=len(row))
    choice = np.empty(len(row), dtype=np.int64)
    choice[of_purchase] = np.arange(len(row)) - np.repeat(starts, sizes)

    order = sorting.arrange(place, better)
    row, virtual = row[order], virtual[order]
    line = nearest_pairs.Entries(
        place=place[order],
        moment=bought.seconds[row],
        purchase=purchase[row],
        choice=choice[order],
        choices=int(sizes.max(initial=1)),
    )
    return _Entries(row, virtual, line, copies, purchase)


class _Logs(NamedTuple):
    row: Ints
    place: Ints


def _logs(
    auth_logs: pd.DataFrame,
    logged: column_arrays.Instants,
    within: Within,
    cards: _Cards,
    card: Ints,
) -> _Logs:
    row = np.flatnonzero((card >= 0) & logged.known & within.logs)
    place = cards.place(card[row], logged.seconds[row])
    texts = duplicates.texts(auth_logs, c.COD_RESPOSTA, c.DES_LOG)
    order = sorting.arrange(place, sorting.among(row, texts))
    return _Logs(row[order], place[order])


def _survivors(transactions: pd.DataFrame, copies: duplicates.Copies, paired: Bools) -> Ints:
    """The copy whose pair is taken, else the preferred one."""
    rows = copies.rows
    keyed = [
        *sorting.by(~paired[rows]),
        *sorting.among(rows, duplicates.preference(transactions)),
    ]
    order = sorting.arrange(copies.purchase, keyed)
    return duplicates.first_of_each(copies, order, len(transactions))


def _reasons(held: _Held, entries: _Entries, logs: _Logs, tolerance: int) -> NDArray[np.int8]:
    """Why each transaction would be without log; a purchase's cards are those of all its copies."""
    purchase = entries.purchase_of_row
    has_log = np.zeros(len(purchase), dtype=np.bool_)
    for card in (held.physical, held.virtual):
        has_log[purchase[card >= 0]] = True
    near = nearest_pairs.nearest(entries.line.place, logs.place).distance <= tolerance
    had_near = np.zeros(len(purchase), dtype=np.bool_)
    had_near[entries.line.purchase[near]] = True

    reason = np.full(len(purchase), _SEM_LOG, dtype=np.int8)
    reason[has_log[purchase]] = _FORA
    reason[had_near[purchase]] = _USADO
    return reason


def _known(held: _Held, within: Within, cards: _Cards) -> Bools:
    """Which logs carry a card of some transaction read, also one without a time."""
    seen = np.zeros(len(cards.numbers) + 1, dtype=np.bool_)
    for card in (held.physical, held.virtual):
        seen[card[within.transactions]] = True
    seen[-1] = False
    return seen[held.logged]
