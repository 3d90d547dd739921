"""Render the rows of a table as worksheet XML: cells, escapes and limits.

Arrow builds the cells of a block of rows at a time, and of texts, dates and times once per distinct
value, so that no Python code runs per row. A NULL becomes an empty cell. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.reports.xlsx_parts import column_letter

CELL_UNITS: Final = 32_767
CUT_MARK: Final = " […cortado]"

_EXCEL_EPOCH_DAYS: Final = 25_569
_EXCEL_FIRST_DAY: Final = date(1900, 3, 1)
_TEXT: Final = pa.large_string()
# The markup around a cell's text, about: `<c r="K1048576" s="6" t="inlineStr">` and so on.
_CELL_BYTES: Final = 60
_BLOCK_BYTES: Final = 4 << 20

_CONTROL: Final = "\x00-\x08\x0b-\x1f\ufffe\uffff"
_LOOKS_ESCAPED: Final = "_x[0-9A-Fa-f]{4}_"
_ODD: Final = rf"^\s|\s$|[{_CONTROL}]|{_LOOKS_ESCAPED}"


class Rows:
    """Rows of one sheet, from row ``first`` on; blocks may be rendered from any thread."""

    def __init__(self, table: pa.Table, styles: Sequence[int], first: int = 2) -> None:
        """Prepare the rows; ``styles`` holds the cell format of each column."""
        self._first = first
        starts = [f'<c r="{column_letter(index)}' for index in range(len(styles))]
        self._start = f'">{starts[0]}'
        self._columns = [
            _Column.of(values, _Markup(style, after))
            for values, style, after in zip(
                table.columns, styles, [*starts[1:], "</row>"], strict=True
            )
        ]
        count = table.num_rows
        size = sum(map(_text_bytes, table.columns)) + count * len(styles) * _CELL_BYTES
        step = max(1, count * _BLOCK_BYTES // max(size, 1))
        # Each of about _BLOCK_BYTES of XML.
        self.blocks = [range(i, min(i + step, count)) for i in range(0, count, step)]

    def xml(self, block: range) -> memoryview:
        """Render the rows of one block."""
        number = pa.array(np.arange(block.start, block.stop) + self._first).cast(_TEXT)
        pieces: list[Any] = ['<row r="', number, self._start]
        for column in self._columns:
            pieces += [number, column.cells(block)]
        rows = _joined(*pieces)
        ends = np.frombuffer(rows.buffers()[1], np.int64)
        return memoryview(rows.buffers()[2])[: ends[len(rows)]]


@dataclass(frozen=True)
class _Markup:
    """The style of a column's cells, and the markup ``after`` each: the start of the next cell."""

    style: int
    after: str

    @property
    def empty(self) -> str:
        return f'" s="{self.style}"/>{self.after}'


@dataclass(frozen=True)
class _Column:
    """The values, or indices into ``distinct`` (rendered distinct values, then an empty cell)."""

    values: pa.Array
    markup: _Markup
    distinct: pa.Array | None

    @classmethod
    def of(cls, values: pa.ChunkedArray, markup: _Markup) -> _Column:
        array = values.unify_dictionaries().combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
        if pa.types.is_date(array.type) or pa.types.is_time(array.type):
            array = array.dictionary_encode()
        if not pa.types.is_dictionary(array.type):
            return cls(array, markup, None)
        cells = _value_cells(array.dictionary, markup)
        distinct = pa.concat_arrays([cells, pa.array([markup.empty], _TEXT)])
        return cls(array.indices.fill_null(len(cells)), markup, distinct)

    def cells(self, block: range) -> pa.Array:
        """Render these rows' cells without the opening tag's start, which names the cell."""
        values = self.values.slice(block.start, len(block))
        if self.distinct is not None:
            return self.distinct.take(values)
        cells = _value_cells(values, self.markup)
        return cells.fill_null(self.markup.empty) if cells.null_count else cells


def _value_cells(values: pa.Array, markup: _Markup) -> pa.Array:
    kind = values.type
    if pa.types.is_date32(kind):
        days = pc.add(values.cast(pa.int32()), _EXCEL_EPOCH_DAYS)
        cells = _number_cells(days, markup)
        early = pc.less(values, pa.scalar(_EXCEL_FIRST_DAY, kind))
        if pc.any(early).as_py():
            # Excel's calendar has a false 29 February 1900, so earlier days are written as text.
            return pc.if_else(early, _text_cells(values.cast(_TEXT), markup), cells)
        return cells
    if pa.types.is_time32(kind):
        seconds = values.cast(pa.int32()).cast(pa.float64())
        return _number_cells(pc.divide(seconds, 86_400.0), markup)
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        return _number_cells(values, markup)
    return _text_cells(values, markup)


def _number_cells(values: pa.Array, markup: _Markup) -> pa.Array:
    return _joined(f'" s="{markup.style}"><v>', values.cast(_TEXT), f"</v></c>{markup.after}")


def _text_cells(texts: pa.Array, markup: _Markup) -> pa.Array:
    texts = _cut(texts.cast(_TEXT))
    plain = texts
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        plain = pc.replace_substring(plain, character, entity)
    opening = f'" s="{markup.style}" t="inlineStr"><is><t'
    closing = f"</t></is></c>{markup.after}"
    cells = _joined(f"{opening}>", plain, closing)
    # Readers do not distinguish an empty text from an empty cell.
    cells = pc.if_else(pc.equal(texts, ""), markup.empty, cells)
    odd = pc.match_substring_regex(texts, _ODD).fill_null(False)
    if not pc.any(odd).as_py():
        return cells
    odd_cells = [
        f'{opening} xml:space="preserve">{escape(_escaped(text))}{closing}'
        for text in texts.filter(odd).to_pylist()
    ]
    return pc.replace_with_mask(cells, odd, pa.array(odd_cells, _TEXT))


def _joined(*pieces: Any) -> pa.Array:
    """Concatenate arrays and constants row by row."""
    typed = [pa.scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*typed, pa.scalar("", _TEXT))


def _escaped(text: str) -> str:
    """Escape, as Excel does, characters that XML cannot hold, and texts that look escaped."""
    text = re.sub(f"_(?={_LOOKS_ESCAPED[1:]})", "_x005F_", text)
    return re.sub(f"[{_CONTROL}]", lambda match: f"_x{ord(match[0]):04X}_", text)


def _cut(texts: pa.Array) -> pa.Array:
    """Cut texts longer than a cell holds; Excel counts UTF-16 units."""
    long = pc.greater(pc.binary_length(texts), CELL_UNITS).fill_null(False)
    if not pc.any(long).as_py():
        return texts
    cut = [_shortened(text) for text in texts.filter(long).to_pylist()]
    return pc.replace_with_mask(texts, long, pa.array(cut, _TEXT))


def _shortened(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_UNITS:
        return text
    return units[: 2 * (CELL_UNITS - len(CUT_MARK))].decode("utf-16-le", "ignore") + CUT_MARK


def _text_bytes(values: pa.ChunkedArray) -> int:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    lengths = [
        pc.binary_length(part.dictionary).take(part.indices)
        if pa.types.is_dictionary(values.type)
        else pc.binary_length(part)
        for part in values.chunks
    ]
    return sum(pc.sum(part).as_py() or 0 for part in lengths)
