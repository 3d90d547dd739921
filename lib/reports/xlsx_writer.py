"""Write a workbook file; blocks of rows are rendered and compressed on several threads.

xlsxturbo makes the template: a workbook without rows, with its styles, widths and headers, frozen
and filterable. Owns where the rows go in it; decides nothing about titles or contents.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import xlsxturbo
from xlsxturbo.types import SheetOptions

from lib.reports import zip_archive
from lib.reports.xlsx_cells import Rows
from lib.reports.zip_archive import Piece, compress

_CORE: Final = "docProps/core.xml"
_SHEET: Final = re.compile(r"xl/worksheets/sheet(\d+)\.xml")

_DATE, _TIME, _AMOUNT, _INTEGER, _TEXT = "dd/mm/yyyy", "hh:mm:ss", "#,##0.00", "0", "@"


@dataclass(frozen=True)
class Sheet:
    """One sheet: title, rows, and column widths in characters."""

    title: str
    table: pa.Table
    widths: Sequence[int]


def write(path: Path, sheets: Sequence[Sheet], core: str) -> None:
    """Write the workbook; ``core`` is the XML of docProps/core.xml. Raises OSError."""
    workers = min(os.cpu_count() or 1, 4)
    with (
        path.open("wb") as file,
        ThreadPoolExecutor(workers, thread_name_prefix="sheet") as pool,
    ):
        zip_archive.write(file, _entries(sheets, core, pool, workers + 1))


def _entries(
    sheets: Sequence[Sheet], core: str, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[str, Iterable[Piece]]]:
    with zipfile.ZipFile(BytesIO(_template(sheets))) as template:
        for name in template.namelist():
            content = core if name == _CORE else template.read(name).decode()
            if name == "xl/workbook.xml":
                content = _filtered_to_the_end(content, sheets)
            match = _SHEET.fullmatch(name)
            sheet = sheets[int(match[1]) - 1] if match else None
            if sheet is not None and sheet.table.num_rows:
                yield name, _sheet_pieces(sheet, content, pool, ahead)
            else:
                yield name, [compress(content.encode(), last=True)]


def _template(sheets: Sequence[Sheet]) -> bytes:
    """Make the workbook without rows; sheets to be filled have an empty row with cell styles."""
    buffer = BytesIO()
    frames = []
    for sheet in sheets:
        names = sheet.table.column_names
        empty = dict.fromkeys(names, [None] * min(sheet.table.num_rows, 1))
        options: SheetOptions = {
            "column_formats": {
                name: {"num_format": _format(sheet.table.schema.field(name).type)} for name in names
            },
            "column_widths": dict(enumerate(sheet.widths)),
        }
        frames.append((pd.DataFrame(empty, dtype=object), sheet.title, options))
    xlsxturbo.dfs_to_xlsx(
        frames, buffer, freeze_panes=True, autofilter=True, header_format={"bold": True}
    )
    return buffer.getvalue()


def _format(kind: Any) -> str:
    if pa.types.is_date32(kind):
        return _DATE
    if pa.types.is_time32(kind):
        return _TIME
    if pa.types.is_decimal(kind):
        return _AMOUNT
    return _INTEGER if pa.types.is_integer(kind) else _TEXT


def _filtered_to_the_end(workbook: str, sheets: Sequence[Sheet]) -> str:
    """Extend each sheet's filter in workbook.xml to its last row."""

    def extended(match: re.Match[str]) -> str:
        return f"{match[1]}{sheets[int(match[2])].table.num_rows + 1}<"

    return re.sub(r'(localSheetId="(\d+)" hidden="1">[^<]*\$)\d+<', extended, workbook)


def _sheet_pieces(
    sheet: Sheet, template: str, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Piece]:
    """Compress the XML of one sheet, with at most ``ahead`` blocks of rows in memory."""
    head, styled_row, tail = re.split(r'(<row r="2".*</row>)', template, maxsplit=1)
    last_row = f'\\g<1>{sheet.table.num_rows + 1}"'
    head, tail = (re.sub(r'( ref="A1:[A-Z]+)\d+"', last_row, part) for part in (head, tail))
    rows = Rows(sheet.table, [int(style) for style in re.findall(r' s="(\d+)"', styled_row)])

    yield compress(head.encode(), last=False)
    waiting: deque[Future[Piece]] = deque()
    for block in rows.blocks:
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(lambda block: compress(rows.xml(block), last=False), block))
    while waiting:
        yield waiting.popleft().result()
    yield compress(tail.encode(), last=True)
