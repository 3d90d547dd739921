"""Write a matched reconciliation as a result that replaces the published one as a whole.

Files whose name begins with ``_`` are unfinished; readers of Parquet folders skip them. A folder
has one writer at a time. Knows no database and no screen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyarrow import parquet

from lib.domain import file_system, requests
from lib.domain.errors import ReportError
from lib.domain.outcomes import Finished
from lib.domain.reconciliation import EPOCH
from lib.engines import parquet_result, result_index, result_tables
from lib.engines.totals import Read, Totals, require_all
from lib.reports.report_file import Written, write_error

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.analysis.case_evidence import Evidence
    from lib.config.settings import Settings
    from lib.domain.requests import Period, Progress, Request

SEALED: Final = f"_{result_index.MANIFEST}"
_UNDATED: Final = "sem-data"
_GROUP_ROWS: Final = 65_536
_SLOT_ROWS: Final = 400_000
_VERSION: Final = re.compile("_?[0-9a-f]{16}")


@dataclass(frozen=True)
class Matching:
    """A matched and balanced reconciliation.

    ``fill`` writes its files, given a draft and the slots per day, while its engine is open.
    ``evidence`` is about the watched cases.
    """

    settings: Settings
    request: Request
    clear: bool
    read: Read
    totals: Totals
    fill: Callable[[Draft, int], None]
    evidence: Evidence

    def finished(self) -> Finished:
        """The figures of the run, before anything is written."""
        counts = parquet_result.counts_from(json.loads(parquet_result.as_json(self.totals.plain())))
        return Finished(
            request=self.request,
            merchant_name=self.settings.merchants[self.request.merchant],
            clear=self.clear,
            extracted_at=datetime.fromisoformat(self.read.extracted_at),
            books=counts.books,
            by_day=counts.days,
        )


class Draft:
    """An unpublished result: filled, sealed, then published in place of the previous one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = secrets.token_hex(8)
        self._draft = folder / f"_{self.version}"
        self._draft.mkdir(parents=True, mode=0o700)
        self._manifest = SEALED
        self._pieces: dict[str, list[tuple[int, Path, int]]] = {n: [] for n in result_tables.NAMES}

    def path(self, table: str, slot: int, per_day: int) -> Path:
        """The file for the rows of this slot."""
        undated = slot == result_tables.UNDATED
        day = _UNDATED if undated else (EPOCH + timedelta(days=slot // per_day)).isoformat()
        folder = self._draft / table / f"dia={day}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{0 if undated else slot % per_day:04}.parquet"

    def add(self, table: str, slot: int, path: Path, rows: int) -> None:
        """Register a written file."""
        self._pieces[table].append((slot, path, rows))

    @property
    def sealed(self) -> parquet_result.Result:
        """The complete result, before or after it is published."""
        return parquet_result.open_result(self.folder, self._manifest)

    def seal(self, manifest: dict[str, Any]) -> None:
        """Write the manifest under its unfinished name; only `publish` remains."""
        for leftover in self._draft.rglob("_*"):  # of killed workers
            leftover.unlink()
        pieces = {
            table: [self._entry(path, rows) for _, path, rows in sorted(files)]
            for table, files in self._pieces.items()
        }
        content = {
            "format": parquet_result.FORMAT,
            "version": self.version,
            **manifest,
            "pieces": pieces,
        }
        for folder in (self._draft, *(entry for entry in self._draft.rglob("*") if entry.is_dir())):
            file_system.flush_folder(folder)
        if not manifest["clear"]:
            file_system.set_mode(self._draft, 0o777 & ~_umask())
        self._draft.rename(self.folder / self.version)
        with (self.folder / SEALED).open("w", encoding="utf-8") as file:
            file.write(parquet_result.as_json(content))
            file.flush()
            file_system.flush(file.fileno())
        file_system.flush_folder(self.folder)

    @property
    def manifest(self) -> Written:
        """The finished manifest, under the name it is published by."""
        content = (self.folder / SEALED).read_bytes()
        rows = {table: sum(rows for _, _, rows in files) for table, files in self._pieces.items()}
        target = self.folder / result_index.MANIFEST
        return Written(target, rows, len(content), hashlib.sha256(content).hexdigest())

    def publish(self) -> None:
        """Replace the published result, whose files are removed when the draft ends."""
        (self.folder / SEALED).replace(self.folder / result_index.MANIFEST)
        file_system.flush_folder(self.folder)
        self._manifest = result_index.MANIFEST

    def _entry(self, path: Path, rows: int) -> dict[str, Any]:
        day = path.parent.name.removeprefix("dia=")
        return {
            "path": str(self.version / path.relative_to(self._draft)),
            "day": None if day == _UNDATED else day,
            "rows": rows,
        }


def balanced(
    settings: Settings,
    request: Request,
    clear: bool,
    read: Read,
    totals: Totals,
    fill: Callable[[Draft, int], None],
    evidence: Evidence,
) -> Matching:
    """Create the matching if its books hold every record read, else raise BalanceError."""
    require_all(read, totals.books)
    return Matching(settings, request, clear, read, totals, fill, evidence)


def slots_a_day(period: Period, read: Read) -> int:
    """The number of files per day that lets a worker sort each in memory."""
    days = (period.end - period.start).days + 1
    return -(-max(read.transactions, read.auth_logs, 1) // (days * _SLOT_ROWS))


@contextmanager
def sealed(matching: Matching, target: Path, progress: Progress) -> Iterator[Draft]:
    """Write a complete result, which the block may read and publish. Raises ReportError."""
    books, request = matching.totals.books, matching.request
    progress("writing", books.consolidated + books.divergences)
    try:
        with drafted(target) as draft:
            matching.fill(draft, slots_a_day(request.period, matching.read))
            draft.seal(
                {
                    **requests.encode(request),
                    "merchant_name": matching.settings.merchants[request.merchant],
                    "clear": matching.clear,
                    "extracted_at": matching.read.extracted_at,
                    **matching.totals.plain(),
                }
            )
            yield draft
    except OSError as error:
        raise write_error(error, target) from error


@contextmanager
def drafted(folder: Path) -> Iterator[Draft]:
    """Open a draft in this folder; removes everything unpublished there before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    try:
        yield Draft(folder)
    finally:
        sweep(folder)


def write_piece(path: Path, table: pa.Table) -> None:
    """Write one file; it gets its name only when it is complete."""
    temporary = path.with_name(f"_{path.name}-{os.getpid()}")
    parquet.write_table(table, temporary, compression="zstd", row_group_size=_GROUP_ROWS)
    with temporary.open("r+b") as file:
        file_system.flush(file.fileno())
    temporary.replace(path)


def sweep(folder: Path) -> None:
    """Remove drafts of killed runs and replaced versions; the caller holds the result's lock."""
    version = readable = None
    if file_system.exists(folder / result_index.MANIFEST):
        with suppress(ReportError):
            version = parquet_result.open_result(folder).version
        readable = version is not None
    for entry in folder.iterdir():
        if entry.name == SEALED:
            entry.unlink(missing_ok=True)
        elif (
            _VERSION.fullmatch(entry.name)
            and entry.name != version
            and (
                # A published result whose manifest cannot be read now may be readable later.
                readable is not False or entry.name.startswith("_")
            )
        ):
            shutil.rmtree(entry, ignore_errors=True)


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
