"""Progress of a run on standard error: a live line on a terminal, plain lines otherwise.

Receives the pipeline's stages and row counts. Never writes to standard output.
"""

from __future__ import annotations

import sys
import threading
import time
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
PRECEDING: Final = {"matching": ("transactions", "auth_logs"), "writing": ("matching",)}
"""The stages that end when a stage begins."""

_INTERVAL_SECONDS: Final = 5.0


def display(*, silent: bool = False) -> NoProgress | PlainProgress | LiveProgress:
    """Choose the display that suits standard error."""
    if silent:
        return NoProgress()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class NoProgress:
    """No display, for a log that goes to standard error itself."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, stage: str, rows: int) -> None:
        pass


class PlainProgress:
    """A line with records and seconds when a stage ends, and one every few seconds before."""

    def __enter__(self) -> PlainProgress:
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._shown_at: dict[str, float] = {}
        self._rows: dict[str, int] = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end(*self._begun)

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._end(*PRECEDING.get(stage, ()))
            self._begun.setdefault(stage, now)
            self._rows[stage] = rows
            if now - self._shown_at.setdefault(stage, now) >= _INTERVAL_SECONDS:
                self._shown_at[stage] = now
                sys.stderr.write(f"{STAGES[stage]}: {_records(rows)} até agora\n")

    def _end(self, *stages: str) -> None:
        for stage in stages:
            if stage in self._begun:
                seconds = f"{time.monotonic() - self._begun.pop(stage):.1f}".replace(".", ",")
                rows = _records(self._rows[stage])
                sys.stderr.write(f"{STAGES[stage]}: {rows} em {seconds} s\n")


class LiveProgress:
    """A moving line per stage, drawn by rich."""

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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish(*self._tasks)
        self._progress.stop()

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            if stage not in self._tasks:
                self._finish(*PRECEDING.get(stage, ()))
                self._tasks[stage] = self._progress.add_task(
                    STAGES[stage], total=None, rows=_records(0)
                )
            self._progress.update(self._tasks[stage], rows=_records(rows))

    def _finish(self, *stages: str) -> None:
        for stage in stages:
            self._progress.update(self._tasks[stage], total=1, completed=1)


def _records(number: int) -> str:
    return counted(number, "registro", "registros")
