"""Writes a result: its files, its manifest, and how it takes the place of the one before.

Names beginning with ``_`` are unfinished; readers of Parquet folders pass over them. One writer a
folder at a time. Knows no database and no screen.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyarrow import parquet

from lib.domain.errors import ReportError
from lib.engines import parquet_result, result_tables
from lib.engines.job import day_of
from lib.reports.publish import Written, flush_folder

if TYPE_CHECKING:
    import pyarrow as pa

SEALED: Final = f"_{parquet_result.MANIFEST}"
_UNDATED: Final = "sem-data"
_GROUP_ROWS: Final = 65_536
_VERSION: Final = re.compile("_?[0-9a-f]{16}")


class Draft:
    """A result being written: filled, then sealed, then published; the old one stays till then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = secrets.token_hex(8)
        self._draft = folder / f"_{self.version}"
        self._draft.mkdir(parents=True, mode=0o700)
        self._manifest = SEALED
        self._pieces: dict[str, list[tuple[int, Path, int]]] = {n: [] for n in result_tables.NAMES}

    def path(self, table: str, slot: int, per_day: int) -> Path:
        """Where the rows of this slot go."""
        undated = slot == result_tables.UNDATED
        day = _UNDATED if undated else day_of(slot // per_day).isoformat()
        folder = self._draft / table / f"dia={day}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{0 if undated else slot % per_day:04}.parquet"

    def add(self, table: str, slot: int, path: Path, rows: int) -> None:
        """A file is written."""
        self._pieces[table].append((slot, path, rows))

    @property
    def sealed(self) -> parquet_result.Result:
        """The complete result, before or after it is published."""
        return parquet_result.open_result(self.folder, self._manifest)

    def seal(self, manifest: dict[str, Any]) -> None:
        """Say what it is; `publish` alone is left to do."""
        for leftover in self._draft.rglob("_*"):  # of killed workers
            leftover.unlink()
        pieces = {
            table: [self._told(path, rows) for _, path, rows in sorted(found)]
            for table, found in self._pieces.items()
        }
        told = {
            "format": parquet_result.FORMAT,
            "version": self.version,
            **manifest,
            "pieces": pieces,
        }
        for folder in (self._draft, *(entry for entry in self._draft.rglob("*") if entry.is_dir())):
            flush_folder(folder)
        if not manifest["clear"]:
            self._draft.chmod(0o777 & ~_umask())
        self._draft.rename(self.folder / self.version)
        with (self.folder / SEALED).open("w", encoding="utf-8") as file:
            file.write(parquet_result.as_json(told))
            file.flush()
            os.fsync(file.fileno())
        flush_folder(self.folder)

    def publish(self, approve: Callable[[Written], object] = lambda written: None) -> None:
        """Take the place of what was published before, which goes when the draft ends.

        What ``approve`` raises over the finished manifest keeps it out of its place.
        """
        content = (self.folder / SEALED).read_bytes()
        rows = {table: sum(rows for _, _, rows in found) for table, found in self._pieces.items()}
        place = self.folder / parquet_result.MANIFEST
        approve(Written(place, rows, len(content), hashlib.sha256(content).hexdigest()))
        (self.folder / SEALED).replace(place)
        flush_folder(self.folder)
        self._manifest = parquet_result.MANIFEST

    def _told(self, path: Path, rows: int) -> dict[str, Any]:
        day = path.parent.name.removeprefix("dia=")
        return {
            "path": str(self.version / path.relative_to(self._draft)),
            "day": None if day == _UNDATED else day,
            "rows": rows,
        }


@contextmanager
def drafted(folder: Path) -> Iterator[Draft]:
    """A draft in this folder, cleared of what killed runs left; gone unless it was published."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    try:
        yield Draft(folder)
    finally:
        sweep(folder)


def write_piece(path: Path, table: pa.Table) -> None:
    """One file, complete under its name or not there."""
    temporary = path.with_name(f"_{path.name}-{os.getpid()}")
    parquet.write_table(table, temporary, compression="zstd", row_group_size=_GROUP_ROWS)
    with temporary.open("r+b") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def sweep(folder: Path) -> None:
    """Remove what is no part of the published result: of killed runs and replaced versions."""
    version = None
    if (folder / parquet_result.MANIFEST).exists():
        try:
            version = parquet_result.open_result(folder).version
        except ReportError:
            return  # it may be readable later
    for entry in folder.iterdir():
        if entry.name == SEALED:
            entry.unlink()
        elif _VERSION.fullmatch(entry.name) and entry.name != version:
            shutil.rmtree(entry, ignore_errors=True)


def _umask() -> int:
    # There is no way to read it but to set it.
    found = os.umask(0o077)
    os.umask(found)
    return found
