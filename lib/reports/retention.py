"""Names of reports, and the removal of older reports.

Owns the placeholders of a name, and which older reports are kept. Writes no report.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from lib.domain import file_system
from lib.domain.errors import ConfigError
from lib.domain.messages import Notice

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request
    from lib.reports.report_file import Written

_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_DAY_SUFFIX: Final = rf"(_(?P<day>{_DAY}|sem-data))?"
_MOMENT_FORMAT: Final = "_%Y%m%d-%H%M%S"
_MOMENT_SUFFIX: Final = r"(_\d{8}-\d{6})?"
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
UNKNOWN_PLACEHOLDER: Final = (
    "O nome do arquivo de saída usa {{{name}}}, que não existe; há {{date}}, {{start}}, {{end}} "
    "e {{merchant}}."
)
NOT_KEPT: Final = (
    "O relatório anterior em {path} não pôde ser guardado com outro nome: confira o espaço em "
    "disco e a permissão da pasta."
)
NOT_REMOVED: Final = (
    "Um relatório antigo não pôde ser removido em {path}: confira a permissão da conta nessa pasta."
)

_log: Final = logging.getLogger(__name__)


def target(template: Path, request: Request) -> Path:
    """Fill in ``{date}``, ``{start}``, ``{end}`` and ``{merchant}``.

    Raises ConfigError where the template has other placeholders.
    """
    period = request.period
    values = {
        "date": f"{period.today:%Y-%m-%d}",
        "start": f"{period.start:%Y-%m-%d}",
        "end": f"{period.end:%Y-%m-%d}",
        "merchant": request.merchant,
    }

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ConfigError(UNKNOWN_PLACEHOLDER, name=match[1])
        return values[match[1]]

    return Path(_PLACEHOLDER.sub(value, str(template)))


def result_folder(settings: Settings, request: Request, workbook: Path) -> Path:
    """Return the configured folder of an engine's result, or the default one."""
    if settings.engine.result_dir:
        return target(settings.engine.result_dir, request)
    return default_result_folder(workbook)


def default_result_folder(workbook: Path) -> Path:
    """Return the folder of a result beside this workbook, whose name may lack a suffix."""
    return workbook.with_suffix("") if workbook.suffix else workbook.with_suffix(".parquet")


def keep_previous(path: Path) -> Path | None:
    """Link the report at this path to a second name that contains its time of writing.

    Returns the second path, or None if there is no report. One that cannot be kept is a warning:
    the new report matters more.
    """
    try:
        copy = path.with_name(older_name(path.name, path.stat().st_mtime))
        if not file_system.exists(copy):
            try:
                os.link(path, copy)
            except OSError:  # a file system without links
                _copy(path, copy)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, OverflowError):  # the moment may be out of range
        _log.warning("%s", Notice(NOT_KEPT, {"path": path}))
        return None
    return copy


def older_name(name: str, modified: float) -> str:
    """The name under which a report of that moment is kept. Raises ValueError or OverflowError."""
    path, written = PurePath(name), datetime.fromtimestamp(modified).astimezone()
    return f"{path.stem}{written:{_MOMENT_FORMAT}}{path.suffix}"


def outdated(
    template: Path, current: Collection[str], merchant: str, keep: int, files: Mapping[str, float]
) -> list[str]:
    """The names of this merchant's reports, but for the current ones and the newest ``keep``.

    ``files`` are the moments of modification by name. Workbooks of single days are counted
    separately for each day.
    """
    name = re.escape(template.stem)
    for placeholder in ("date", "start", "end"):
        name = name.replace(re.escape(f"{{{placeholder}}}"), _DAY)
    name = name.replace(re.escape("{merchant}"), re.escape(merchant))
    pattern = re.compile(name + _DAY_SUFFIX + _MOMENT_SUFFIX + re.escape(template.suffix))
    older: dict[str | None, list[str]] = defaultdict(list)
    for file in files:
        match = pattern.fullmatch(file)
        if match and file not in current:
            older[match["day"]].append(file)
    return [
        name
        for names in older.values()
        for name in sorted(names, key=lambda name: (files[name], name), reverse=True)[keep:]
    ]


def remove_old(template: Path, written: Sequence[Written], merchant: str, keep: int) -> None:
    """Remove this merchant's reports except those just written and the newest ``keep`` others."""
    folder = written[0].path.parent
    files: dict[str, float] = {}
    try:
        files = {
            path.name: file_system.modified(path) for path in folder.iterdir() if path.is_file()
        }
    except OSError:
        _log.warning("%s", Notice(NOT_REMOVED, {"path": folder}))
    for name in outdated(template, {book.path.name for book in written}, merchant, keep, files):
        try:
            (folder / name).unlink()
        except FileNotFoundError:  # removed by someone else
            continue
        except OSError:
            _log.warning("%s", Notice(NOT_REMOVED, {"path": folder / name}))
        else:
            _log.info("relatório antigo removido: %s", name)


def _copy(path: Path, copy: Path) -> None:
    """Copy the report whole or not at all, with its mode and moment where they can be set."""
    try:
        copy.touch(mode=0o600)
        shutil.copyfile(path, copy)
    except OSError:
        with suppress(OSError):
            copy.unlink()
        raise
    with suppress(OSError):
        shutil.copystat(path, copy)
