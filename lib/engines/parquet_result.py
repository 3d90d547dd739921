"""A reconciliation as a folder of Parquet files, read without loading it whole.

    manifest.json                            the request, the books, every file and its rows
    <version>/<table>/dia=<date>/<n>.parquet in sheet order, undated rows last

The manifest is written last and names the version, so a reader never sees an incomplete result.
Only reads; `lib.engines.result_writer` writes. Knows no database and no screen.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset, parquet

from lib.analysis import books, case_evidence
from lib.domain import cases, file_system, requests
from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.domain.outcomes import Books
from lib.domain.requests import Period, Rule
from lib.engines import result_tables
from lib.engines.result_index import MANIFEST
from lib.engines.totals import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyarrow.compute import Expression

_Value = TypeVar("_Value")

FORMAT: Final = 1
INCOMPLETE: Final = "A pasta {folder} não tem um resultado completo."
UNREADABLE: Final = "O resultado em {folder} não pôde ser lido: gere-o de novo."
_VERSION: Final = re.compile("[0-9a-f]{16}")
_AMOUNTS: Final = tuple(f.name for f in fields(Books) if f.name.startswith("amount"))
_NO_COUNTS: Final = {"day", "code", *_AMOUNTS}
# Raised by the readers of a manifest that another program wrote, or somebody.
_BAD_CONTENT: Final = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, RecursionError, MemoryError),
)


@dataclass(frozen=True)
class Piece:
    """One file of a table: its path below the result's folder, its date (None: undated), rows."""

    path: str
    day: date | None
    rows: int


@dataclass(frozen=True)
class Result(Counts):
    """An opened result."""

    folder: Path
    merchant: str
    merchant_name: str
    period: Period
    rule: Rule
    clear: bool
    extracted_at: datetime
    version: str
    pieces: dict[str, tuple[Piece, ...]]

    def rows(self, table: str) -> int:
        """The number of rows of a table."""
        return sum(piece.rows for piece in self.pieces[table])

    def page(self, table: str, start: int, count: int) -> pa.Table:
        """``count`` rows of the table in sheet order from ``start``, reading no other pages."""
        parts = []
        for piece in self.pieces[table]:
            if start < piece.rows and count > 0:
                parts.append(_part(self.folder / piece.path, start, count))
                count -= len(parts[-1])
            start = max(start - piece.rows, 0)
        return pa.concat_tables(parts) if parts else self._no_rows(table)

    def dataset(self, table: str) -> dataset.Dataset:
        """The table as a `pyarrow.dataset`, for filters, counts and single columns."""
        paths = [str(self.folder / piece.path) for piece in self.pieces[table]]
        return dataset.dataset(paths if paths else self._no_rows(table), format="parquet")

    def counts(self, table: str, condition: Expression) -> tuple[int, ...]:
        """The rows of each of a table's files that meet the condition."""
        return tuple(
            _file(self.folder, piece).count_rows(filter=condition) for piece in self.pieces[table]
        )

    def filtered(
        self, table: str, condition: Expression, start: int, count: int, counts: Sequence[int]
    ) -> pa.Table:
        """``count`` rows that meet the condition, in sheet order, from the ``start``-th on.

        ``counts`` are those of the same condition; files without rows of the page stay closed.
        """
        parts = [self._no_rows(table)]
        for piece, rows in zip(self.pieces[table], counts, strict=True):
            if start < rows and count > 0:
                part = _filtered_part(_file(self.folder, piece), condition, start, count)
                count -= len(part)
                parts.append(part)
            start = max(start - rows, 0)
        return pa.concat_tables(parts)

    def newest_first(self, table: str, condition: Expression | None) -> Iterator[pa.Table]:
        """Yield the rows that meet the condition, the newest first, a part at a time.

        The order is that of the sheet reversed, but for rows without a date, which stay last.
        """
        yield self._no_rows(table)
        dated = [piece for piece in self.pieces[table] if piece.day is not None]
        for piece in reversed(dated):
            for fragment in reversed(_fragments(self.folder, piece)):
                part = fragment.to_table(filter=condition)
                yield _in_seconds(part.take(np.arange(len(part))[::-1]))
        for piece in self.pieces[table]:
            if piece.day is None:
                for fragment in _fragments(self.folder, piece):
                    yield _in_seconds(fragment.to_table(filter=condition))

    def joins(self) -> dict[tuple[date | None, str], tuple[int, Decimal]]:
        """Consolidated purchases and their amount by day and `tipo_match`."""
        joins: dict[tuple[date | None, str], tuple[int, Decimal]] = {}
        for piece in self.pieces[result_tables.CONSOLIDATED]:
            table = _file(self.folder, piece).to_table(columns=[c.TIPO_MATCH, c.VLR_TOTAL])
            sums = table.group_by(c.TIPO_MATCH).aggregate([([], "count_all"), (c.VLR_TOTAL, "sum")])
            for row in sums.to_pylist():
                key = (piece.day, str(row[c.TIPO_MATCH]))
                rows, amount = joins.get(key, (0, Decimal(0)))
                joins[key] = (
                    rows + row["count_all"],
                    amount + (row[f"{c.VLR_TOTAL}_sum"] or 0),
                )
        return joins

    def cases(self) -> pa.Table:
        """The open cases, as `case_evidence.found` returns them."""
        divergences, without_log = (
            self.page(name, 0, self.rows(name))
            for name in (result_tables.DIVERGENCES, result_tables.WITHOUT_LOG)
        )
        motivo = divergences[c.MOTIVO].cast(pa.string())
        divergences = divergences.filter(pc.is_in(motivo, pa.array(cases.MOTIVOS)))
        return case_evidence.of_tables(divergences, without_log, self.merchant, clear=self.clear)

    def _no_rows(self, table: str) -> pa.Table:
        pieces = self.pieces[table]
        if not pieces:
            return result_tables.empty(result_tables.columns(table, self.clear))
        schema = parquet.read_schema(self.folder / pieces[0].path)
        return _in_seconds(schema.empty_table())


