"""The queue of the dashboard's masked files: workbooks, and rows of tables; each is written once.

Owns the private folder (0700, removed with the server), the order of the waiting exports, the
worker process that stands ready for the next one, and the lifetime of a finished file.
`lib.dashboard.export_worker` writes the file. Knows no screen.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib.config.loader import PREFIX
from lib.dashboard import export_worker, row_export, temp_folders
from lib.dashboard.export_worker import Process, Workbook, Worker
from lib.domain.errors import AggregatorError, ReportError

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.dashboard.row_export import Selection
    from lib.domain.cases import Labels

NOT_PREPARED: Final = (
    "O servidor não conseguiu preparar a exportação ({reason}); confira o espaço na pasta "
    "temporária."
)
NO_THREAD: Final = (
    "O servidor não tem memória ou processos livres para começar a exportação; tente de novo em "
    "instantes."
)
DIED: Final = (
    "A exportação parou antes do fim: tente de novo; se persistir, o registro do servidor diz "
    "o motivo."
)

_AT_ONCE: Final = 2
_SECRET: Final = (PREFIX, "VAULT_", "PG")
_KEPT: Final = 16
_LAST_SECONDS: Final = 5.0
_DELIVERED_SECONDS: Final = 2.0
# Minimum lifetime of a finished file, in which its session must fetch it.
_FETCHED_SECONDS: Final = 180.0


class Export(Worker):
    """One file, unfinished or finished, for all sessions that request it.

    ``unwritten`` writes its rows into a folder and returns the worker's job; it is kept until then,
    and the data set may then be evicted.
    """

    def __init__(self, key: Hashable, spool: Callable[[Path], dict[str, Any]]) -> None:
        super().__init__()
        self.key: Final = key
        self.unwritten: Final = [spool]
        self.future: Future[Workbook] = Future()
        self.ended = 0.0


class Exports:
    """The queue: at most one export a key, two running at once, the others waiting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exports: OrderedDict[Hashable, Export] = OrderedDict()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._folder: Path | None = None
        self._stands_by = False
        self._idle: Process | None = None

    def stand_by(self) -> None:
        """Keep an idle worker process, so that an export need not wait for its modules to load."""
        with self._lock:
            self._stands_by = True
        self._renew_idle()

    def find(self, key: Hashable) -> Export | None:
        """The export of this key, a data set's version or a selection's: unfinished or done."""
        with self._lock:
            return self._exports.get(key)

    def start(
        self,
        dataset: Dataset,
        marks: Mapping[str, str] | None = None,
        labels: Callable[[], Labels | None] = lambda: None,
    ) -> Export:
        """Queue the workbook of this data set, or return the existing export unless it failed.

        A new workbook gets the ``marks`` as properties, and the ``labels`` as columns.
        """
        write = partial(export_worker.spool, dataset.outcome, marks=marks or {}, labels=labels)
        return self._start(dataset.version, write)

    def start_rows(self, selection: Selection) -> Export:
        """Queue the file of these rows; each has its own moment, so none is shared."""
        return self._start(object(), partial(row_export.spool, selection))

    def _start(self, key: Hashable, spool: Callable[[Path], dict[str, Any]]) -> Export:
        with self._lock:
            export = self._exports.get(key)
            if export is not None and not (export.future.done() and export.future.exception()):
                # Waiting exports keep their position.
                if export.future.done():
                    self._exports.move_to_end(key)
                return export
            export = self._exports[key] = Export(key, spool)
            self._exports.move_to_end(key)
            self._forget_old()
        thread = threading.Thread(target=self._run, args=(export,), name="export", daemon=True)
        try:
            thread.start()
            self._threads.add(thread)
        except RuntimeError:
            export.unwritten.clear()
            export.ended = time.monotonic()
            export.future.set_exception(ReportError(NO_THREAD))
        return export

    def place_in_line(self, export: Export) -> int:
        """The position of a queued export, counted from 1; 0 once it has begun."""
        if export.stage != "queued":
            return 0
        with self._lock:
            queued = [e for e in self._exports.values() if e.stage == "queued"]
        waiting = [e for e in queued if not e.future.done()]
        return waiting.index(export) + 1 if export in waiting else 0

    def close(self) -> None:
        """Stop every export and remove every file."""
        with self._lock:
            exports, threads = list(self._exports.values()), list(self._threads)
            for export in exports:
                export.stop()
        for thread in threads:
            thread.join(_LAST_SECONDS)  # it records the failure
        with self._lock:
            self._stands_by = False
            idle, self._idle = self._idle, None
            if self._folder is not None:
                temp_folders.remove(self._folder)
                self._folder = None
        if idle is not None:
            with idle:
                idle.kill()

    def _run(self, export: Export) -> None:
        try:
            try:
                with self._slots:
                    workbook = self._write(export)
            finally:
                export.unwritten.clear()
                export.ended = time.monotonic()
        except AggregatorError as problem:
            # Its frames hold the outcome.
            traceback.clear_frames(problem.__traceback__)
            export.future.set_exception(problem)
        except OSError as problem:
            reason = os.strerror(problem.errno or 0)
            export.future.set_exception(ReportError(NOT_PREPARED, reason=reason))
        except BaseException as problem:
            export.future.set_exception(problem)
            raise
        else:
            export.future.set_result(workbook)

    def _write(self, export: Export) -> Workbook:
        export.stage = "preparing"
        folder = Path(tempfile.mkdtemp(dir=self._private_folder()))
        try:
            job = export.unwritten.pop()(folder)
            workbook = export.run(folder, job, self._take_idle)
            if workbook is None:
                raise ReportError(DIED)
            path = folder.with_suffix(workbook.path.suffix)
            os.replace(workbook.path, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._renew_idle_later()
        return replace(workbook, path=path)

    def _take_idle(self) -> Process:
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is None:
            return _start_process()
        if idle.poll() is None:
            return idle
        with idle:  # killed meanwhile; closes its pipes
            return _start_process()

    def _renew_idle(self) -> None:
        with self._lock, suppress(OSError):  # without one, the next export starts its own
            if self._stands_by and self._idle is None:
                self._idle = _start_process()

    def _renew_idle_later(self) -> None:
        """Start the next idle process once the browser has the file: loading keeps a core busy."""
        timer = threading.Timer(_DELIVERED_SECONDS, self._renew_idle)
        timer.daemon = True
        with suppress(RuntimeError):  # without one, the next export starts its own
            timer.start()

    def _forget_old(self) -> None:
        latest_end = time.monotonic() - _FETCHED_SECONDS
        newest = list(self._exports)[-_KEPT:]
        for key, export in list(self._exports.items()):
            kept = key in newest and isinstance(key, str)  # no session asks for rows again
            if not kept and export.future.done() and export.ended <= latest_end:
                del self._exports[key]
                if not export.future.exception():
                    export.future.result().path.unlink(missing_ok=True)

    def _private_folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                temp_folders.sweep()
                self._folder = temp_folders.make(temp_folders.EXPORTS)
                atexit.register(self.close)
            return self._folder


def _start_process() -> Process:
    # The worker of a spooled outcome needs no configuration, so it gets no password.
    return export_worker.start_process(
        {n: v for n, v in os.environ.items() if not n.upper().startswith(_SECRET)}
    )
