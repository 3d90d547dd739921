"""The private folder beside a report in which it is written before it takes its place.

Whatever a killed run leaves is in one place, which the next run of the same report clears away.
Knows nothing of workbooks.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX, _SUFFIX = ".relatorio-", ".tmp"
# No run takes a day; another report's, that takes hours, keeps its folder.
_STALE_SECONDS: Final = 86_400.0


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """The folder for this report (mode 0700), removed at the end, and very old ones as well."""
    for leftover in target.parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            if leftover.stat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(
        _SUFFIX, _prefix(target), target.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def clear_away(target: Path) -> None:
    """Remove what killed runs of this report left; only for who has the report to themselves."""
    for leftover in target.parent.glob(f"{_prefix(target)}*{_SUFFIX}"):
        shutil.rmtree(leftover, ignore_errors=True)


def _prefix(target: Path) -> str:
    return f"{_PREFIX}{hashlib.sha256(target.name.encode()).hexdigest()[:8]}-"
