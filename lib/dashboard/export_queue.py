"""The dashboard's workbooks: each data set's is written once, by a process of its own.

Owns the private folder (0700, gone with the server), the queue, and what a running export has
reached. A file's name says merchant and period and has a part nobody can guess. Writes no cell
(`lib.dashboard.export_worker` does, through `pipeline.publish`) and knows no screen.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from lib.config.loader import PREFIX
from lib.config.settings import ROOT
from lib.dashboard import export_worker, temp_folders
from lib.domain.errors import AggregatorError, ReportError

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset

_AT_ONCE: Final = 2
_SECRET: Final = (PREFIX, "VAULT_", "PG")
_KEPT: Final = 16
# A file stays this long whatever comes after it: its session has yet to fetch it.
_FETCHED_SECONDS: Final = 180.0
_NOT_PREPARED: Final = (
    "O servidor não conseguiu preparar a exportação ({reason}); confira o espaço na pasta "
    "temporária."
)
_NO_THREAD: Final = (
    "O servidor não tem memória ou processos livres para começar a exportação; tente de novo em "
    "instantes."
)
_DIED: Final = (
    "A exportação parou antes do fim: tente de novo; se persistir, o registro do servidor diz "
    "o motivo."
)


@dataclass(frozen=True)
class Workbook:
    """A finished file in the private folder."""

    path: Path
    size_bytes: int
    sha256: str


class Export:
    """One data set's workbook, under way or finished, whoever asked for it.

    ``stage`` is queued, preparing, or a stage of `requests.Progress` with its rows. What is to be
    written is in ``unwritten`` until the worker has it: the data set may then leave memory.
    """

    def __init__(self, dataset: Dataset, marks: Mapping[str, str]) -> None:
        self.version: Final = dataset.version
        self.unwritten: Final = [dataset.outcome]
        self.marks: Final = marks
        self.future: Future[Workbook] = Future()
        self.stage = "queued"
        self.rows = 0
        self.ended = 0.0


class Exports:
    """At most one export a data set, two running at once, the others waiting in line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exports: OrderedDict[str, Export] = OrderedDict()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._running: set[subprocess.Popen[str]] = set()
        self._folder: Path | None = None

    def find(self, dataset: Dataset) -> Export | None:
        """This data set's export, under way, finished or failed."""
        return self.of_version(dataset.version)

    def of_version(self, version: str) -> Export | None:
        """The export of the data set of this version."""
        with self._lock:
            return self._exports.get(version)

    def start(self, dataset: Dataset, marks: Mapping[str, str] | None = None) -> Export:
        """Begin this data set's export, join it, or find it finished; a failed one starts anew.

        A workbook that begins here has the ``marks`` in its properties.
        """
        with self._lock:
            found = self._exports.get(dataset.version)
            if found is not None and not (found.future.done() and found.future.exception()):
                # The order of those that wait is their place in line.
                if found.future.done():
                    self._exports.move_to_end(dataset.version)
                return found
            export = self._exports[dataset.version] = Export(dataset, marks or {})
            self._exports.move_to_end(dataset.version)
            self._forget_old()
        thread = threading.Thread(target=self._run, args=(export,), name="export", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            export.unwritten.clear()
            export.ended = time.monotonic()
            export.future.set_exception(ReportError(_NO_THREAD))
        return export

    def place(self, export: Export) -> int:
        """How many exports go before this queued one, itself counted; 0 once it has begun."""
        if export.stage != "queued":
            return 0
        with self._lock:
            queued = [e for e in self._exports.values() if e.stage == "queued"]
        waiting = [e for e in queued if not e.future.done()]
        return waiting.index(export) + 1 if export in waiting else 0

    def close(self) -> None:
        """Stop what runs and remove every file."""
        with self._lock:
            for process in self._running:
                process.kill()
            if self._folder is not None:
                temp_folders.remove(self._folder)
                self._folder = None

    def _run(self, export: Export) -> None:
        try:
            try:
                with self._places:
                    workbook = self._write(export)
            finally:
                export.unwritten.clear()
                export.ended = time.monotonic()
        except AggregatorError as problem:
            # Its frames have what was to be written.
            traceback.clear_frames(problem.__traceback__)
            export.future.set_exception(problem)
        except OSError as problem:
            reason = os.strerror(problem.errno or 0)
            export.future.set_exception(ReportError(_NOT_PREPARED, reason=reason))
        except BaseException as problem:
            export.future.set_exception(problem)
            raise
        else:
            export.future.set_result(workbook)

    def _write(self, export: Export) -> Workbook:
        export.stage = "preparing"
        folder = Path(tempfile.mkdtemp(dir=self._private_folder()))
        try:
            export_worker.spool(export.unwritten.pop(), folder, export.marks)
            answer = self._ask(export, folder)
            path = folder.with_suffix(".xlsx")
            os.replace(folder / export_worker.WORKBOOK, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Workbook(path, int(str(answer["size_bytes"])), str(answer["sha256"]))

    def _ask(self, export: Export, folder: Path) -> dict[str, object]:
        """Run the worker over the folder and return what it says last."""
        # It needs no configuration, so it gets no password.
        environment = {n: v for n, v in os.environ.items() if not n.upper().startswith(_SECRET)}
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-m", export_worker.__name__, str(folder)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        with self._lock:
            self._running.add(process)
        try:
            with process:
                answer = _listen(export, process.stdout) if process.stdout else {}
        finally:
            with self._lock:
                self._running.discard(process)
        if "template" in answer:
            values = answer["values"]
            raise ReportError(str(answer["template"]), **values)  # type: ignore[arg-type]
        if process.returncode != export_worker.DONE or "sha256" not in answer:
            raise ReportError(_DIED)
        return answer

    def _forget_old(self) -> None:
        late = time.monotonic() - _FETCHED_SECONDS
        for version, export in list(self._exports.items())[:-_KEPT]:
            if export.future.done() and export.ended <= late:
                del self._exports[version]
                if not export.future.exception():
                    export.future.result().path.unlink(missing_ok=True)

    def _private_folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                temp_folders.sweep()
                self._folder = temp_folders.make(temp_folders.EXPORTS)
                atexit.register(self.close)
            return self._folder


def file_name(dataset: Dataset) -> str:
    """A name for one download: merchant, period, and a part that nobody can guess."""
    asked = dataset.key.request
    period = f"{asked.period.start:%Y%m%d}_{asked.period.end:%Y%m%d}"
    return f"resultado_{asked.merchant}_{period}_{secrets.token_hex(8)}.xlsx"


def _listen(export: Export, lines: IO[str]) -> dict[str, object]:
    message: dict[str, object] = {}
    for line in lines:
        message = json.loads(line)
        if "stage" in message:
            export.stage, export.rows = str(message["stage"]), int(str(message["rows"]))
    return message