def open_result(folder: Path, manifest: str = MANIFEST) -> Result:
    """Open the result in this folder. Raises ReportError if there is no readable one."""
    try:
        content = json.loads(file_system.read_text(folder / manifest))
        if content["format"] != FORMAT:
            raise ValueError
        return _opened(folder, content)
    except FileNotFoundError as exc:
        raise ReportError(INCOMPLETE, folder=folder) from exc
    except (OSError, *_BAD_CONTENT) as exc:
        raise ReportError(UNREADABLE, folder=folder) from exc


def counts_from(content: dict[str, Any]) -> Counts:
    """Parse the counts that `Totals.plain` returned, from JSON."""
    days = [_amounts(row) | {"day": _date(row["day"])} for row in content["days"]]
    return Counts(
        Books(**_amounts(content["books"])),
        pa.Table.from_pylist(days, books.DAYS),
        pa.Table.from_pylist(content["codes"], books.CODES),
        content["motivos"],
    )


def as_json(content: dict[str, Any]) -> str:
    """The content as JSON, dates and decimals as text."""
    return json.dumps(content, default=_plain)


def _opened(folder: Path, content: dict[str, Any]) -> Result:
    _require_types(content)
    return Result(
        **vars(counts_from(content)),
        **vars(requests.decode(content)),
        folder=folder,
        merchant_name=_of_type(str, content["merchant_name"]),
        clear=_of_type(bool, content["clear"]),
        extracted_at=datetime.fromisoformat(content["extracted_at"]),
        version=content["version"],
        pieces={
            table: tuple(_piece(content["version"], entry) for entry in content["pieces"][table])
            for table in result_tables.NAMES
        },
    )


def _require_types(content: dict[str, Any]) -> None:
    """Raise one of `_BAD_CONTENT` unless names, counts and amounts are such."""
    rule, codes = content["rule"], content["codes"]
    books = [content["books"], *content["days"]]
    names = [content["merchant"], rule["name"], *rule["approved_codes"]]
    counts = [rule["tolerance_seconds"], *(content["motivos"][name] for name in c.MOTIVOS)]
    for name in (*names, *(row["code"] for row in codes)):
        _of_type(str, name)
    for row in (*books, *codes):
        counts += [value for name, value in row.items() if name not in _NO_COUNTS]
    for count in counts:
        _of_type(int, count)
    if not all(Decimal(row[name]).is_finite() for row in books for name in _AMOUNTS):
        raise ValueError


def _piece(version: str, entry: dict[str, Any]) -> Piece:
    """A file below the folder of this version. Raises one of `_BAD_CONTENT` for any other."""
    path, rows = Path(entry["path"]), _of_type(int, entry["rows"])
    inside = path.parts[0] == version and ".." not in path.parts
    if rows < 0 or not inside or not _VERSION.fullmatch(version):
        raise ValueError
    return Piece(entry["path"], _date(entry["day"]), rows)


def _of_type(kind: type[_Value], value: object) -> _Value:
    if type(value) is not kind:
        raise TypeError
    return value


def _plain(value: object) -> object:
    if isinstance(value, np.integer):
        return int(value)
    return value if value is None or isinstance(value, int | str) else str(value)


def _amounts(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its amounts as decimals."""
    return {n: Decimal(value) if n.startswith("amount") else value for n, value in row.items()}


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _file(folder: Path, piece: Piece) -> dataset.Dataset:
    return dataset.dataset(str(folder / piece.path), format="parquet")


def _fragments(folder: Path, piece: Piece) -> list[Any]:
    """The row groups of a file, in its order."""
    [fragment] = _file(folder, piece).get_fragments()
    return list(fragment.split_by_row_group())


def _filtered_part(
    file: dataset.Dataset, condition: Expression, start: int, count: int
) -> pa.Table:
    """``count`` rows of a file that meet the condition, from the ``start``-th; reads no further."""
    parts = []
    for batch in file.to_batches(filter=condition, batch_readahead=1):
        part = batch.slice(start, count)
        start = max(start - len(batch), 0)
        count -= len(part)
        parts.append(part)
        if count <= 0:
            break
    return _in_seconds(pa.Table.from_batches(parts))


def _part(path: Path, start: int, count: int) -> pa.Table:
    """Rows of one file, from their row groups only."""
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
    """Convert times to seconds, as in all other tables; Parquet stores milliseconds at best."""
    seconds = pa.schema(
        field.with_type(pa.time32("s")) if pa.types.is_time32(field.type) else field
        for field in table.schema
    )
    return table.cast(seconds)
