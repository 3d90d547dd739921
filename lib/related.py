"""What belongs to one record of a result: its card's other logs, the transaction nearest to a log.

Compares tokens, never card numbers, and gives row numbers of the extracted frames. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lib import columns as c
from lib import keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.reconciliation import Reconciliation, Rows


def logs_of_transaction(result: Reconciliation, row: int) -> Rows:
    """The logs, in time, of either card of the transaction in this row."""
    cards = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, present = keys.token(result.transactions, name)
        if present[row]:
            cards.append(value[row])
    return _logs_of(result, np.array(cards, dtype=np.int64))


def logs_of_log(result: Reconciliation, row: int) -> Rows:
    """The logs, in time, of the card of the log in this row; itself among them."""
    value, present = keys.token(result.auth_logs, c.TOKEN_CARTAO)
    return _logs_of(result, value[row : row + 1][present[row : row + 1]])


def nearest_transaction(result: Reconciliation, row: int) -> int | None:
    """The transaction of this log's card, physical or virtual, that is nearest to it in time.

    None where no extracted transaction has the card, or its card is blank.
    """
    presented, present = keys.token(result.auth_logs, c.TOKEN_CARTAO)
    if not present[row]:
        return None
    same = np.zeros(len(result.transactions), dtype=np.bool_)
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, there = keys.token(result.transactions, name)
        same |= there & (value == presented[row])
    rows = np.flatnonzero(same)
    if not len(rows):
        return None
    logged = _logged(result, np.array([row]))
    bought = _bought(result, rows)
    distance = np.abs(bought.seconds - logged.seconds)
    return int(rows[np.argmin(np.where(bought.known & logged.known, distance, keys.NEVER))])


def seconds_between(result: Reconciliation, transaction: int, log: int) -> int | None:
    """Log minus transaction in seconds, None where either has no time."""
    logged, bought = _logged(result, np.array([log])), _bought(result, np.array([transaction]))
    if not (logged.known[0] and bought.known[0]):
        return None
    return int(logged.seconds[0] - bought.seconds[0])


def _logged(result: Reconciliation, rows: Rows) -> keys.Instants:
    return keys.instants(result.auth_logs[[c.DATA, c.HORA]].take(rows), c.DATA, c.HORA)


def _bought(result: Reconciliation, rows: Rows) -> keys.Instants:
    names = [c.DATA_TRANSA, c.HORA_TRANSA]
    return keys.instants(result.transactions[names].take(rows), *names)


def _logs_of(result: Reconciliation, cards: NDArray[np.int64]) -> Rows:
    value, present = keys.token(result.auth_logs, c.TOKEN_CARTAO)
    rows = np.flatnonzero(present & np.isin(value, cards))
    return rows[np.argsort(_logged(result, rows).sheet, kind="stable")]
