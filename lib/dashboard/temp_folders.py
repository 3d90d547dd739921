"""The dashboard's temporary folders, accessible to its account only (0700).

A folder's name contains its process number, so that a later process can remove the folders of dead
processes. Knows nothing of the contents.
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

_OWN: Final[set[Path]] = set()


def make(prefix: str) -> Path:
    """Create a folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
    _OWN.add(folder)
    return folder


def remove(folder: Path) -> None:
    """Remove the folder with its contents."""
    shutil.rmtree(folder, ignore_errors=True)
    _OWN.discard(folder)


def sweep() -> None:
    """Remove the folders of dead processes; a killed process cannot remove its own."""
    for prefix in (EXPORTS, CLEAR):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*-*"):
            owner = folder.name.removeprefix(prefix).split("-")[0]
            if owner.isdecimal() and not _in_use(int(owner), folder):
                shutil.rmtree(folder, ignore_errors=True)


def _in_use(owner: int, folder: Path) -> bool:
    # In a container, a new server has the same process number as the previous one.
    return folder in _OWN if owner == os.getpid() else psutil.pid_exists(owner)
