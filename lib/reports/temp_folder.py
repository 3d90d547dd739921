"""The private folder beside a report, in which the report is written.

The name of the folder is derived from the report's, so that the next run of the same report can
remove the leftovers of a killed run. Knows no workbook.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX, _SUFFIX = ".relatorio-", ".tmp"
# Longer than any run: the folder of another report may still be in use.
_STALE_SECONDS: Final = 86_400.0


@contextmanager
def create(target: Path) -> Iterator[Path]:
    """Create the folder for this report (mode 0700) and remove it at the end.

    Stale folders of other reports are removed as well.
    """
    for leftover in target.parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            if leftover.stat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(
        _SUFFIX, _prefix(target), target.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def remove_leftovers(target: Path) -> None:
    """Remove leftovers of killed runs of this report; the caller holds the report's lock."""
    for leftover in target.parent.glob(f"{_prefix(target)}*{_SUFFIX}"):
        shutil.rmtree(leftover, ignore_errors=True)


def _prefix(target: Path) -> str:
    return f"{_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"
