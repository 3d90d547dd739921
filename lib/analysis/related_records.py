"""What belongs to one record of a result: its card's other logs, the transaction nearest to a log.

Compares tokens, never card numbers, and gives row numbers of the extracted frames. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.matching import duplicates, reconcile, sorting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows


def logs_of_transaction(result: Reconciliation, row: int) -> Rows:
    """The logs, in time, of either card of the transaction in this row."""
    cards = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, present = column_arrays.token(result.transactions, name)
        if present[row]:
            cards.append(value[row])
    return _logs_of(result, np.array(cards, dtype=np.int64))


def logs_of_log(result: Reconciliation, row: int) -> Rows:
    """The logs, in time, of the card of the log in this row; itself among them."""
    value, present = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    return _logs_of(result, value[row : row + 1][present[row : row + 1]])


def nearest_transaction(result: Reconciliation, row: int) -> int | None:
    """The transaction of this divergent log's card, physical or virtual, nearest to it in time.

    One without a time where the card has no other; None where no transaction that the rule
    looked at has the card, or the card is blank.
    """
    nearest = result.nearest_rows[result.divergent_rows == row]
    if len(nearest) and nearest[0] >= 0:
        return int(nearest[0])
    presented, present = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    looked_at = reconcile.in_period(bought, result.period, result.rule.tolerance_seconds)
    same = np.zeros(len(result.transactions), dtype=np.bool_)
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, there = column_arrays.token(result.transactions, name)
        same |= there & (value == presented[row])
    rows = np.flatnonzero(same & looked_at & present[row])
    if not len(rows):
        return None
    visible = sorting.among(rows, duplicates.visible(result.transactions))
    return int(rows[sorting.arrange(bought.sheet_order[rows], visible)[0]])


def seconds_between(result: Reconciliation, transaction: int, log: int) -> int | None:
    """Log minus transaction in seconds, None where either has no time."""
    logged, bought = _logged(result, np.array([log])), _bought(result, np.array([transaction]))
    if not (logged.known[0] and bought.known[0]):
        return None
    return int(logged.seconds[0] - bought.seconds[0])


def _logged(result: Reconciliation, rows: Rows) -> column_arrays.Instants:
    return column_arrays.instants(result.auth_logs[[c.DATA, c.HORA]].take(rows), c.DATA, c.HORA)


def _bought(result: Reconciliation, rows: Rows) -> column_arrays.Instants:
    names = [c.DATA_TRANSA, c.HORA_TRANSA]
    return column_arrays.instants(result.transactions[names].take(rows), *names)


def _logs_of(result: Reconciliation, cards: NDArray[np.int64]) -> Rows:
    """The logs of the period, in sheet order."""
    value, present = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    within = result.log_rows
    rows = within[present[within] & np.isin(value[within], cards)]
    texts = duplicates.texts(result.auth_logs, c.NUM_CARTAO, c.COD_RESPOSTA, c.DES_LOG)
    return rows[sorting.arrange(_logged(result, rows).sheet_order, sorting.among(rows, texts))]
