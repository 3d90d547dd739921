"""What was asked and what came out: the frozen values that every renderer reads.

A reconciliation keeps the two extracted frames once and says by row number where each record
went, so that a page of fifty rows or a whole sheet is a ``take`` and no big frame is ever copied.
Knows no database, no clock and no screen; decides nothing (`lib.matching.reconcile` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.domain import columns as c

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

EPOCH: Final = date(1970, 1, 1)

CARD: Final = "card"
CARD_TIME: Final = "card_time"


@dataclass(frozen=True)
class Rule:
    """How a log is recognised as a transaction's (DESIGN: `card` or `card_time`)."""

    name: str = CARD
    tolerance_seconds: int = 300
    approved_codes: tuple[str, ...] = ("00",)


@dataclass(frozen=True)
class Period:
    """Local dates, inclusive on both ends; ``today`` is the local date the question was asked."""

    start: date
    end: date
    today: date


@dataclass(frozen=True)
class Reconciliation:
    """Where every extracted record is. Row arrays are int64 positions in the two frames.

    ``transactions`` has `columns.TRANSACTIONS`, ``auth_logs`` has `columns.AUTH_LOGS` (or the
    clear variant), both with pyarrow-backed columns. The i-th consolidated row is transaction
    ``consolidated_rows[i]`` with log ``pair_rows[i]``, joined by the virtual card where
    ``pair_virtual[i]``; ``pair_seconds`` is log minus transaction, masked where a time is missing.
    ``divergent_rows`` and ``consolidated_rows`` are in sheet order; ``motivo`` indexes
    `columns.MOTIVOS`. Each removed duplicate stands beside its survivor.
    """

    period: Period
    rule: Rule
    transactions: pd.DataFrame
    auth_logs: pd.DataFrame
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

    def consolidated(self, rows: slice | Rows = slice(None)) -> pd.DataFrame:
        """The sheet rows at these positions of the consolidated sheet, in its columns."""
        seconds = self.pair_seconds[rows]
        join = self.pair_virtual[rows].astype(np.int8)
        frame = self.transactions[list(c.TRANSACTIONS_QUERY)].take(self.consolidated_rows[rows])
        logs = self.auth_logs[[c.COD_RESPOSTA, c.DES_LOG]].take(self.pair_rows[rows])
        return _beside(
            frame,
            logs,
            {
                c.TIPO_MATCH: _labels(join, (c.FISICO, c.VIRTUAL)),
                c.DIF_SEGUNDOS: pa.array(seconds.data, mask=np.ma.getmaskarray(seconds)),
            },
        )

    def divergences(self, rows: slice | Rows = slice(None)) -> pd.DataFrame:
        """The sheet rows at these positions of the divergence sheet, in its columns.

        A clear extraction adds its raw line last.
        """
        names = [n for n in c.AUTH_LOGS_CLEAR[:-1] if n in self.auth_logs.columns]
        frame = self.auth_logs[names].take(self.divergent_rows[rows])
        frame = _beside(frame, None, {c.MOTIVO: _labels(self.motivo[rows], c.MOTIVOS)})
        clear = c.DES_LINHA_RECEBIMENTO
        return frame[[*c.DIVERGENCES, *([clear] if clear in names else [])]]


def _beside(
    left: pd.DataFrame, right: pd.DataFrame | None, extra: dict[str, pa.Array]
) -> pd.DataFrame:
    """The columns side by side, whatever row labels the pieces carry."""
    data = {name: left[name].array for name in left.columns}
    if right is not None:
        data |= {name: right[name].array for name in right.columns}
    data |= {name: pd.arrays.ArrowExtensionArray(values) for name, values in extra.items()}
    return pd.DataFrame(data, copy=False)


def _labels(codes: NDArray[np.int8], labels: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(labels))
