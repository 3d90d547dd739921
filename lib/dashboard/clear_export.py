"""A workbook with card numbers and CPFs in clear: extracted and written by a process of its own.

The dashboard's process never holds a clear record: the worker reads the databases, writes into a
private folder and ends; where the dashboard is gone, the worker removes the folder. The audit has
the export, its person and its reason before anything is read, and the file's digest before
anybody gets it. `python -m lib.dashboard.clear_export FOLDER` is the worker; its job, passwords
among it, comes over standard input and is on no disk and no list.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from lib import pipeline
from lib.config import loader
from lib.config.settings import ROOT
from lib.dashboard import export_worker, temp_folders
from lib.domain.errors import AggregatorError, ReportError
from lib.domain.reconciliation import Period, Rule
from lib.domain.requests import Request
from lib.reports.publish import Written
from lib.security import audit_events, redaction

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.security.audit_events import Actor

SHORTEST_REASON: Final = 10
LONGEST_REASON: Final = 500

_NO_REASON: Final = (
    "Uma exportação em claro pede um motivo por escrito, com {least} a {most} caracteres."
)
_ENOUGH: Final = (
    "Já há {most} exportações em claro em curso neste servidor; espere uma delas terminar."
)
_DIED: Final = (
    "A exportação em claro parou antes do fim: tente de novo; se persistir, o registro do servidor "
    "diz o motivo."
)
_NO_THREAD: Final = (
    "O servidor não tem memória ou processos livres para começar a exportação em claro; tente de "
    "novo em instantes."
)
_AT_ONCE: Final = 2
_LAST_SECONDS: Final = 5.0
_STDIN: Final = 0


class ClearExport:
    """One clear export under way or finished; its future is the workbook's bytes."""

    def __init__(self) -> None:
        self.future: Future[bytes] = Future()
        self.stage = "queued"
        self.rows = 0
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[str] | None = None
        self._stopped = False

    def took(self, worker: subprocess.Popen[str]) -> None:
        """This process does it."""
        with self._lock:
            self._worker = worker
            if self._stopped:
                worker.kill()

    def stop(self) -> None:
        """Have no worker go on."""
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                self._worker.kill()


_UNDER_WAY: Final[dict[ClearExport, threading.Thread]] = {}
_PLACES: Final = threading.Lock()


