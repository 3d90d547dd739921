"""The workbooks of a result: one if its rows fit the sheets, else one per day.

`lib.reports.publish` writes cells and properties. A worker writes each workbook from the rows of
its own day; undated rows get a workbook of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib import __version__
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period
from lib.engines import parquet_result, process_pool, result_tables
from lib.reports import description, publish
from lib.reports.report_file import Written

if TYPE_CHECKING:
    from lib.domain.cases import Labels
    from lib.engines.parquet_result import Result

_SHEETS: Final = (result_tables.DIVERGENCES, result_tables.CONSOLIDATED)


@dataclass(frozen=True)
class Workbook:
    """One workbook to write: the whole result, or one day of it (None: undated rows)."""

    path: Path
    whole: bool
    day: date | None = None


def planned(
    result: Result, target: Path, *, rows_per_sheet: int = publish.SHEET_ROWS
) -> list[Workbook]:
    """The single workbook at ``target``, or one per day beside it with the day in the name."""
    if all(result.rows(name) <= rows_per_sheet for name in _SHEETS):
        return [Workbook(target, whole=True)]
    days = {piece.day for name in _SHEETS for piece in result.pieces[name]}
    ordered = sorted(days, key=lambda day: (day is None, day or date.min))
    return [Workbook(_named(target, day), whole=False, day=day) for day in ordered]


def write(
    result: Result,
    manifest: str,
    books: list[Workbook],
    folder: Path,
    marks: Mapping[str, str],
    labels: Labels | None,
    count: int,
) -> list[Written]:
    """Write these workbooks of a result into a folder, ``count`` at a time. Raises ReportError.

    Returns the final paths; the caller moves the files there.
    """
    task = Task(result.folder, manifest, folder, dict(marks), labels)
    with process_pool.started(min(count, len(books))) as pool:
        written = dict(pool.each(task, write_one, books))
    return [replace(written[book], path=book.path) for book in books]


@dataclass(frozen=True)
class Task:
    """The result, the folder to write to, and what is the same for all workbooks."""

    result: Path
    manifest: str
    folder: Path
    marks: dict[str, str]
    labels: Labels | None


def write_one(task: Task, book: Workbook) -> Written:
    """Write one workbook of the result."""
    result = parquet_result.open_result(task.result, task.manifest)
    cover = description.Cover(
        merchant=result.merchant,
        merchant_name=result.merchant_name,
        clear=result.clear,
        extracted_at=result.extracted_at,
        version=__version__,
        marks=task.marks,
        labels=task.labels,
    )
    return publish.write(reconciliation(result, book), cover, task.folder / book.path.name)


def reconciliation(result: Result, book: Workbook) -> Reconciliation:
    """Build the reconciliation that `lib.reports.publish` expects, from the sheets' rows.

    Records in no sheet are only counted: each has a row number, always zero.
    """
    consolidated = _rows(result, book, result_tables.CONSOLIDATED)
    divergent = _rows(result, book, result_tables.DIVERGENCES)
    pairs, logs = len(consolidated), len(divergent)
    counts = vars(result.books) if book.whole else _of_day(result, book.day)
    period = result.period
    if book.day is not None:
        period = Period(book.day, book.day, period.today)
    seconds = consolidated[c.DIF_SEGUNDOS].combine_chunks()
    none = np.zeros(0, dtype=np.int64)
    return Reconciliation(
        period=period,
        rule=result.rule,
        transactions=consolidated.select(c.TRANSACTIONS_QUERY),
        auth_logs=_logs(result, consolidated, divergent),
        transaction_rows=none,
        log_rows=none,
        consolidated_rows=np.arange(pairs),
        pair_rows=np.arange(pairs),
        pair_virtual=_codes(consolidated[c.TIPO_MATCH], (c.FISICO, c.VIRTUAL)) == 1,
        pair_seconds=np.ma.array(
            seconds.fill_null(0).to_numpy(), mask=seconds.is_null().to_numpy(zero_copy_only=False)
        ),
        matched_log_rows=np.zeros(counts["logs_matched"], dtype=np.int64),
        divergent_rows=np.arange(pairs, pairs + logs),
        motivo=_codes(divergent[c.MOTIVO], c.MOTIVOS),
        nearest_rows=np.full(logs, -1, dtype=np.int64),
        without_log_rows=np.zeros(counts["without_log"], dtype=np.int64),
        without_log_reason=np.zeros(counts["without_log"], dtype=np.int8),
        duplicate_rows=np.zeros(counts["duplicates"], dtype=np.int64),
        survivor_rows=np.zeros(counts["duplicates"], dtype=np.int64),
    )


def _rows(result: Result, book: Workbook, name: str) -> pa.Table:
    part = result
    if not book.whole:
        pieces = {name: tuple(p for p in result.pieces[name] if p.day == book.day)}
        part = replace(result, pieces=pieces)
    return part.page(name, 0, part.rows(name)).combine_chunks()


def _of_day(result: Result, day: date | None) -> dict[str, Any]:
    """The counts of one day, zero where the day has no records."""
    for row in result.days.to_pylist():
        if row["day"] == day:
            counts: dict[str, Any] = row
            return counts
    return dict.fromkeys(("logs_matched", "without_log", "duplicates"), 0)


def _logs(result: Result, consolidated: pa.Table, divergent: pa.Table) -> pa.Table:
    """The logs of the pairs, with code and text only, then the divergences."""
    names = (c.AUTH_LOGS_CLEAR if result.clear else c.AUTH_LOGS)[:-1]
    whole = divergent.select(names)
    shown = {
        name: consolidated[name]
        if name in (c.COD_RESPOSTA, c.DES_LOG)
        else pa.nulls(len(consolidated), whole.schema.field(name).type)
        for name in names
    }
    both = [pa.table(shown, schema=whole.schema), whole]
    return pa.concat_tables(both).combine_chunks()


def _codes(values: pa.ChunkedArray, labels: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int8]]:
    codes = pc.index_in(values.cast(pa.string()), value_set=pa.array(labels, pa.string()))
    return np.asarray(codes.to_numpy(), dtype=np.int8)


def _named(target: Path, day: date | None) -> Path:
    """The target with the day in its name."""
    return target.with_name(f"{target.stem}_{day or 'sem-data'}{target.suffix}")
