"""The names of reports: of a new one, and of the older ones that are kept beside it.

Owns what a name is made of, and which older reports go. Writes no report.
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

from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request
    from lib.reports.publish import Written

_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_OF_DAY: Final = rf"(_(?P<day>{_DAY}|sem-data))?"
_ASIDE: Final = "_%Y%m%d-%H%M%S"
_ASIDE_PATTERN: Final = r"(_\d{8}-\d{6})?"
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_UNKNOWN: Final = (
    "O nome do arquivo de saída usa {{{name}}}, que não existe; há {{date}}, {{start}}, {{end}} "
    "e {{merchant}}."
)

_log: Final = logging.getLogger(__name__)


def target(template: Path, asked: Request) -> Path:
    """The file of this request: ``{date}``, ``{start}``, ``{end}`` and ``{merchant}`` filled in.

    Raises ConfigError where the template has others.
    """
    values = _values(asked)

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ConfigError(_UNKNOWN, name=found[1])
        return values[found[1]]

    return Path(_PLACEHOLDER.sub(value, str(template)))


def result_folder(settings: Settings, asked: Request, workbook: Path) -> Path:
    """Where an engine's result goes beside this workbook, if no other folder is configured."""
    if settings.engine.result_dir:
        return target(settings.engine.result_dir, asked)
    return beside(workbook)


def beside(workbook: Path) -> Path:
    """The folder of a result beside this workbook, whose name may lack an ending."""
    return workbook.with_suffix("") if workbook.suffix else workbook.with_suffix(".parquet")


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


def _values(asked: Request) -> dict[str, str]:
    return {
        "date": f"{asked.period.today:%Y-%m-%d}",
        "start": f"{asked.period.start:%Y-%m-%d}",
        "end": f"{asked.period.end:%Y-%m-%d}",
        "merchant": asked.merchant,
    }