def start(settings: Settings, asked: Request, actor: Actor, reason: str) -> ClearExport:
    """Begin a clear export of what was asked, as this person's rows.

    Whether the person may is the caller's to know. Raises ReportError without a reason, or where
    two are under way; an audit that cannot be written fails the export before anything is read.
    """
    reason = " ".join(reason.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise ReportError(_NO_REASON, least=SHORTEST_REASON, most=LONGEST_REASON)
    export = ClearExport()
    arguments = (export, settings, asked, actor, redaction.scrub(reason))
    thread = threading.Thread(target=_run, args=arguments, name="clear-export", daemon=True)
    with _PLACES:
        if len(_UNDER_WAY) >= _AT_ONCE:
            raise ReportError(_ENOUGH, most=_AT_ONCE)
        _UNDER_WAY[export] = thread
    try:
        thread.start()
    except RuntimeError:
        del _UNDER_WAY[export]
        export.future.set_exception(ReportError(_NO_THREAD))
    return export


@atexit.register
def _stop_all() -> None:
    """Have nothing in clear left by a server that ends, and its exports recorded as failed."""
    under_way = list(_UNDER_WAY.items())
    for export, _ in under_way:
        export.stop()
    for _, thread in under_way:
        thread.join(_LAST_SECONDS)


def _run(
    export: ClearExport, settings: Settings, asked: Request, actor: Actor, reason: str
) -> None:
    try:
        export.future.set_result(_exported(export, settings, asked, actor, reason))
    except AggregatorError as problem:
        export.future.set_exception(problem)
    except BaseException as problem:
        export.future.set_exception(problem)
        raise
    finally:
        del _UNDER_WAY[export]


def _exported(
    export: ClearExport, settings: Settings, asked: Request, actor: Actor, reason: str
) -> bytes:
    with audit_events.operation(
        settings, "export", actor, asked, clear=True, reason=reason
    ) as operation:
        folder = temp_folders.make(temp_folders.CLEAR)
        try:
            job = {
                "settings": _values(settings),
                "request": asdict(asked),
                "user": actor.name if settings.row_level_security else None,
                "marks": operation.marks,
            }
            answer = _ask(export, folder, json.dumps(job, default=str))
            path = folder / export_worker.WORKBOOK
            operation.add_rows(answer["rows"])
            operation.approve(Written(path, {}, int(answer["size_bytes"]), str(answer["sha256"])))
            return path.read_bytes()
        finally:
            temp_folders.remove(folder)


def _values(settings: Settings) -> dict[str, Any]:
    """What `[aggregator]` holds, its secrets with it."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    for side in ("transactions", "auth_logs"):
        secret = getattr(settings, side).password
        values[side]["password"] = secret and secret.get_secret_value()
    return values


def _ask(export: ClearExport, folder: Path, job: str) -> dict[str, Any]:
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", __name__, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    export.took(process)
    with process:
        if process.stdin is None or process.stdout is None:
            raise ReportError(_DIED)
        try:
            # Left open: its end is how the worker learns that this process is gone.
            process.stdin.write(f"{job}\n")
            process.stdin.flush()
            answer = _listen(export, process.stdout)
        except BaseException:
            process.kill()
            raise
    if "template" in answer:
        raise ReportError(answer["template"], **answer["values"])
    if process.returncode != export_worker.DONE or "sha256" not in answer:
        raise ReportError(_DIED)
    return answer


def _listen(export: ClearExport, lines: IO[str]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for line in lines:
        message = json.loads(line)
        if "stage" in message:
            export.stage, export.rows = str(message["stage"]), int(message["rows"])
    return message


def main(folder: Path, job: dict[str, Any]) -> int:
    """Extract and publish the job's workbook in the folder and return the exit code."""
    try:
        settings = loader.from_values(job["settings"], "painel", {})
        period = {name: date.fromisoformat(day) for name, day in job["request"]["period"].items()}
        rule = job["request"]["rule"]
        codes = tuple(rule["approved_codes"])
        asked = Request(
            job["request"]["merchant"], Period(**period), Rule(**rule | {"approved_codes": codes})
        )
        outcome = pipeline.run(settings, asked, clear=True, user=job["user"], progress=_progress)
        target = folder / export_worker.WORKBOOK
        written = pipeline.publish(outcome, target, progress=_progress, marks=job["marks"])
    except AggregatorError as problem:
        values = {name: str(value) for name, value in problem.values.items()}
        # Formats such as {start:%d/%m} want the values themselves; the sentence is made here.
        _tell({"template": "{sentence}", "values": {"sentence": str(problem)}, "said": values})
        return export_worker.FAILED
    rows = audit_events.row_counts(outcome)
    _tell({"size_bytes": written.size_bytes, "sha256": written.sha256, "rows": rows})
    return export_worker.DONE


def _progress(stage: str, rows: int) -> None:
    _tell({"stage": stage, "rows": rows})


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_the_parent(folder: Path) -> None:
    """Wait for the end of who asked for it, however that ends."""
    # Not sys.stdin: a thread that waits in there keeps the interpreter from ending.
    while os.read(_STDIN, 1):
        pass
    _leave(folder)


def _leave(folder: Path) -> NoReturn:
    """End at once and leave nothing behind."""
    for _ in range(10):  # the other thread may be writing one more file into it
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(export_worker.FAILED)


if __name__ == "__main__":
    redaction.install()
    place, told = Path(sys.argv[1]), json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, args=(place,), daemon=True).start()
    try:
        sys.exit(main(place, told))
    except BrokenPipeError:
        _leave(place)
