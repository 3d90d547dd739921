"""Shows a run's progress on standard error: a live line on a terminal, plain lines otherwise.

Takes the pipeline's stages and row counts; never writes to standard output.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

from lib.domain.messages import counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STAGES: Final = {
    "transactions": "Lendo transações",
    "auth_logs": "Lendo logs de autenticação",
    "matching": "Conciliando",
    "writing": "Gravando a planilha",
}
_ENDS: Final = {"matching": ("transactions", "auth_logs"), "writing": ("matching",)}
_EVERY_SECONDS: Final = 5.0


def tell(*, silent: bool = False) -> NoProgress | PlainProgress | LiveProgress:
    """The progress display that suits standard error."""
    if silent:
        return NoProgress()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class NoProgress:
    """Nothing, where the log itself goes to standard error."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, stage: str, rows: int) -> None:
        pass


class PlainProgress:
    """A line when a stage ends, with its records and seconds, and now and then one before."""

    def __enter__(self) -> PlainProgress:
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._rows: dict[str, int] = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end(*self._begun)

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._end(*_ENDS.get(stage, ()))
            self._begun.setdefault(stage, now)
            self._rows[stage] = rows
            if now - self._told.setdefault(stage, now) >= _EVERY_SECONDS:
                self._told[stage] = now
                sys.stderr.write(f"{STAGES[stage]}: {_records(rows)} até agora\n")

    def _end(self, *stages: str) -> None:
        for stage in stages:
            if stage in self._begun:
                seconds = f"{time.monotonic() - self._begun.pop(stage):.1f}".replace(".", ",")
                rows = _records(self._rows[stage])
                sys.stderr.write(f"{STAGES[stage]}: {rows} em {seconds} s\n")


class LiveProgress:
    """One moving line a stage, drawn by rich."""

    def __enter__(self) -> LiveProgress:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish(*self._tasks)
        self._progress.stop()

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            if stage not in self._tasks:
                self._finish(*_ENDS.get(stage, ()))
                self._tasks[stage] = self._progress.add_task(
                    STAGES[stage], total=None, rows=_records(0)
                )
            self._progress.update(self._tasks[stage], rows=_records(rows))

    def _finish(self, *stages: str) -> None:
        for stage in stages:
            self._progress.update(self._tasks[stage], total=1, completed=1)


def _records(number: int) -> str:
    return counted(number, "registro", "registros")
