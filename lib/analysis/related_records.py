"""Find records related to one record: the other logs of its card, the transaction nearest a log.

Compares tokens, never card numbers, and returns row numbers of the extracted tables.
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
    """Return the logs of both cards of the transaction in this row, in sheet order."""
    cards = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, present = column_arrays.token(result.transactions, name)
        if present[row]:
            cards.append(value[row])
    return _logs_of(result, np.array(cards, dtype=np.int64))


def logs_of_log(result: Reconciliation, row: int) -> Rows:
    """Return the logs of the card of the log in this row, itself included, in sheet order."""
    value, present = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    return _logs_of(result, value[row : row + 1][present[row : row + 1]])


def nearest_transaction(result: Reconciliation, row: int) -> int | None:
    """Return the transaction nearest in time to this divergent log, of the same card.

    Compares physical and virtual cards. A transaction without a time is returned only if the card
    has no other; None if the card is blank or no transaction that the rule reads has it.
    """
    nearest = result.nearest_rows[result.divergent_rows == row]
    if len(nearest) and nearest[0] >= 0:
        return int(nearest[0])
    card, has_card = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    instants = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    read = reconcile.in_period(instants, result.period, result.rule.tolerance_seconds)
    same = np.zeros(len(result.transactions), dtype=np.bool_)
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, present = column_arrays.token(result.transactions, name)
        same |= present & (value == card[row])
    rows = np.flatnonzero(same & read & has_card[row])
    if not len(rows):
        return None
    visible = sorting.among(rows, duplicates.visible(result.transactions))
    return int(rows[sorting.arrange(instants.sheet_order[rows], visible)[0]])


def seconds_between(result: Reconciliation, transaction: int, log: int) -> int | None:
    """Return log minus transaction in seconds, None if either has no time."""
    names = [c.DATA_TRANSA, c.HORA_TRANSA]
    bought = column_arrays.instants(result.transactions.select(names).take([transaction]), *names)
    logged = _log_instants(result, np.array([log]))
    if not (logged.known[0] and bought.known[0]):
        return None
    return int(logged.seconds[0] - bought.seconds[0])


def _log_instants(result: Reconciliation, rows: Rows) -> column_arrays.Instants:
    return column_arrays.instants(
        result.auth_logs.select((c.DATA, c.HORA)).take(rows), c.DATA, c.HORA
    )


def _logs_of(result: Reconciliation, cards: NDArray[np.int64]) -> Rows:
    """Return the logs of these cards inside the period, in sheet order."""
    value, present = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    rows = result.log_rows
    rows = rows[present[rows] & np.isin(value[rows], cards)]
    texts = duplicates.texts(result.auth_logs, c.NUM_CARTAO, c.COD_RESPOSTA, c.DES_LOG)
    return rows[
        sorting.arrange(_log_instants(result, rows).sheet_order, sorting.among(rows, texts))
    ]
