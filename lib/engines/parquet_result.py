"""A reconciliation as a folder of Parquet files, published whole and opened without loading.

    manifest.json                            what was asked, the books, every file and its rows
    <version>/<table>/dia=<date>/<n>.parquet in sheet order, undated rows last

The manifest is written last and names the version, so that a reader never meets half a result.
Reads; `lib.engines.result_files` writes. Knows no database and no screen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import dataset, parquet

from lib.domain import columns as c
from lib.domain import requests
from lib.domain.errors import ReportError
from lib.domain.outcomes import Books
from lib.domain.reconciliation import Period, Rule
from lib.engines import result_tables
from lib.engines.result_index import MANIFEST as MANIFEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyarrow.compute import Expression

FORMAT: Final = 1


@dataclass(frozen=True)
class Piece:
    """One file of a table: its path below the result's folder, its date (None: undated), rows."""

    path: str
    day: date | None
    rows: int


@dataclass(frozen=True)
class Result:
    """An opened result. ``days`` is `summary.balance_by_day`, ``codes`` `by_response_code`."""

    folder: Path
    merchant: str
    merchant_name: str
    period: Period
    rule: Rule
    clear: bool
    extracted_at: datetime
    version: str
    books: Books
    days: pd.DataFrame
    codes: pd.DataFrame
    motivos: dict[str, int]
    pieces: dict[str, tuple[Piece, ...]]

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return sum(piece.rows for piece in self.pieces[table])

    def page(self, table: str, start: int, count: int) -> pa.Table:
        """So many rows from a position of the table, in sheet order, reading no other pages."""
        found = []
        for piece in self.pieces[table]:
            if start < piece.rows and count > 0:
                found.append(_part(self.folder / piece.path, start, count))
                count -= len(found[-1])
            start = max(start - piece.rows, 0)
        return pa.concat_tables(found) if found else self._no_rows(table)

    def dataset(self, table: str) -> dataset.Dataset:
        """The table for filters, counts and columns at a time (`pyarrow.dataset`)."""
        paths = [str(self.folder / piece.path) for piece in self.pieces[table]]
        return dataset.dataset(paths if paths else self._no_rows(table), format="parquet")

    def counts(self, table: str, wanted: Expression) -> tuple[int, ...]:
        """How many rows of each of a table's files are wanted, reading the columns asked about."""
        return tuple(
            _file(self.folder, piece).count_rows(filter=wanted) for piece in self.pieces[table]
        )

    def found(
        self, table: str, wanted: Expression, start: int, count: int, counts: Sequence[int]
    ) -> pa.Table:
        """So many of the rows that are wanted, in sheet order, from a position among them.

        ``counts`` are those of the same question; files before and behind stay closed.
        """
        found = [self._no_rows(table)]
        for piece, rows in zip(self.pieces[table], counts, strict=True):
            if start < rows and count > 0:
                kept = _some(_file(self.folder, piece), wanted, start, count)
                count -= len(kept)
                found.append(kept)
            start = max(start - rows, 0)
        return pa.concat_tables(found)

    def joins(self) -> dict[tuple[date | None, str], tuple[int, Decimal]]:
        """Consolidated purchases and their amount by day and `tipo_match`."""
        found: dict[tuple[date | None, str], tuple[int, Decimal]] = {}
        for piece in self.pieces[result_tables.CONSOLIDATED]:
            read = _file(self.folder, piece).to_table(columns=[c.TIPO_MATCH, c.VLR_TOTAL])
            kinds = read.group_by(c.TIPO_MATCH).aggregate([([], "count_all"), (c.VLR_TOTAL, "sum")])
            for row in kinds.to_pylist():
                key = (piece.day, str(row[c.TIPO_MATCH]))
                rows, amount = found.get(key, (0, Decimal(0)))
                more = row[f"{c.VLR_TOTAL}_sum"] or 0
                found[key] = (rows + row["count_all"], amount + more)
        return found

    def _no_rows(self, table: str) -> pa.Table:
        pieces = self.pieces[table]
        if not pieces:
            return result_tables.empty(result_tables.columns(table, self.clear))
        schema = parquet.read_schema(self.folder / pieces[0].path)
        return _in_seconds(schema.empty_table())


def open_result(folder: Path, manifest: str = MANIFEST) -> Result:
    """The result in this folder. Raises ReportError where there is none that can be read."""
    try:
        told = json.loads((folder / manifest).read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ValueError
        return _opened(folder, told)
    except FileNotFoundError as exc:
        raise ReportError("A pasta {folder} não tem um resultado completo.", folder=folder) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ReportError(
            "O resultado em {folder} não pôde ser lido: gere-o de novo.", folder=folder
        ) from exc


@dataclass(frozen=True)
class Counts:
    """The books and counts of a result or of a part of one."""

    books: Books
    days: pd.DataFrame
    codes: pd.DataFrame
    motivos: dict[str, int]


def counts(told: dict[str, Any]) -> Counts:
    """What `Totals.plain` said, read back from JSON."""
    days = pd.DataFrame(told["days"])
    days["day"] = pd.Series([_date(row["day"]) for row in told["days"]], dtype=object)
    for name in [n for n in days.columns if n.startswith("amount")]:
        days[name] = pd.Series([Decimal(value) for value in days[name]], dtype=object)
    books: dict[str, Any] = {
        name: Decimal(value) if name.startswith("amount") else value
        for name, value in told["books"].items()
    }
    codes = pd.DataFrame(told["codes"], columns=["code", "matched", "divergences"])
    return Counts(Books(**books), days, codes, told["motivos"])


def as_json(told: dict[str, Any]) -> str:
    """Dates and decimals as text."""
    return json.dumps(told, default=_plain)


def _opened(folder: Path, told: dict[str, Any]) -> Result:
    return Result(
        folder=folder,
        **vars(requests.decode(told)),
        merchant_name=told["merchant_name"],
        clear=told["clear"],
        extracted_at=datetime.fromisoformat(told["extracted_at"]),
        version=told["version"],
        **vars(counts(told)),
        pieces={
            table: tuple(Piece(p["path"], _date(p["day"]), p["rows"]) for p in found)
            for table, found in told["pieces"].items()
        },
    )


def _plain(value: object) -> object:
    if isinstance(value, np.integer):
        return int(value)
    return value if value is None or isinstance(value, int | str) else str(value)


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _file(folder: Path, piece: Piece) -> dataset.Dataset:
    return dataset.dataset(str(folder / piece.path), format="parquet")


def _some(file: dataset.Dataset, wanted: Expression, start: int, count: int) -> pa.Table:
    """So many of a file's wanted rows from a position among them, no further than needed."""
    found = []
    for batch in file.to_batches(filter=wanted, batch_readahead=1):
        kept = batch.slice(start, count)
        start = max(start - len(batch), 0)
        count -= len(kept)
        found.append(kept)
        if count <= 0:
            break
    return _in_seconds(pa.Table.from_batches(found))


def _part(path: Path, start: int, count: int) -> pa.Table:
    """Rows of one file, from the row groups that hold them only."""
    with parquet.ParquetFile(path) as file:
        before, groups, skipped = 0, [], 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if before + rows <= start:
                skipped += rows
            elif before < start + count:
                groups.append(group)
            before += rows
        return _in_seconds(file.read_row_groups(groups).slice(start - skipped, count))


def _in_seconds(table: pa.Table) -> pa.Table:
    """Times in the unit of all other frames: Parquet has none coarser than the millisecond."""
    seconds = pa.schema(
        field.with_type(pa.time32("s")) if pa.types.is_time32(field.type) else field
        for field in table.schema
    )
    return table.cast(seconds)
