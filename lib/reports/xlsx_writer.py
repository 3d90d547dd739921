"""Packs sheets into a workbook file, each streamed and compressed on all processors.

xlsxturbo makes an empty workbook with everything but the rows (styles, widths, frozen and
filterable headers); this puts the rows of `lib.reports.xlsx_cells` in their place. Owns the
archive; decides nothing about what the sheets are called or hold.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import xlsxturbo
from xlsxturbo.types import SheetOptions

from lib.reports.xlsx_cells import Rows

_CORE: Final = "docProps/core.xml"
_SHEET: Final = re.compile(r"xl/worksheets/sheet(\d+)\.xml")
# Level 3 takes a third longer than 2 for a twentieth less, and 1 is no quicker.
_COMPRESSION: Final = 2
_LARGE: Final = 3 << 30

_DATE, _TIME, _AMOUNT, _INTEGER, _TEXT = "dd/mm/yyyy", "hh:mm:ss", "#,##0.00", "0", "@"


@dataclass(frozen=True)
class Sheet:
    """One sheet: its title, its rows, and the widths of its columns in characters."""

    title: str
    table: pa.Table
    widths: Sequence[int]


def write(path: Path, sheets: Sequence[Sheet], core: str) -> None:
    """Write the workbook with these core properties (XML). Raises OSError."""
    workers = min(os.cpu_count() or 1, 4)
    with (
        zipfile.ZipFile(BytesIO(_without_rows(sheets))) as bare,
        zipfile.ZipFile(path, "w") as archive,
        ThreadPoolExecutor(workers, thread_name_prefix="sheet") as pool,
    ):
        for name in bare.namelist():
            content = core if name == _CORE else bare.read(name).decode()
            found = _SHEET.fullmatch(name)
            sheet = sheets[int(found[1]) - 1] if found else None
            if name == "xl/workbook.xml":
                content = _filtered_to_the_end(content, sheets)
            if sheet is None or not sheet.table.num_rows:
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
                continue
            _Entry(archive, name).write(sheet, content, pool, workers + 1)


def _without_rows(sheets: Sequence[Sheet]) -> bytes:
    """The workbook with one empty row at most in each sheet, which says the columns' styles."""
    buffer = BytesIO()
    frames = []
    for sheet in sheets:
        names = sheet.table.column_names
        nothing = dict.fromkeys(names, [None] * min(sheet.table.num_rows, 1))
        options: SheetOptions = {
            "column_formats": {
                name: {"num_format": _format(sheet.table.schema.field(name).type)} for name in names
            },
            "column_widths": dict(enumerate(sheet.widths)),
        }
        frames.append((pd.DataFrame(nothing, dtype=object), sheet.title, options))
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
    """The workbook's XML with each sheet's filter over all of its rows."""

    def whole(found: re.Match[str]) -> str:
        rows = sheets[int(found[2])].table.num_rows
        return f"{found[1]}{rows + 1}<"

    pattern = r'(localSheetId="(\d+)" hidden="1">[^<]*\$)\d+<'
    return re.sub(pattern, whole, workbook)


@dataclass(frozen=True)
class _Entry:
    """One file of the archive whose compressed content comes in pieces."""

    archive: zipfile.ZipFile
    name: str

    def write(self, sheet: Sheet, bare: str, pool: ThreadPoolExecutor, ahead: int) -> None:
        head, row, tail = re.split(r'(<row r="2".*</row>)', bare, maxsplit=1)
        whole = f'\\g<1>{sheet.table.num_rows + 1}"'
        head, tail = (re.sub(r'( ref="A1:[A-Z]+)\d+"', whole, part) for part in (head, tail))
        rows = Rows(sheet.table, [int(style) for style in re.findall(r' s="(\d+)"', row)])
        rows.prepare()

        entry = zipfile.ZipInfo(self.name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.CRC = 0
        entry.header_offset = self.archive.start_dir
        large = rows.size > _LARGE
        file: Any = self.archive.fp
        file.seek(self.archive.start_dir)
        file.write(entry.FileHeader(zip64=large))
        content = _compressed(rows, head.encode(), tail.encode(), pool, ahead)
        for piece, compressed in content:
            entry.CRC = zlib.crc32(piece, entry.CRC)
            entry.file_size += len(piece)
            entry.compress_size += len(compressed)
            file.write(compressed)
        self.archive.start_dir = file.tell()
        file.seek(entry.header_offset)
        file.write(entry.FileHeader(zip64=large))
        file.seek(self.archive.start_dir)
        self.archive.filelist.append(entry)
        self.archive.NameToInfo[self.name] = entry


_Piece = tuple[bytes | memoryview, bytes]


def _compressed(
    rows: Rows, head: bytes, tail: bytes, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[_Piece]:
    """The sheet's XML in pieces, each beside its compressed form; one stream when joined."""

    def ready(block: range) -> _Piece:
        xml = rows.xml(block)
        return xml, _deflated(xml, zlib.Z_SYNC_FLUSH)

    yield head, _deflated(head, zlib.Z_SYNC_FLUSH)
    waiting: deque[Future[_Piece]] = deque()
    for block in rows.blocks:
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(ready, block))
    while waiting:
        yield waiting.popleft().result()
    yield tail, _deflated(tail, zlib.Z_FINISH)


def _deflated(content: bytes | memoryview, ending: int) -> bytes:
    compressor = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(ending)
