"""Says for single records of a reconciliation why they are where they are.

Frames for a reader, a few rows at a time, beside the sheets' own columns: what is nearest, what
survived instead. Pure; decides nothing that `lib.matching.reconcile` has not decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows


def divergences(result: Reconciliation, at: slice | Rows = slice(None)) -> pd.DataFrame:
    """`Reconciliation.divergences` and ``dif_segundos``: log minus nearest transaction of its card.

    Whole signed seconds, NULL where the card has no transaction with a time.
    """
    frame = result.divergences(at)
    seconds = seconds_to_nearest(result, at)
    frame[c.DIF_SEGUNDOS] = _column(pa.array(seconds.data, mask=np.ma.getmaskarray(seconds)))
    return frame


def seconds_to_nearest(
    result: Reconciliation, at: slice | Rows = slice(None)
) -> np.ma.MaskedArray[tuple[int], np.dtype[np.int64]]:
    """For these divergences log minus nearest transaction, masked where there is none."""
    nearest, logs = result.nearest_rows[at], result.divergent_rows[at]
    near = nearest >= 0
    seconds = np.zeros(len(logs), dtype=np.int64)
    if near.any():
        logged = result.auth_logs[[c.DATA, c.HORA]].take(logs[near])
        bought = result.transactions[[c.DATA_TRANSA, c.HORA_TRANSA]].take(nearest[near])
        seconds[near] = (
            column_arrays.instants(logged, c.DATA, c.HORA).seconds
            - column_arrays.instants(bought, c.DATA_TRANSA, c.HORA_TRANSA).seconds
        )
    return np.ma.array(seconds, mask=~near)


def without_log(result: Reconciliation, at: slice | Rows = slice(None)) -> pd.DataFrame:
    """Transactions without log in the source's columns, and ``motivo``: why there is none."""
    frame = result.transactions[list(c.TRANSACTIONS_QUERY)].take(result.without_log_rows[at])
    frame = frame.reset_index(drop=True)
    reasons = result.without_log_reason[at]
    frame[c.MOTIVO] = _labels(reasons, c.WITHOUT_LOG_REASONS)
    return frame


def duplicates(result: Reconciliation, at: slice | Rows = slice(None)) -> pd.DataFrame:
    """Removed copies in the source's columns, the survivor's virtual card, and why it survived.

    Copies are equal on `columns.DUPLICATE_KEY`, so that the virtual card and the merchant are all
    a survivor can differ in.
    """
    rows, survivors = result.duplicate_rows[at], result.survivor_rows[at]
    frame = result.transactions[list(c.TRANSACTIONS_QUERY)].take(rows).reset_index(drop=True)
    kept = result.transactions[c.NUM_CARTAO_VIRTUAL].take(survivors)
    frame[c.SOBREVIVENTE_VIRTUAL] = kept.array
    frame[c.POR_QUE] = _labels(duplicate_reasons(result, at), c.DUPLICATE_REASONS)
    return frame


def duplicate_reasons(result: Reconciliation, at: slice | Rows = slice(None)) -> NDArray[np.int8]:
    """Why each removed copy's survivor survived, as an index into `columns.DUPLICATE_REASONS`."""
    rows, survivors = result.duplicate_rows[at], result.survivor_rows[at]
    token, present = column_arrays.token(result.transactions, c.TOKEN_VIRTUAL)
    merchant = result.transactions[c.DES_CNPJ_REDUZIDO]
    same_number = (token[rows] == token[survivors]) & (present[rows] == present[survivors])
    same_merchant = merchant.take(rows).to_numpy() == merchant.take(survivors).to_numpy()
    by_virtual = np.zeros(len(result.transactions), dtype=np.bool_)
    by_virtual[result.consolidated_rows[result.pair_virtual]] = True

    found = np.full(len(rows), c.DUPLICATE_REASONS.index(c.DESEMPATE), dtype=np.int8)
    found[same_number & same_merchant] = c.DUPLICATE_REASONS.index(c.COPIA_IGUAL)
    bare = present[survivors] & ~present[rows]
    found[bare] = c.DUPLICATE_REASONS.index(c.SEM_NUMERO_VIRTUAL)
    through = by_virtual[survivors] & ~same_number
    found[through] = c.DUPLICATE_REASONS.index(c.PAR_PELO_VIRTUAL)
    return found


def _labels(codes: NDArray[np.int8], labels: tuple[str, ...]) -> pd.api.extensions.ExtensionArray:
    return _column(pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(labels)))


def _column(values: pa.Array) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.ArrowExtensionArray(values)
