"""Explain decisions of a reconciliation: distance to the nearest record, reason of a removal.

Decides nothing: `lib.matching.reconcile` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows


def seconds_to_nearest(
    result: Reconciliation, positions: slice | Rows = slice(None)
) -> np.ma.MaskedArray[tuple[int], np.dtype[np.int64]]:
    """Return the seconds from the nearest transaction of the card to each divergent log.

    Signed whole seconds, masked where the card has no transaction with a time.
    """
    nearest, logs = result.nearest_rows[positions], result.divergent_rows[positions]
    exists = nearest >= 0
    seconds = np.zeros(len(logs), dtype=np.int64)
    if exists.any():
        bought = (c.DATA_TRANSA, c.HORA_TRANSA)
        log = result.auth_logs.select((c.DATA, c.HORA)).take(logs[exists])
        transaction = result.transactions.select(bought).take(nearest[exists])
        seconds[exists] = (
            column_arrays.instants(log, c.DATA, c.HORA).seconds
            - column_arrays.instants(transaction, *bought).seconds
        )
    return np.ma.array(seconds, mask=~exists)


def duplicate_reasons(
    result: Reconciliation, positions: slice | Rows = slice(None)
) -> NDArray[np.int8]:
    """Return the reason why each copy was removed, as an index into `columns.DUPLICATE_REASONS`.

    Copies are equal on `columns.DUPLICATE_KEY`; a survivor can differ only in the virtual card and
    the merchant.
    """
    rows, survivors = result.duplicate_rows[positions], result.survivor_rows[positions]
    token, present = column_arrays.token(result.transactions, c.TOKEN_VIRTUAL)
    same_number = (token[rows] == token[survivors]) & (present[rows] == present[survivors])
    both = np.concatenate([rows, survivors])
    merchant = column_arrays.text_rank(result.transactions, c.DES_CNPJ_REDUZIDO, both)
    same_merchant = merchant[: len(rows)] == merchant[len(rows) :]
    by_virtual = np.zeros(len(result.transactions), dtype=np.bool_)
    by_virtual[result.consolidated_rows[result.pair_virtual]] = True

    # Assigned from the weakest to the strongest reason.
    reason = np.full(len(rows), c.DUPLICATE_REASONS.index(c.DESEMPATE), dtype=np.int8)
    reason[same_number & same_merchant] = c.DUPLICATE_REASONS.index(c.COPIA_IGUAL)
    without_number = present[survivors] & ~present[rows]
    reason[without_number] = c.DUPLICATE_REASONS.index(c.SEM_NUMERO_VIRTUAL)
    pair_by_other = by_virtual[survivors] & ~same_number
    reason[pair_by_other] = c.DUPLICATE_REASONS.index(c.PAR_PELO_VIRTUAL)
    return reason
