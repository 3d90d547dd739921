"""The rows that a reader selected in a table, on their way to the worker that writes their file.

`spool` runs in the server and streams the rows into the worker's folder; `write` runs in the worker
process. Neither holds more than a part of the rows. Knows no screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lib.reports import report_file, row_file

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table
    from lib.domain.column_arrays import Ints
    from lib.domain.reconciliation import Reconciliation

_BATCH_ROWS: Final = 65_536
_SPOOLED: Final = "linhas.arrow"


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of a table by position, in the order shown; ``question`` says what they answer.

    ``kind`` is one of `row_file.KINDS`.
    """

    result: Reconciliation
    table: Table
    positions: Ints
    columns: tuple[str, ...]
    kind: str
    question: Mapping[str, str]
    extracted_at: datetime


def spool(selection: Selection, folder: Path) -> dict[str, Any]:
    """Write the rows into the folder and return the worker's job."""
    batches = _batches(selection)
    first = next(batches)
    with (
        pa.OSFile(str(folder / _SPOOLED), "wb") as file,
        pa.ipc.new_file(file, first.schema) as ipc,
    ):
        ipc.write_table(first)
        for batch in batches:
            ipc.write_table(batch)
    return {
        "kind": selection.kind,
        "question": dict(selection.question),
        "extracted_at": selection.extracted_at.isoformat(),
    }


def write(folder: Path, job: Mapping[str, Any]) -> tuple[Path, int]:
    """Write the spooled rows as the job's kind of file; return it and its rows.

    Raises ReportError.
    """
    path = folder / f"linhas.{job['kind']}"
    moment = datetime.fromisoformat(job["extracted_at"])
    try:
        # Not mapped: every page read would count as the worker's memory.
        with pa.OSFile(str(folder / _SPOOLED)) as file:
            rows = pa.ipc.open_file(file)
            return path, row_file.write(rows, path, job["kind"], job["question"], moment)
    except OSError as problem:
        raise report_file.write_error(problem, path) from problem


def _batches(selection: Selection) -> Iterator[pa.Table]:
    """Yield the rows in parts, texts as such; one part for no row."""
    at = selection.positions
    for start in range(0, max(len(at), 1), _BATCH_ROWS):
        part = at[start : start + _BATCH_ROWS]
        page = selection.table.page(selection.result, part, selection.columns)
        for index, field in enumerate(page.schema):
            if pa.types.is_dictionary(field.type):
                values = page.column(index).cast(field.type.value_type)
                page = page.set_column(index, field.name, values)
        yield page.combine_chunks()
