"""Texts of a stored case: the words that a search looks at, and values that no query needs alone.

One packed text costs a run a fraction of a column for each value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from lib.analysis import table_query
from lib.domain import cases, column_arrays

if TYPE_CHECKING:
    import pyarrow as pa

PACKED: Final = (
    *(cases.TIME, cases.CARD, cases.CODE, cases.CPF, cases.VIRTUAL, cases.FIELD, cases.TEXT),
)
_SEARCHED: Final = (cases.CARD, cases.CODE, cases.CPF, cases.VIRTUAL, cases.TEXT)
_FREE: Final = (cases.CODE, cases.FIELD, cases.TEXT)
_SEPARATOR: Final = "\x1f"


def packed(table: pa.Table) -> list[str]:
    """Join the `PACKED` values of each case; within a value the separator becomes a space."""
    columns = [
        pc.replace_substring(table[name], _SEPARATOR, " ") if name in _FREE else table[name]
        for name in PACKED
    ]
    columns[0] = columns[0].cast("string")
    return plain(_joined(columns, _SEPARATOR))


def unpacked(text: str) -> dict[str, str | None]:
    """Return the values of `packed` by column, None for an empty one."""
    values = text.split(_SEPARATOR, len(PACKED) - 1)
    return {name: value or None for name, value in zip(PACKED, values, strict=True)}


def words(table: pa.Table) -> list[str]:
    """The texts of each case that a search looks at, folded as a search in a table is."""
    return plain(_joined([_folded(column_arrays.column(table, name)) for name in _SEARCHED], " "))


def plain(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column as texts, or None."""
    texts: list[Any] = column.cast("string").to_pylist()
    return texts


def _folded(texts: pa.Array) -> pa.Array:
    encoded = texts.dictionary_encode()
    return table_query.folded_array(encoded.dictionary).take(encoded.indices)


def _joined(columns: list[pa.Array | pa.ChunkedArray], separator: str) -> Any:
    return pc.binary_join_element_wise(
        *columns, separator, null_handling="replace", null_replacement=""
    )
