"""Write a workbook file; blocks of rows are rendered and compressed on several threads.

Owns the order of the parts in the file; decides nothing about titles or contents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from lib.domain import container
from lib.reports import xlsx_parts, zip_archive
from lib.reports.xlsx_cells import Rows
from lib.reports.xlsx_parts import Sheet
from lib.reports.zip_archive import Piece, compress

_FIRST_ROW: Final = 2  # below the header


def write(path: Path, sheets: Sequence[Sheet], core: str) -> None:
    """Write the workbook; ``core`` is the XML of docProps/core.xml. Raises OSError."""
    workers = min(container.processors(), 4)
    with (
        path.open("wb") as file,
        ThreadPoolExecutor(workers, thread_name_prefix="sheet") as pool,
    ):
        zip_archive.write(file, _entries(sheets, core, pool, workers + 1))


def _entries(
    sheets: Sequence[Sheet], core: str, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[str, Iterable[Piece]]]:
    for name, content in xlsx_parts.fixed(sheets, core).items():
        yield name, [compress(content.encode(), last=True)]
    for number, sheet in enumerate(sheets, 1):
        yield xlsx_parts.sheet_name(number), _sheet_pieces(sheet, number == 1, pool, ahead)


def _sheet_pieces(
    sheet: Sheet, selected: bool, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Piece]:
    """Compress the XML of one sheet, with at most ``ahead`` blocks of rows in memory."""
    styles, number = xlsx_parts.styles(sheet.schema), _FIRST_ROW
    yield compress(xlsx_parts.head(sheet, selected=selected).encode(), last=False)
    waiting: deque[Future[Piece]] = deque()
    for part in sheet.parts:
        rows = Rows(part, styles, number)
        number += part.num_rows
        for block in rows.blocks:
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_rendered, rows, block))
    while waiting:
        yield waiting.popleft().result()
    yield compress(xlsx_parts.tail(sheet).encode(), last=True)


def _rendered(rows: Rows, block: range) -> Piece:
    return compress(rows.xml(block), last=False)
