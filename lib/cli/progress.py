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
# The stages that end when a stage begins.
_PRECEDING: Final = {"matching": ("transactions", "auth_logs"), "writing": ("matching",)}
_INTERVAL_SECONDS: Final = 5.0


@contextmanager
def display(*, silent: bool = False) -> Iterator[Progress]:
    """Show the stages in the way that suits standard error."""
    if silent:
        yield lambda stage, rows: None
        return
    with _live() if sys.stderr.isatty() else _plain() as show:
        yield show


@contextmanager
def timed(ended: Callable[[str, int, float], object], show: Progress) -> Iterator[Progress]:
    """Call ``ended`` with each stage's rows and seconds as it ends, and pass progress to ``show``.

    Stages still under way end with the block, unless it raises.
    """
    lock = threading.Lock()
    begun: dict[str, float] = {}
    counts: dict[str, int] = {}

    def end(*stages: str) -> None:
        for stage in stages:
            if stage in begun:
                ended(stage, counts[stage], time.monotonic() - begun.pop(stage))

    def update(stage: str, rows: int) -> None:
        with lock:
            end(*_PRECEDING.get(stage, ()))
            if stage not in begun or rows < counts[stage]:  # a retried read starts anew
                begun[stage] = time.monotonic()
            counts[stage] = rows
        show(stage, rows)

    yield update
    end(*begun)


def records(number: int) -> str:
    """A number of records in words."""
    return counted(number, "registro", "registros")


@contextmanager
def _plain() -> Iterator[Progress]:
    """A line with records and seconds when a stage ends, and one every few seconds before."""
    shown_at: dict[str, float] = {}

    def show(stage: str, rows: int) -> None:
        now = time.monotonic()
        if now - shown_at.setdefault(stage, now) >= _INTERVAL_SECONDS:
            shown_at[stage] = now
            sys.stderr.write(f"{STAGES[stage]}: {records(rows)} até agora\n")

    def ended(stage: str, rows: int, seconds: float) -> None:
        duration = f"{seconds:.1f}".replace(".", ",")
        sys.stderr.write(f"{STAGES[stage]}: {records(rows)} em {duration} s\n")

    with timed(ended, show) as update:
        yield update


@contextmanager
def _live() -> Iterator[Progress]:
    """A moving line per stage, drawn by rich."""
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
                bars.update(tasks[stage], total=1, completed=1)

        def show(stage: str, rows: int) -> None:
            with lock:
                if stage not in tasks:
                    finish(*_PRECEDING.get(stage, ()))
                    tasks[stage] = bars.add_task(STAGES[stage], total=None, rows=records(0))
                bars.update(tasks[stage], rows=records(rows))

        yield show
        finish(*tasks)
