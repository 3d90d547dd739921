"""The workbooks of a result: the two-sheet one where its rows fit, else one for every day.

Cells and covers are `lib.reports.publish`'s; each workbook is made of the rows of its own days,
by a worker. Undated rows, where there are several workbooks, have one of their own.
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
from lib.domain.reconciliation import Period, Reconciliation
from lib.engines import parquet_result, process_pool, result_tables
from lib.engines.partition_reader import as_frame
from lib.reports import publish, verification
from lib.reports.publish import Written

if TYPE_CHECKING:
    from lib.engines.parquet_result import Result

_SHEETS: Final = (result_tables.DIVERGENCES, result_tables.CONSOLIDATED)


@dataclass(frozen=True)
class Workbook:
    """One workbook to write: a day of the result (None: the undated), or all of it."""

    path: Path
    whole: bool
    day: date | None = None


def wanted(
    found: Result, target: Path, *, rows_per_sheet: int = publish.SHEET_ROWS
) -> list[Workbook]:
    """The one under ``target``, or those beside it with the day in the name."""
    if all(found.rows(name) <= rows_per_sheet for name in _SHEETS):
        return [Workbook(target, whole=True)]
    days = {piece.day for name in _SHEETS for piece in found.pieces[name]}
    ordered = sorted(days, key=lambda day: (day is None, day or date.min))
    return [Workbook(_named(target, day), whole=False, day=day) for day in ordered]


def write(
    found: Result,
    manifest: str,
    books: list[Workbook],
    folder: Path,
    marks: Mapping[str, str],
    count: int,
) -> list[Written]:
    """Write these workbooks of a result into a folder, ``count`` at a time. Raises ReportError.

    What is returned has the path that each is to have at the end.
    """
    task = Task(found.folder, manifest, folder, dict(marks))
    with process_pool.started(min(count, len(books))) as pool:
        written = dict(pool.each(task, write_one, books))
    return [replace(written[book], path=book.path) for book in books]


@dataclass(frozen=True)
class Task:
    """What every worker is told: the result, where to write, and what else the covers say."""

    result: Path
    manifest: str
    folder: Path
    marks: dict[str, str]


def write_one(task: Task, wanted: Workbook) -> Written:
    """Write one workbook of the result."""
    found = parquet_result.open_result(task.result, task.manifest)
    cover = verification.Cover(
        merchant=found.merchant,
        merchant_name=found.merchant_name,
        clear=found.clear,
        extracted_at=found.extracted_at,
        version=__version__,
        marks=task.marks,
    )
    return publish.write(reconciliation(found, wanted), cover, task.folder / wanted.path.name)


def reconciliation(found: Result, wanted: Workbook) -> Reconciliation:
    """The sheets' rows as `lib.reports.publish` takes them.

    Of the records in no sheet only the counts are there, as row numbers that lead nowhere.
    """
    consolidated = _rows(found, wanted, result_tables.CONSOLIDATED)
    divergent = _rows(found, wanted, result_tables.DIVERGENCES)
    pairs, logs = len(consolidated), len(divergent)
    books = vars(found.books) if wanted.whole else _of_day(found, wanted.day)
    period = found.period
    if wanted.day is not None:
        period = Period(wanted.day, wanted.day, period.today)
    seconds = consolidated[c.DIF_SEGUNDOS].combine_chunks()
    nothing = np.zeros(0, dtype=np.int64)
    return Reconciliation(
        period=period,
        rule=replace(found.rule),
        transactions=as_frame(consolidated.select(c.TRANSACTIONS_QUERY)),
        auth_logs=as_frame(_logs(found, consolidated, divergent)),
        transaction_rows=nothing,
        log_rows=nothing,
        consolidated_rows=np.arange(pairs),
        pair_rows=np.arange(pairs),
        pair_virtual=_codes(consolidated[c.TIPO_MATCH], (c.FISICO, c.VIRTUAL)) == 1,
        pair_seconds=np.ma.array(
            seconds.fill_null(0).to_numpy(), mask=seconds.is_null().to_numpy(zero_copy_only=False)
        ),
        matched_log_rows=np.zeros(books["logs_matched"], dtype=np.int64),
        divergent_rows=np.arange(pairs, pairs + logs),
        motivo=_codes(divergent[c.MOTIVO], c.MOTIVOS),
        nearest_rows=np.full(logs, -1, dtype=np.int64),
        without_log_rows=np.zeros(books["without_log"], dtype=np.int64),
        without_log_reason=np.zeros(books["without_log"], dtype=np.int8),
        duplicate_rows=np.zeros(books["duplicates"], dtype=np.int64),
        survivor_rows=np.zeros(books["duplicates"], dtype=np.int64),
    )


def _rows(found: Result, wanted: Workbook, name: str) -> pa.Table:
    if wanted.whole:
        return found.page(name, 0, found.rows(name)).combine_chunks()
    pieces = {name: tuple(p for p in found.pieces[name] if p.day == wanted.day)}
    part = replace(found, pieces=pieces)
    return part.page(name, 0, part.rows(name)).combine_chunks()


def _of_day(found: Result, day: date | None) -> dict[str, Any]:
    for row in found.days.to_dict("records"):
        if row["day"] == day:
            return {str(name): value for name, value in row.items()}
    return dict.fromkeys(("logs_matched", "without_log", "duplicates"), 0)


def _logs(found: Result, consolidated: pa.Table, divergent: pa.Table) -> pa.Table:
    """The logs of the pairs, of which a sheet shows code and text only, then the divergences."""
    names = (c.AUTH_LOGS_CLEAR if found.clear else c.AUTH_LOGS)[:-1]
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
    found = pc.index_in(values.cast(pa.string()), value_set=pa.array(labels, pa.string()))
    return np.asarray(found.to_numpy(), dtype=np.int8)


def _named(target: Path, day: date | None) -> Path:
    """The target with the day in its name."""
    return target.with_name(f"{target.stem}_{day or 'sem-data'}{target.suffix}")
