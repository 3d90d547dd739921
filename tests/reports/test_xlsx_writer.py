"""Write arbitrary tables and read them back through openpyxl."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from lib.reports import xlsx_cells, xlsx_writer
from lib.reports.xlsx_parts import Sheet

CORE = '<?xml version="1.0"?><cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"/>'  # noqa: E501

TEXTS = st.none() | st.one_of(
    st.text(max_size=30),
    st.text(alphabet="_x0041 <>&\"'=+-@\t\n\r\x00\x1f\ufffe😀é", max_size=20),
)
ROW = st.tuples(
    TEXTS,
    TEXTS,
    st.none() | st.dates(date(1900, 3, 1), date(9999, 12, 31)),
    st.none() | st.integers(0, 86_399),
    st.none() | st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2),
    st.none() | st.integers(-(2**40), 2**40),
)
SCHEMA = pa.schema(
    {
        "texto": pa.string(),
        "codigo": pa.dictionary(pa.int32(), pa.string()),
        "data": pa.date32(),
        "hora": pa.time32("s"),
        "valor": pa.decimal128(18, 2),
        "inteiro": pa.int64(),
    }
)


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[]] * len(SCHEMA)
    arrays = [
        pa.array(values, pa.int32()).cast(field.type)
        if field.name == "hora"
        else pa.array(values, field.type)
        for field, values in zip(SCHEMA, columns, strict=True)
    ]
    return pa.table(arrays, SCHEMA)


def expected(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the row as openpyxl reads it; an empty text becomes an empty cell."""
    text, code, day, second, amount, number = row
    return (
        text or None,
        code or None,
        day and datetime(day.year, day.month, day.day),  # noqa: DTZ001
        None if second is None else time(second // 3600, second // 60 % 60, second % 60),
        None if amount is None else float(amount),
        number,
    )


def read(path: Path, sheet: str) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path)
    return [
        tuple(unescape(cell) if isinstance(cell, str) else cell for cell in row)
        for row in book[sheet].iter_rows(min_row=2, values_only=True)
    ]


@given(rows=st.lists(ROW, max_size=12))
def test_every_cell_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.xlsx"
    sheets = [Sheet.of("Uma", table_of(rows), [20] * 6)]
    xlsx_writer.write(path, sheets, CORE)
    assert read(path, "Uma") == [expected(row) for row in rows]


@pytest.mark.parametrize("rows", [1, 999, 60_000])
def test_rows_of_many_blocks_and_chunks_stay_in_order(tmp_path: Path, rows: int) -> None:
    whole = table_of(
        [(f"é{i}", str(i % 7), date(2026, 11, 1), i, Decimal(i) / 4, i) for i in range(rows)]
    )
    parts = pa.concat_tables(
        [whole.slice(at, rows // 3 + 1) for at in range(0, rows, rows // 3 + 1)]
    )
    path = tmp_path / "blocos.xlsx"
    xlsx_writer.write(path, [Sheet.of("Uma", parts, [9] * 6)], CORE)
    assert rows < 60_000 or len(xlsx_cells.Rows(parts, [0] * 6).blocks) > 3
    book = openpyxl.load_workbook(path, read_only=True)
    cells = list(book["Uma"].iter_rows(min_row=2, values_only=True))
    assert [row[5] for row in cells] == list(range(rows))
    assert [row[0] for row in cells] == [f"é{i}" for i in range(rows)]


def test_sheets_of_different_columns_keep_their_own_styles(tmp_path: Path) -> None:
    first = table_of([("a", "b", date(2026, 11, 1), 1, Decimal("1.50"), 7)])
    path = tmp_path / "duas.xlsx"
    sheets = [
        Sheet.of("Uma", first.select(["valor", "data"]), [9, 9]),
        Sheet.of("Outra", first.slice(0, 0), [9] * 6),
        Sheet.of("Mais", first.select(["hora", "texto"]), [9, 9]),
    ]
    xlsx_writer.write(path, sheets, CORE)
    book = openpyxl.load_workbook(path)
    formats = {s.title: [cell.number_format for cell in s[2]] for s in book if s.max_row > 1}
    assert formats == {"Uma": ['"R$" #,##0.00', "dd/mm/yyyy"], "Mais": ["hh:mm:ss", "@"]}
    assert [s.auto_filter.ref for s in book] == ["A1:B2", "A1:F1", "A1:B2"]
