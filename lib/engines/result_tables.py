"""The four tables of a stored result: their columns, sheet order, and slots.

A slot is a part of a day: all rows of one slot precede those of the next, and rows without a date
are in the last. Sorting the rows of each slot, gathered from all buckets, gives the same order as
one matching in memory. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.analysis import table_schemas
from lib.analysis.table_schemas import Stored
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.matching import duplicates, sorting

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.domain.column_arrays import Ints
    from lib.domain.reconciliation import Reconciliation

CONSOLIDATED: Final = table_schemas.CONSOLIDATED.name
DIVERGENCES: Final = table_schemas.DIVERGENCES.name
WITHOUT_LOG: Final = table_schemas.WITHOUT_LOG.name
DUPLICATES: Final = table_schemas.DUPLICATES.name
NAMES: Final = (DIVERGENCES, CONSOLIDATED, WITHOUT_LOG, DUPLICATES)

UNDATED: Final = 2**31 - 1

ON_SCREEN: Final[dict[str, dict[str, str]]] = {
    WITHOUT_LOG: {c.MOTIVO: c.MOTIVO_SEM_LOG},
    DUPLICATES: {c.SOBREVIVENTE_VIRTUAL: c.VIRTUAL_MANTIDO},
}
"""Stored names of columns that have another name in `lib.analysis.table_schemas`."""

_SCHEMAS: Final = {
    CONSOLIDATED: table_schemas.CONSOLIDATED,
    DIVERGENCES: replace(
        table_schemas.DIVERGENCES_BY_TIME,
        columns=table_schemas.DIVERGENCES_BY_TIME.columns
        | {
            c.DES_LINHA_RECEBIMENTO: Stored(
                "auth_logs", c.DES_LINHA_RECEBIMENTO, table_schemas.DIVERGENCES.rows
            )
        },
    ),
    WITHOUT_LOG: table_schemas.WITHOUT_LOG,
    DUPLICATES: table_schemas.DUPLICATES,
}
_EMPTY: Final = {
    c.DATA_TRANSA: pa.date32(),
    c.DATA: pa.date32(),
    c.HORA_TRANSA: pa.time32("s"),
    c.HORA: pa.time32("s"),
    c.VLR_TOTAL: pa.decimal128(18, 2),
    c.DIF_SEGUNDOS: pa.int64(),
    c.TOKEN_CARTAO: pa.int64(),
    c.TOKEN_VIRTUAL: pa.int64(),
    c.TOKEN_CPF: pa.int64(),
}


def schema(name: str) -> Table:
    """The table of this name, as one in memory has it."""
    return _SCHEMAS[name]


def _clock(name: str) -> tuple[str, str]:
    return _SCHEMAS[name].date, _SCHEMAS[name].time


def columns(name: str, clear: bool) -> tuple[str, ...]:
    """A table's columns; the divergences of a clear extraction include the raw line."""
    if name == CONSOLIDATED:
        return c.CONSOLIDATED
    if name == DIVERGENCES:
        return (*c.DIVERGENCES, *([c.DES_LINHA_RECEBIMENTO] if clear else []), c.DIF_SEGUNDOS)
    if name == WITHOUT_LOG:
        return (*c.TRANSACTIONS_QUERY, c.MOTIVO)
    return (*c.TRANSACTIONS_QUERY, c.SOBREVIVENTE_VIRTUAL, c.POR_QUE)


def rows_of(result: Reconciliation, name: str) -> pa.Table:
    """A table's rows, in sheet order."""
    schema = _SCHEMAS[name]
    names = columns(name, clear=c.DES_LINHA_RECEBIMENTO in result.auth_logs.column_names)
    called = ON_SCREEN.get(name, {})
    table = replace(schema, columns={n: schema.columns[called.get(n, n)] for n in names})
    return table.page(result, slice(None))


def slots(name: str, table: pa.Table, per_day: int) -> Ints:
    """The slot of every row: days since 1970-01-01 times ``per_day``, and the share of the day."""
    day, second = (table.column(n).cast(pa.int32()) for n in _clock(name))
    seconds = pc.fill_null(second, column_arrays.DAY_SECONDS - 1).to_numpy().astype(np.int64)
    days = pc.fill_null(day, 0).to_numpy().astype(np.int64)
    slot = days * per_day + seconds * per_day // column_arrays.DAY_SECONDS
    return np.where(day.is_null().to_numpy(), UNDATED, slot)


def sorted_rows(name: str, table: pa.Table) -> pa.Table:
    """The rows in sheet order."""
    order = sorting.arrange(
        column_arrays.instants(table, *_clock(name)).sheet_order, _ties(name, table)
    )
    return table.take(order)


def empty(names: Sequence[str]) -> pa.Table:
    """An empty table of these columns, in the types of an extraction."""
    return pa.table({name: pa.array([], _EMPTY.get(name, pa.string())) for name in names})


def _ties(name: str, table: pa.Table) -> list[sorting.Key]:
    """Sort keys for rows of one second: those of `reconcile`, then the remaining columns."""
    if name == CONSOLIDATED:
        return [
            *duplicates.visible(table),
            *duplicates.texts(table, c.COD_RESPOSTA, c.DES_LOG, c.TIPO_MATCH),
            _whole(table, c.DIF_SEGUNDOS),
        ]
    if name == DIVERGENCES:
        names = [n for n in c.AUTH_LOGS_CLEAR[:-1] if n in table.column_names]
        logged = [n for n in names if n not in (c.DATA, c.HORA)]
        return [*duplicates.texts(table, *logged, c.MOTIVO), _whole(table, c.DIF_SEGUNDOS)]
    if name == WITHOUT_LOG:
        return [*duplicates.visible(table), *duplicates.texts(table, c.MOTIVO)]
    kept = duplicates.texts(table, c.SOBREVIVENTE_VIRTUAL, c.POR_QUE)
    return [*duplicates.visible(table), *kept]


def _whole(table: pa.Table, name: str) -> sorting.Key:
    """Order by a column of whole numbers, blanks last."""
    values = column_arrays.column(table, name)
    known = pc.fill_null(values, column_arrays.MISSING).to_numpy(zero_copy_only=False)
    return lambda rows: known[rows]
