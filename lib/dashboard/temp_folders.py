"""Folders of the dashboard's in the temporary place, for its account alone (0700).

A name says which process the folder is of, so that another can remove what is nobody's any more.
Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

EXPORTS: Final = "agregador-exportacao-"
CLEAR: Final = "agregador-claro-"

_MADE: Final[set[Path]] = set()


def make(prefix: str) -> Path:
    """A new folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
    _MADE.add(folder)
    return folder


def remove(folder: Path) -> None:
    """Remove the folder and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _MADE.discard(folder)


def sweep() -> None:
    """Remove what processes left behind that are gone; one that is killed has no time to."""
    for prefix in (EXPORTS, CLEAR):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
            owner = folder.name.removeprefix(prefix).split("-")[0]
            if owner.isdecimal() and not _living(int(owner), folder):
                shutil.rmtree(folder, ignore_errors=True)


def _living(owner: int, folder: Path) -> bool:
    # In a container the next server has the number of the one before.
    return folder in _MADE if owner == os.getpid() else psutil.pid_exists(owner)
