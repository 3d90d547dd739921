"""The rows that a reader selected in a table, on their way to the worker that writes their file.

`spool` runs in the server and streams the rows into the worker's folder; `write` runs in the worker
process. Neither holds more than a part of the rows. Knows no screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """The rows of a table as a reader selected them; ``question`` says what they answer.

    ``parts`` yields them in the order shown, at least one table; ``kind`` is one of
    `row_file.KINDS`.
    """

    parts: Callable[[], Iterator[pa.Table]]
    kind: str
    question: Mapping[str, str]
    extracted_at: datetime


def parts(
    result: Reconciliation, table: Table, positions: Ints, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Yield these columns of the rows at these positions of a table."""
    for start in range(0, max(len(positions), 1), _BATCH_ROWS):
        yield table.page(result, positions[start : start + _BATCH_ROWS], columns)


def spool(selection: Selection, folder: Path) -> dict[str, Any]:
    """Write the rows into the folder and return the worker's job."""
    batches = map(_plain, selection.parts())
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


def _plain(part: pa.Table) -> pa.Table:
    """Return the part with its texts as such, whatever their dictionaries."""
    for index, field in enumerate(part.schema):
        if pa.types.is_dictionary(field.type):
            values = part.column(index).cast(field.type.value_type)
            part = part.set_column(index, field.name, values)
    return part.combine_chunks()
