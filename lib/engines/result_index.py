"""List the results in the configured folder, or beside the configured workbook.

Searches for manifests only; `lib.engines.parquet_result` reads them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.domain import file_system
from lib.reports import retention

if TYPE_CHECKING:
    from lib.config.settings import Settings

MANIFEST: Final = "manifest.json"
MOST: Final = 100
_PLACEHOLDER: Final = re.compile(r"\{\w*\}")


def folders(settings: Settings) -> list[Path]:
    """The folders of complete results, newest first, at most `MOST`.

    Results of runs with another ``--output`` are not included.
    """
    template = settings.engine.result_dir or retention.default_result_folder(settings.output_path)
    root, *parts = template.parts
    pattern = "/".join(_PLACEHOLDER.sub("*", _literal(part)) for part in (*parts, MANIFEST))
    newest = sorted(Path(root).glob(pattern), key=file_system.modified, reverse=True)
    return [path.parent for path in newest[:MOST]]


def _literal(part: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", part)
