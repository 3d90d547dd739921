"""One run at a time for one report: a lock beside it that dies with the process that holds it.

Knows nothing of what is done under the lock.
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
from lib.reports.publish import refusal

TAKEN: Final = (
    "Outra execução está gravando {target} neste momento: espere ela terminar e rode de novo."
)


@contextmanager
def exclusively(target: Path) -> Iterator[None]:
    """Be the only one who is writing this file, or raise TakenError at once.

    What killed runs of the same report left beside it is cleared away.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = fasteners.InterProcessLock(path)
    try:
        _acquire(lock, path, target)
    except OSError as problem:
        raise refusal(problem, target) from problem
    try:
        temp_folder.clear_away(target)
        yield
    finally:
        # Who has opened it meanwhile finds out that it is not in its place any more.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _acquire(lock: fasteners.InterProcessLock, path: Path, target: Path) -> None:
    path.parent.stat()  # the lock would make a folder that is not there
    while True:
        if not lock.acquire(blocking=False):
            lock.lockfile.close()
            raise TakenError(TAKEN, target=target)
        if _is_in_place(lock, path):
            return
        lock.release()


def _is_in_place(lock: fasteners.InterProcessLock, path: Path) -> bool:
    """Whether the file that is locked is still the one that others would lock."""
    try:
        return os.path.samestat(os.fstat(lock.lockfile.fileno()), path.stat())
    except FileNotFoundError:
        return False
