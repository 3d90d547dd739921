"""Selected rows as a file: CSV, Excel or Parquet, with the question that they answer.

Streams: the rows stay on the disk, and one part of them is in memory at a time. Nothing in a file
is run by a spreadsheet: workbooks hold text cells, and in CSV a text that looks like a formula
begins with an apostrophe. Knows no query, configuration or screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from lib.reports import xlsx_writer
from lib.reports.description import sheet_title
from lib.reports.publish import SHEET_ROWS, column_widths, core_properties
from lib.reports.xlsx_parts import Sheet

CSV: Final = "csv"
XLSX: Final = "xlsx"
PARQUET: Final = "parquet"
KINDS: Final = (CSV, XLSX, PARQUET)

ROWS_SHEET: Final = "Linhas"
QUESTION_SHEET: Final = "Consulta"

_FORMULA: Final = r"^([=+\-@\t\r])"
_IN_LINE: Final = re.compile(r"([,;\t]\s*)([=+\-@])")


def write(
    rows: pa.RecordBatchFileReader, path: Path, kind: str, question: Mapping[str, str], at: datetime
) -> int:
    """Write the rows and return their number; ``at`` is the moment of the extraction.

    Raises OSError.
    """
    plain = {_printable(name): _printable(value) for name, value in question.items()}
    _WRITERS[kind](rows, path, plain, at)
    return _count(rows)


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _batches(rows: pa.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    return (rows.get_batch(number) for number in range(rows.num_record_batches))


def _count(rows: pa.RecordBatchFileReader) -> int:
    return sum(batch.num_rows for batch in _batches(rows))


def _write_csv(
    rows: pa.RecordBatchFileReader, path: Path, question: Mapping[str, str], _: datetime
) -> None:
    """Write comma-separated UTF-8, dates as 2026-11-18, amounts with a point; the question first.

    The question's lines begin with a number sign.
    """
    with path.open("wb") as file:
        for name, value in question.items():
            line = f"# {name}: {value}"
            file.write(_IN_LINE.sub(r"\1'\2", line).encode() + b"\n")
        with csv.CSVWriter(file, rows.schema) as writer:
            for batch in _batches(rows):
                writer.write_batch(_inert(batch))


def _inert(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with an apostrophe before every text that a spreadsheet would run."""
    columns = [
        pc.replace_substring_regex(column, _FORMULA, r"'\1")
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _write_parquet(
    rows: pa.RecordBatchFileReader, path: Path, question: Mapping[str, str], _: datetime
) -> None:
    """Write Parquet, with the question in the schema's metadata."""
    schema = rows.schema.with_metadata(dict(question))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _write_xlsx(
    rows: pa.RecordBatchFileReader, path: Path, question: Mapping[str, str], at: datetime
) -> None:
    """Write a workbook: the rows, then the question, which is in the properties too."""
    count = _count(rows)
    title = next(iter(question.values()), "")
    widths = column_widths(rows.schema.names)
    sheets = []
    for part, start in enumerate(range(0, max(count, 1), SHEET_ROWS), 1):
        size = min(SHEET_ROWS, count - start)
        parts = _encoded(rows, start, start + size)
        name = sheet_title(ROWS_SHEET, part)
        sheets.append(Sheet(name, rows.schema, size, parts, widths, title))
    asked = pa.table({"consulta": list(question), "valor": list(question.values())})
    sheets.append(Sheet.of(QUESTION_SHEET, asked, [24, 80], title))
    xlsx_writer.write(path, sheets, core_properties(title, question, at, {}))


def _encoded(rows: pa.RecordBatchFileReader, start: int, stop: int) -> Iterator[pa.Table]:
    """Yield these rows by batch, texts as dictionaries: cells are made once a distinct text."""
    at = 0
    for batch in _batches(rows):
        table = pa.table(batch).slice(max(start - at, 0), max(stop - max(start, at), 0))
        at += batch.num_rows
        for index, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                texts = table.column(index).dictionary_encode()
                table = table.set_column(index, field.name, texts)
        if len(table):
            yield table


_WRITERS: Final[
    dict[str, Callable[[pa.RecordBatchFileReader, Path, Mapping[str, str], datetime], None]]
] = {CSV: _write_csv, XLSX: _write_xlsx, PARQUET: _write_parquet}
