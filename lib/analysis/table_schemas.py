"""The four tables a reader browses, the sheets' two among them: columns and where values are.

A table is a description: rows of the two extracted frames by number, or small codes made by the
matching. Knows no query and no screen, and holds no data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from lib.analysis import reasons
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import CARD_TIME

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows, Rule


@dataclass(frozen=True)
class Stored:
    """A column of an extracted frame, at the rows that this field of the reconciliation numbers."""

    side: Literal["transactions", "auth_logs"]
    name: str
    rows: str

    def frame(self, result: Reconciliation) -> pd.DataFrame:
        """The extracted frame that holds the column."""
        frame: pd.DataFrame = getattr(result, self.side)
        return frame

    def row_numbers(self, result: Reconciliation) -> Rows:
        """The frame's row of each position of the table."""
        rows: Rows = getattr(result, self.rows)
        return rows


@dataclass(frozen=True)
class Derived:
    """A column of the matching's own: codes that index ``labels``; without labels, numbers."""

    taken: Callable[[Reconciliation, slice | Rows], Any]
    labels: tuple[str, ...] = ()

    def codes(self, result: Reconciliation, at: slice | Rows = slice(None)) -> Any:
        """The codes at these positions of the table."""
        return self.taken(result, at)


@dataclass(frozen=True)
class Table:
    """One table; ``searched`` are the columns a search reads, ``rows`` the field it numbers."""

    name: str
    side: Literal["transactions", "auth_logs"]
    rows: str
    columns: dict[str, Stored | Derived]
    searched: tuple[str, ...]

    def row_numbers(self, result: Reconciliation) -> Rows:
        """The row of the table's own side at each position."""
        rows: Rows = getattr(result, self.rows)
        return rows

    def page(self, result: Reconciliation, at: Rows) -> pa.Table:
        """The rows at these positions, in the table's columns; the raw line of a clear
        extraction stays out."""
        data: dict[str, Any] = {}
        # One call for all columns of the same rows: each is a chance to lose one's turn to run.
        stored = [column for column in self.columns.values() if isinstance(column, Stored)]
        for rows in dict.fromkeys(column.rows for column in stored):
            data |= self._taken(result, rows, at)
        for name, column in self.columns.items():
            if isinstance(column, Derived):
                data[name] = _made(column, result, at)
        return pa.table({name: data[name] for name in self.columns})

    def _taken(self, result: Reconciliation, rows: str, at: Rows) -> dict[str, pa.ChunkedArray]:
        """The stored columns of the rows that this field numbers, by name."""
        columns = {
            name: column_arrays.column(column.frame(result), column.name)
            for name, column in self.columns.items()
            if isinstance(column, Stored) and column.rows == rows
        }
        numbers: Rows = getattr(result, rows)
        taken = pa.table(columns).take(pa.array(numbers[at]))
        return dict(zip(taken.column_names, taken.columns, strict=True))


def _made(column: Derived, result: Reconciliation, at: Rows) -> pa.Array:
    codes = column.codes(result, at)
    if column.labels:
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(column.labels))
    return pa.array(np.ma.getdata(codes), mask=np.ma.getmaskarray(codes))


def _transactions(rows: str) -> dict[str, Stored | Derived]:
    return {name: Stored("transactions", name, rows) for name in c.TRANSACTIONS_QUERY}


def _auth_logs(rows: str, names: tuple[str, ...]) -> dict[str, Stored | Derived]:
    return {name: Stored("auth_logs", name, rows) for name in names}


def _survivor_is_without_log(result: Reconciliation, at: slice | Rows) -> NDArray[np.int8]:
    return np.isin(result.survivor_rows[at], result.without_log_rows).astype(np.int8)


_CARDS: Final = (c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL)

CONSOLIDATED: Final = Table(
    "consolidated",
    "transactions",
    "consolidated_rows",
    {
        **_transactions("consolidated_rows"),
        **_auth_logs("pair_rows", (c.COD_RESPOSTA, c.DES_LOG)),
        c.TIPO_MATCH: Derived(
            lambda r, at: r.pair_virtual[at].view(np.int8), (c.FISICO, c.VIRTUAL)
        ),
        c.DIF_SEGUNDOS: Derived(lambda r, at: r.pair_seconds[at]),
    },
    (*_CARDS, c.COD_RESPOSTA, c.DES_LOG),
)
DIVERGENCES: Final = Table(
    "divergences",
    "auth_logs",
    "divergent_rows",
    {
        **_auth_logs("divergent_rows", c.DIVERGENCES[:-1]),
        c.MOTIVO: Derived(lambda r, at: r.motivo[at], c.MOTIVOS),
    },
    (c.NUM_CARTAO, c.COD_RESPOSTA, c.DES_LOG),
)
DIVERGENCES_BY_TIME: Final = replace(
    DIVERGENCES,
    columns=DIVERGENCES.columns | {c.DIF_SEGUNDOS: Derived(reasons.seconds_to_nearest)},
)
WITHOUT_LOG: Final = Table(
    "without_log",
    "transactions",
    "without_log_rows",
    {
        **_transactions("without_log_rows"),
        c.MOTIVO_SEM_LOG: Derived(lambda r, at: r.without_log_reason[at], c.WITHOUT_LOG_REASONS),
    },
    _CARDS,
)
DUPLICATES: Final = Table(
    "duplicates",
    "transactions",
    "duplicate_rows",
    {
        **_transactions("duplicate_rows"),
        c.POR_QUE: Derived(reasons.duplicate_reasons, c.DUPLICATE_REASONS),
        c.VIRTUAL_MANTIDO: Stored("transactions", c.NUM_CARTAO_VIRTUAL, "survivor_rows"),
        c.MANTIDA: Derived(_survivor_is_without_log, (c.CONSOLIDADA, c.SEM_LOG)),
    },
    _CARDS,
)


def divergences(rule: Rule) -> Table:
    """The divergences by this rule; only `card_time` leaves some whose card has transactions."""
    return DIVERGENCES_BY_TIME if rule.name == CARD_TIME else DIVERGENCES
