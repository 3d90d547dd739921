"""Rule `card`: pair each purchase with the best log of its cards; purchases may share a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.matching import duplicates, sorting
from lib.matching.log_index import Candidates, LogIndex
from lib.matching.pairing import Pairing

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.domain.column_arrays import Bools, Ints
    from lib.matching.prepared import Logs, Transactions


def pair(transactions: Transactions, logs: Logs, index: LogIndex) -> Pairing:
    """Match every transaction by physical and by virtual card, once per purchase."""
    cards = [
        index.numbers(column_arrays.column(transactions.table, name))
        for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL)
    ]
    physical, virtual = (index.best(card, transactions.instants) for card in cards)
    best, by_virtual = _better(physical, virtual)
    matched = index.known(cards, len(logs.table))
    sem_log = c.WITHOUT_LOG_REASONS.index(c.SEM_LOG_DO_CARTAO)
    return Pairing(
        log=best.log,
        virtual=by_virtual,
        survivor=_survivors(transactions, logs.table, best, by_virtual),
        reason=np.full(len(transactions.table), sem_log, dtype=np.int8),
        matched=matched,
        known=matched,
        nearest=np.full(len(logs.table), -1, dtype=np.int64),
    )


def _better(physical: Candidates, virtual: Candidates) -> tuple[Candidates, Bools]:
    """Return the better candidate of the two joins, and a mask of the virtual ones.

    Order: approved before declined, then the nearer, then the earlier log, then físico.
    """
    wins = np.zeros(len(physical.log), dtype=np.bool_)
    undecided = physical.exists & virtual.exists
    for of_physical, of_virtual in (
        (physical.declined, virtual.declined),
        (physical.distance, virtual.distance),
        (physical.moment, virtual.moment),
    ):
        wins |= undecided & (of_virtual < of_physical)
        undecided &= of_virtual == of_physical
    wins |= virtual.exists & ~physical.exists
    fields = zip(physical, virtual, strict=True)
    better = (np.where(wins, of_virtual, of_physical) for of_physical, of_virtual in fields)
    return Candidates(*better), wins


def _survivors(
    transactions: Transactions, auth_logs: pa.Table, pairs: Candidates, by_virtual: Bools
) -> Ints:
    """Return each transaction's survivor: the copy with the best pair."""
    copies = transactions.copies
    rows = copies.rows
    log = pairs.log[rows]
    order = sorting.arrange(
        copies.purchase,
        [
            *sorting.by(
                ~pairs.exists[rows],
                pairs.declined[rows],
                pairs.distance[rows],
                pairs.moment[rows],
                by_virtual[rows],
            ),
            *sorting.among(rows, duplicates.preference(transactions.table)),
            *sorting.among(log, duplicates.texts(auth_logs, c.COD_RESPOSTA, c.DES_LOG)),
        ],
    )
    return duplicates.first_of_each(copies, order, len(transactions.table))
