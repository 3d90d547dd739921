"""The older reports that are kept beside a report, under the moment they were written.

Owns their names and which of them go. Writes no report.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lib.report import Written

_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_OF_DAY: Final = rf"(_(?P<day>{_DAY}|sem-data))?"
_ASIDE: Final = "_%Y%m%d-%H%M%S"
_ASIDE_PATTERN: Final = r"(_\d{8}-\d{6})?"

_log: Final = logging.getLogger(__name__)


def put_aside(path: Path) -> Path | None:
    """Give the report in this place a second name that says when it was written."""
    with suppress(FileNotFoundError):
        written = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        aside = path.with_name(f"{path.stem}{written:{_ASIDE}}{path.suffix}")
        if not aside.exists():
            try:
                os.link(path, aside)
            except OSError:  # a file system without links
                shutil.copy2(path, aside)
        return aside
    return None


def clear(template: Path, written: Sequence[Written], merchant: str, keep: int) -> None:
    """Remove this merchant's reports beyond the newest ``keep`` older ones, of each day's own."""
    name = re.escape(template.stem)
    for placeholder in ("date", "start", "end"):
        name = name.replace(re.escape(f"{{{placeholder}}}"), _DAY)
    name = name.replace(re.escape("{merchant}"), re.escape(merchant))
    pattern = re.compile(name + _OF_DAY + _ASIDE_PATTERN + re.escape(template.suffix))
    current = {book.path.name for book in written}
    older: dict[str | None, list[Path]] = defaultdict(list)
    for path in written[0].path.parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and path.name not in current and path.is_file():
            older[found["day"]].append(path)
    for paths in older.values():
        paths.sort(key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
        for path in paths[keep:]:
            with suppress(OSError):
                path.unlink()
                _log.info("relatório antigo removido: %s", path.name)
