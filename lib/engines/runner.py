"""A run by an engine, from the request to the published result and its workbooks.

Everything is written aside, and takes its place together once it is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lib.domain import memory
from lib.domain.errors import ExtractionError
from lib.engines import result_files, result_workbooks, result_writer, sizing
from lib.reports import temp_folder
from lib.reports.file_lock import exclusive_lock

if TYPE_CHECKING:
    from pathlib import Path

    from lib.config.settings import Settings
    from lib.domain.outcomes import Finished
    from lib.domain.requests import Progress, Request
    from lib.engines.result_writer import Matching
    from lib.engines.sizing import Kind
    from lib.reports.publish import Written


_NO_MEMORY: Final = (
    "A memória deste computador não basta para os processos de trabalho: diminua workers em "
    "[aggregator.engine], ou dê mais memória à execução."
)


@dataclass(frozen=True)
class Places:
    """Where the workbook and the result go; several workbooks stand beside the one's place."""

    workbook: Path
    result: Path


@dataclass(frozen=True)
class Steps:
    """What is to be done on the way.

    ``learn`` is told the balanced books before anything is written. ``marks`` go into every
    workbook's properties. ``approve`` sees the finished manifest, and ``place`` puts a finished
    workbook from a path where it belongs; what either raises ends the run.
    """

    learn: Callable[[Finished], object] = lambda finished: None
    marks: Mapping[str, str] = field(default_factory=dict)
    approve: Callable[[Written], object] = lambda written: None
    place: Callable[[Path, Written], object] = lambda path, written: path.replace(written.path)


@memory.reraise_shortage(lambda: ExtractionError(_NO_MEMORY))
def rehearse(
    settings: Settings, asked: Request, kind: Kind, *, clear: bool, progress: Progress
) -> Finished:
    """Read, match and balance the books, and write nothing. Raises AggregatorError."""
    began = time.perf_counter()
    with _matched(settings, asked, kind, clear, progress) as found:
        finished = found.finished()
    finished.seconds["reconcile"] = time.perf_counter() - began
    return finished


@memory.reraise_shortage(lambda: ExtractionError(_NO_MEMORY))
def produce(
    settings: Settings,
    asked: Request,
    kind: Kind,
    places: Places,
    steps: Steps | None = None,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> tuple[Finished, tuple[Written, ...]]:
    """Run the engine of this kind (but not memory), and put the result and its workbooks in place.

    Returns the workbooks in the order of their days. Raises AggregatorError; what was there before
    then stays.
    """
    steps = steps or Steps()
    began = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(exclusive_lock(places.result))
        with _matched(settings, asked, kind, clear, progress) as found:
            finished = found.finished()
            finished.seconds["reconcile"] = time.perf_counter() - began
            steps.learn(finished)
            began = time.perf_counter()
            drafted = stack.enter_context(result_writer.sealed(found, places.result, progress))
        # The engine has ended and what it staged is gone before workbooks need room.
        books = result_workbooks.wanted(drafted.sealed, places.workbook)
        aside = stack.enter_context(temp_folder.create(places.workbook))
        written = result_workbooks.write(
            drafted.sealed,
            result_files.SEALED,
            books,
            aside,
            steps.marks,
            settings.engine.worker_count,
        )
        drafted.publish(steps.approve)
        for book in written:
            steps.place(aside / book.path.name, book)
    finished.seconds["write"] = time.perf_counter() - began
    return finished, tuple(written)


@contextmanager
def _matched(
    settings: Settings, asked: Request, kind: Kind, clear: bool, progress: Progress
) -> Iterator[Matching]:
    if kind == sizing.SPARK:
        # Only who asks for it pays for loading it.
        from lib.engines import spark

        matched = spark.matched
    else:
        from lib.engines import chunked

        matched = chunked.matched
    with matched(settings, asked, clear=clear, progress=progress) as found:
        yield found
