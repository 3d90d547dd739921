"""A run by an engine, from the request to the published result and its workbooks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib.engines import chunked, workbooks

if TYPE_CHECKING:
    from pathlib import Path

    from lib.engines.result import Result
    from lib.pipeline import Progress, Request
    from lib.report import Written
    from lib.settings import Settings


@dataclass(frozen=True)
class Produced:
    """The opened result, its workbooks in the order of their days, and seconds by stage."""

    result: Result
    workbooks: list[Written]
    seconds: dict[str, float] = field(default_factory=dict)


def produce(
    settings: Settings,
    asked: Request,
    kind: str,
    target: Path,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Produced:
    """Run the engine of this kind (`estimate.kind`, but not memory), and write the workbooks.

    The result is in the configured folder, by default the workbook's name without its ending.
    Raises AggregatorError.
    """
    folder = settings.engine.result_dir or target.with_suffix("")
    began = time.perf_counter()
    if kind == "spark":
        # Only who asks for it pays for loading it.
        from lib.engines import spark

        found = spark.run(settings, asked, folder, clear=clear, progress=progress)
    else:
        found = chunked.run(settings, asked, folder, clear=clear, progress=progress)
    matched = time.perf_counter()
    written = workbooks.write(found, target, count=settings.engine.worker_count)
    seconds = {"reconcile": matched - began, "write": time.perf_counter() - matched}
    return Produced(found, written, seconds)
