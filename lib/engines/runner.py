"""Run an engine, from the request to the published result and its workbooks.

All files are written under temporary names and replace the previous ones together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lib.domain import memory
from lib.domain.errors import ExtractionError
from lib.engines import result_workbooks, result_writer, sizing
from lib.reports import temp_folder
from lib.reports.file_lock import exclusive_lock

if TYPE_CHECKING:
    from pathlib import Path

    from lib.analysis.case_evidence import Evidence, Watched
    from lib.config.settings import Settings
    from lib.domain.cases import Labels
    from lib.domain.outcomes import Finished
    from lib.domain.requests import Progress, Request
    from lib.engines.parquet_result import Result
    from lib.engines.result_writer import Matching
    from lib.engines.sizing import Kind
    from lib.reports.report_file import Written

NO_MEMORY: Final = (
    "A memória deste computador não basta para os processos de trabalho: diminua workers em "
    "[aggregator.engine], ou dê mais memória à execução."
)


@dataclass(frozen=True)
class Targets:
    """The paths of the workbook and of the result; several workbooks get names beside it."""

    workbook: Path
    result: Path


@dataclass(frozen=True)
class Hooks:
    """Callbacks of a run; an error that one raises ends the run.

    ``learn`` receives the balanced figures before anything is written, ``approve`` the finished
    manifest. ``place`` moves a finished workbook from a path to its target. ``label`` returns
    further columns of the divergences. ``judge`` receives the published result, and the evidence
    about the ``watched`` cases. ``marks`` go into every workbook's properties.
    """

    learn: Callable[[Finished], object] = lambda finished: None
    marks: Mapping[str, str] = field(default_factory=dict)
    approve: Callable[[Written], object] = lambda written: None
    place: Callable[[Path, Written], object] = lambda path, written: path.replace(written.path)
    watched: Watched | None = None
    label: Callable[[Finished, Result], Labels | None] = lambda finished, result: None
    judge: Callable[[Finished, Result, Evidence], object] = lambda finished, result, evidence: None


@memory.reraise_shortage(lambda: ExtractionError(NO_MEMORY))
def rehearse(
    settings: Settings, request: Request, kind: Kind, *, clear: bool, progress: Progress
) -> Finished:
    """Read, match and balance the books without writing anything. Raises AggregatorError."""
    started = time.perf_counter()
    with matched(settings, request, kind, clear=clear, progress=progress) as matching:
        finished = matching.finished()
    finished.seconds["reconcile"] = time.perf_counter() - started
    return finished


@memory.reraise_shortage(lambda: ExtractionError(NO_MEMORY))
def produce(
    settings: Settings,
    request: Request,
    kind: Kind,
    targets: Targets,
    hooks: Hooks | None = None,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> tuple[Finished, tuple[Written, ...]]:
    """Run the engine of this kind (not memory), and publish the result and its workbooks.

    Returns the workbooks in the order of their days. Raises AggregatorError; the previous files
    then stay.
    """
    hooks = hooks or Hooks()
    started = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(exclusive_lock(targets.result))
        with matched(
            settings, request, kind, clear=clear, progress=progress, watched=hooks.watched
        ) as matching:
            finished = matching.finished()
            evidence = matching.evidence
            finished.seconds["reconcile"] = time.perf_counter() - started
            hooks.learn(finished)
            started = time.perf_counter()
            draft = stack.enter_context(result_writer.sealed(matching, targets.result, progress))
        # The engine ends here: its staged files are removed before workbooks need the space.
        books = result_workbooks.planned(draft.sealed, targets.workbook)
        aside = stack.enter_context(temp_folder.create(targets.workbook))
        written = result_workbooks.write(
            draft.sealed,
            result_writer.SEALED,
            books,
            aside,
            hooks.marks,
            hooks.label(finished, draft.sealed),
            settings.engine.worker_count,
        )
        hooks.approve(draft.manifest)
        for book in written:
            hooks.place(aside / book.path.name, book)
        # Last: a result without its workbooks is unpublished, and the next run removes it.
        draft.publish()
        hooks.judge(finished, draft.sealed, evidence)
    finished.seconds["write"] = time.perf_counter() - started
    return finished, tuple(written)


@contextmanager
def matched(
    settings: Settings,
    request: Request,
    kind: Kind,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
    watched: Watched | None = None,
) -> Iterator[Matching]:
    """The matching of the engine of this kind, which is open until the block ends."""
    if kind == sizing.SPARK:
        # Imported here: pyspark is optional and slow to load.
        from lib.engines import spark

        engine = spark.matched
    else:
        from lib.engines import chunked

        engine = chunked.matched
    with engine(settings, request, clear=clear, progress=progress, watched=watched) as matching:
        yield matching
