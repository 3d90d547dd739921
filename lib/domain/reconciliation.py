"""The result of a reconciliation, which all renderers read.

It holds the two extracted tables and row numbers into them: a page or a whole sheet
is one ``take``, and no large table is copied. `lib.matching.reconcile` builds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.requests import Period, Rule

    Rows = NDArray[np.int64]

EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class Reconciliation:
    """The result for every extracted record. Fields named ``*rows`` hold int64 row numbers.

    ``transactions`` has `columns.TRANSACTIONS`, ``auth_logs`` has `columns.AUTH_LOGS` (or
    `columns.AUTH_LOGS_CLEAR`), one chunk a column. ``transaction_rows`` and ``log_rows`` are the
    records inside the period. The i-th consolidated row is transaction ``consolidated_rows[i]``
    with log ``pair_rows[i]``, joined by the virtual card where ``pair_virtual[i]``;
    ``pair_seconds`` is log minus transaction, masked where a time is missing. ``motivo`` and
    ``nearest_rows`` (-1 for none) belong to ``divergent_rows``, ``without_log_reason`` to
    ``without_log_rows``, ``survivor_rows`` to ``duplicate_rows``; codes index `columns.MOTIVOS` and
    `columns.WITHOUT_LOG_REASONS`. Rows are in sheet order.
    """

    period: Period
    rule: Rule
    transactions: pa.Table
    auth_logs: pa.Table
    transaction_rows: Rows
    log_rows: Rows
    consolidated_rows: Rows
    pair_rows: Rows
    pair_virtual: NDArray[np.bool_]
    pair_seconds: np.ma.MaskedArray[tuple[int], np.dtype[np.int64]]
    matched_log_rows: Rows
    divergent_rows: Rows
    motivo: NDArray[np.int8]
    nearest_rows: Rows
    without_log_rows: Rows
    without_log_reason: NDArray[np.int8]
    duplicate_rows: Rows
    survivor_rows: Rows

    def consolidated(self, rows: slice | Rows = slice(None)) -> pa.Table:
        """Return the rows at these positions of the consolidated sheet, in its columns."""
        table = self.transactions.select(c.TRANSACTIONS_QUERY).take(self.consolidated_rows[rows])
        logs = self.auth_logs.select((c.COD_RESPOSTA, c.DES_LOG)).take(self.pair_rows[rows])
        extra = {name: logs[name] for name in logs.column_names}
        extra[c.TIPO_MATCH] = column_arrays.labels(
            self.pair_virtual[rows].view(np.int8), (c.FISICO, c.VIRTUAL)
        )
        extra[c.DIF_SEGUNDOS] = pa.array(self.pair_seconds[rows])
        for name, values in extra.items():
            table = table.append_column(name, values)
        return table

    def divergences(self, rows: slice | Rows = slice(None)) -> pa.Table:
        """Return the rows at these positions of the divergence sheet, in its columns.

        A clear extraction adds the raw line as the last column.
        """
        names = [n for n in c.AUTH_LOGS_CLEAR[:-1] if n in self.auth_logs.column_names]
        table = self.auth_logs.select(names).take(self.divergent_rows[rows])
        motivo = column_arrays.labels(self.motivo[rows], c.MOTIVOS)
        return table.add_column(len(c.DIVERGENCES) - 1, c.MOTIVO, motivo)
