"""The four browsable tables: their columns, and the source of each column's values.

A table is a description without data: row numbers into the extracted tables, or codes computed by
the matching. Knows no query and no screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from lib.analysis import reasons
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.requests import CARD_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows
    from lib.domain.requests import Rule, Side


@dataclass(frozen=True)
class Stored:
    """A column of an extracted table; ``rows`` names the reconciliation's field of row numbers."""

    side: Side
    name: str
    rows: str

    def source(self, result: Reconciliation) -> pa.Table:
        """Return the extracted table that holds the column."""
        return getattr(result, self.side)

    def row_numbers(self, result: Reconciliation) -> Rows:
        """Return the extracted table's row at each position of the table."""
        rows: Rows = getattr(result, self.rows)
        return rows

    def cells(self, result: Reconciliation, positions: slice | Rows) -> list[Any]:
        """Return the values of the rows at these positions of the table."""
        values = column_arrays.column(self.source(result), self.name)
        return [values[row].as_py() for row in self.row_numbers(result)[positions].tolist()]


@dataclass(frozen=True)
class Derived:
    """A column computed by the matching: codes that index ``labels``, or numbers without labels."""

    values: Callable[[Reconciliation, slice | Rows], Any]
    labels: tuple[str, ...] = ()

    def codes(self, result: Reconciliation, positions: slice | Rows = slice(None)) -> Any:
        """Return the codes at these positions of the table."""
        return self.values(result, positions)

    def cells(self, result: Reconciliation, positions: slice | Rows) -> list[Any]:
        """Return the labels or the numbers at these positions of the table."""
        codes: list[Any] = self.codes(result, positions).tolist()
        return [self.labels[code] for code in codes] if self.labels else codes


@dataclass(frozen=True)
class Table:
    """One table; ``searched`` names its searchable columns, ``rows`` is as in `Stored`."""

    name: str
    side: Side
    rows: str
    columns: dict[str, Stored | Derived]
    searched: tuple[str, ...]

    def row_numbers(self, result: Reconciliation) -> Rows:
        """Return the extracted table's row at each position of this table."""
        rows: Rows = getattr(result, self.rows)
        return rows

    @property
    def date(self) -> str:
        """The name of the date column; rows sorted by it are sorted by time as well."""
        return c.DATA if self.side == "auth_logs" else c.DATA_TRANSA

    @property
    def time(self) -> str:
        """The name of the column with the time of day."""
        return c.HORA if self.side == "auth_logs" else c.HORA_TRANSA

    def page(
        self, result: Reconciliation, positions: slice | Rows, names: Sequence[str] | None = None
    ) -> pa.Table:
        """Return these columns, by default all, of the rows at these positions."""
        columns = {name: self.columns[name] for name in names or self.columns}
        data: dict[str, Any] = {}
        stored = [column for column in columns.values() if isinstance(column, Stored)]
        for rows in dict.fromkeys(column.rows for column in stored):
            data |= _stored(columns, result, rows, positions)
        for name, column in columns.items():
            if isinstance(column, Derived):
                data[name] = _derived(column, result, positions)
        return pa.table({name: data[name] for name in columns})

    def cells(
        self, result: Reconciliation, positions: slice | Rows, names: Sequence[str] | None = None
    ) -> dict[str, list[Any]]:
        """Return these columns, by default all, of the few rows at these positions, as objects.

        Value by value: whatever Arrow computes releases Python's lock, and to get it back from the
        other sessions costs a busy server more than the values do.
        """
        return {name: self.columns[name].cells(result, positions) for name in names or self.columns}


def _stored(
    columns: Mapping[str, Stored | Derived],
    result: Reconciliation,
    rows: str,
    positions: slice | Rows,
) -> dict[str, pa.ChunkedArray]:
    """Return, by name, the stored columns that use this field of row numbers."""
    sources = {
        name: column.source(result)[column.name]
        for name, column in columns.items()
        if isinstance(column, Stored) and column.rows == rows
    }
    numbers: Rows = getattr(result, rows)
    taken = pa.table(sources).take(numbers[positions])
    return dict(zip(taken.column_names, taken.columns, strict=True))


def _derived(column: Derived, result: Reconciliation, positions: slice | Rows) -> pa.Array:
    codes = column.codes(result, positions)
    if column.labels:
        return column_arrays.labels(codes, column.labels)
    return pa.array(codes)


def _transactions(rows: str) -> dict[str, Stored | Derived]:
    return {name: Stored("transactions", name, rows) for name in c.TRANSACTIONS_QUERY}


def _auth_logs(rows: str, names: tuple[str, ...]) -> dict[str, Stored | Derived]:
    return {name: Stored("auth_logs", name, rows) for name in names}


def _survivor_has_no_log(result: Reconciliation, positions: slice | Rows) -> NDArray[np.int8]:
    return np.isin(result.survivor_rows[positions], result.without_log_rows).astype(np.int8)


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
        c.MANTIDA: Derived(_survivor_has_no_log, (c.CONSOLIDADA, c.SEM_LOG)),
    },
    _CARDS,
)


def divergences(rule: Rule) -> Table:
    """Return the table of this rule's divergences; `card_time` adds the distance."""
    return DIVERGENCES_BY_TIME if rule.name == CARD_TIME else DIVERGENCES
