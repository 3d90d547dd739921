"""Remove what killed runs left, which may be in clear, wherever their reports were to stand.

Owns a register of the runs under way: a file each in the staging folder, which names the report and
the folder of its result. A file whose process is gone belongs to a killed run; the next run of any
report removes its leftovers. A register that cannot be kept never stops a report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.config.file_permissions import require_unchangeable
from lib.domain import file_system
from lib.domain.errors import AggregatorError
from lib.reports import temp_folder
from lib.reports.file_lock import exclusive_lock

if TYPE_CHECKING:
    from lib.config.settings import Settings

_PREFIX: Final = "run-"
_ENTRY: Final = ".json"
_LOCK: Final = ".lock"
# A run that removes leftovers holds the lock of their report for a moment.
_WAIT_SECONDS: Final = 10.0


@contextmanager
def registered(settings: Settings, report: Path, result: Path) -> Iterator[None]:
    """Register this run, whose report is locked, and remove what earlier killed runs left."""
    with ExitStack() as stack:
        with suppress(OSError):
            folder = settings.engine.staging_folder
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(_entry(folder, report, result))
            _sweep(folder)
        with suppress(OSError, AggregatorError):
            _remove(result)
        yield


def sweep_staging(settings: Settings) -> None:
    """Remove what killed runs of an engine staged; for runs that do not resume it."""
    with suppress(OSError):
        folder = settings.engine.staging_folder
        if any(folder.glob("mda-*")):
            from lib.engines import staging  # slow to load

            staging.sweep(folder)


@contextmanager
def _entry(folder: Path, report: Path, result: Path) -> Iterator[None]:
    """Keep an entry in the register while the block runs; it outlives only a killed process."""
    paths = [str(path.absolute()) for path in (report, result)]
    name = hashlib.sha256(paths[0].encode(errors="surrogateescape")).hexdigest()[:16]
    entry = folder / f"{_PREFIX}{name}{_ENTRY}"
    lock = file_system.lock(entry.with_suffix(_LOCK), wait_seconds=_WAIT_SECONDS)
    if lock is None:
        raise BlockingIOError
    try:
        _remove_registered(entry)
        entry.write_text(json.dumps(paths), encoding="utf-8")
        try:
            yield
        finally:
            entry.unlink(missing_ok=True)
    finally:
        lock.remove()


def _sweep(folder: Path) -> None:
    """Remove the leftovers of every registered run whose process is gone."""
    for entry in folder.glob(f"{_PREFIX}*{_ENTRY}"):
        with suppress(OSError):
            lock = file_system.lock(entry.with_suffix(_LOCK))
            if lock is None:
                continue
            try:
                _remove_registered(entry)
            finally:
                lock.remove()


def _remove_registered(entry: Path) -> None:
    """Remove the leftovers of this entry's run, then the entry; what fails is tried again later."""
    with suppress(OSError, AggregatorError):
        require_unchangeable(entry, entry.name)
        try:
            report, result = map(Path, json.loads(file_system.read_text(entry)))
        except (ValueError, TypeError, RecursionError):
            entry.unlink()  # killed while it was written, before the run began
            return
        if report.parent.is_dir():
            temp_folder.remove_leftovers(report)
            _remove(result)
            entry.unlink()


def _remove(result: Path) -> None:
    """Remove what is unpublished in the folder of a result, and the folder if nothing is left."""
    if result.is_dir():
        from lib.engines import result_writer  # slow to load

        with exclusive_lock(result):
            result_writer.sweep(result)
            with suppress(OSError):
                result.rmdir()
