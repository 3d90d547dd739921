"""Lock a report while it is being written.

The lock file stands beside the report; the lock ends with the process that holds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import fasteners  # type: ignore[import-untyped]

from lib.domain.errors import TakenError
from lib.reports import temp_folder
from lib.reports.publish import write_error

TAKEN: Final = (
    "Outra execução está gravando {target} neste momento: espere ela terminar e rode de novo."
)


@contextmanager
def exclusive_lock(target: Path) -> Iterator[None]:
    """Hold the lock of this report, and remove leftovers of killed runs of the same report.

    Does not wait. Raises TakenError if another process holds the lock, ReportError if the folder
    cannot be used.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = fasteners.InterProcessLock(path)
    try:
        _acquire(lock, path, target)
    except OSError as exc:
        raise write_error(exc, target) from exc
    try:
        temp_folder.remove_leftovers(target)
        yield
    finally:
        # A process that has opened this file meanwhile notices its removal and opens a new one.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _acquire(lock: fasteners.InterProcessLock, path: Path, target: Path) -> None:
    path.parent.stat()  # raises where the folder is missing; fasteners would create it
    while True:
        if not lock.acquire(blocking=False):
            lock.lockfile.close()
            raise TakenError(TAKEN, target=target)
        if _is_current(lock, path):
            return
        lock.release()


def _is_current(lock: fasteners.InterProcessLock, path: Path) -> bool:
    """Return True if the locked file is still the one under this path."""
    try:
        return os.path.samestat(os.fstat(lock.lockfile.fileno()), path.stat())
    except FileNotFoundError:
        return False
