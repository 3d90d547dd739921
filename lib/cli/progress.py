"""Progress of a run on standard error: a live line on a terminal, plain lines otherwise.

Receives the pipeline's stages and row counts. Never writes to standard output.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lib.domain.messages import counted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from lib.domain.requests import Progress

STAGES: Final = {
    "transactions": "Lendo transações",
    "auth_logs": "Lendo logs de autenticação",
    "matching": "Conciliando",
    "writing": "Gravando a planilha",
}
# By stage, the stages that end when it begins.
_PRECEDING: Final = {"matching": ("transactions", "auth_logs"), "writing": ("matching",)}
_INTERVAL_SECONDS: Final = 5.0


@contextmanager
def display(*, silent: bool = False) -> Iterator[Progress]:
    """Show the stages as live lines on a terminal, else as plain lines."""
    if silent:
        yield lambda stage, rows: None
        return
    with _live() if sys.stderr.isatty() else _plain() as show:
        yield show


@contextmanager
def timed(on_end: Callable[[str, int, float], object], show: Progress) -> Iterator[Progress]:
    """Call ``on_end`` with rows and seconds when a stage ends, and pass progress to ``show``.

    The remaining stages end with the block, unless it raises.
    """
    lock = threading.Lock()
    started_at: dict[str, float] = {}
    counts: dict[str, int] = {}

    def end(*stages: str) -> None:
        for stage in stages:
            if stage in started_at:
                on_end(stage, counts[stage], time.monotonic() - started_at.pop(stage))

    def update(stage: str, rows: int) -> None:
        with lock:
            end(*_PRECEDING.get(stage, ()))
            if stage not in started_at or rows < counts[stage]:  # a retry counts from 0 again
                started_at[stage] = time.monotonic()
            counts[stage] = rows
        show(stage, rows)

    yield update
    end(*started_at)


def records(number: int) -> str:
    """Format a number of records."""
    return counted(number, "registro", "registros")


@contextmanager
def _plain() -> Iterator[Progress]:
    """Write a line when a stage ends, and one every few seconds before."""
    shown_at: dict[str, float] = {}

    def show(stage: str, rows: int) -> None:
        now = time.monotonic()
        if now - shown_at.setdefault(stage, now) >= _INTERVAL_SECONDS:
            shown_at[stage] = now
            sys.stderr.write(f"{STAGES[stage]}: {records(rows)} até agora\n")

    def write_total(stage: str, rows: int, seconds: float) -> None:
        duration = f"{seconds:.1f}".replace(".", ",")
        sys.stderr.write(f"{STAGES[stage]}: {records(rows)} em {duration} s\n")

    with timed(write_total, show) as update:
        yield update


@contextmanager
def _live() -> Iterator[Progress]:
    """Draw a live line per stage with rich."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    tasks: dict[str, TaskID] = {}
    lock = threading.Lock()
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
    )

    with Bars(*columns, console=Console(stderr=True)) as bars:

        def finish(*stages: str) -> None:
            for stage in stages:
                if stage in tasks:  # a resumed run has already read both sides
                    bars.update(tasks[stage], total=1, completed=1)

        def show(stage: str, rows: int) -> None:
            with lock:
                if stage not in tasks:
                    finish(*_PRECEDING.get(stage, ()))
                    tasks[stage] = bars.add_task(STAGES[stage], total=None, rows=records(0))
                bars.update(tasks[stage], rows=records(rows))

        yield show
        finish(*tasks)
