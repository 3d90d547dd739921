"""Export a workbook with card numbers and CPFs in clear, extracted and written by a worker process.

The dashboard's process never holds a clear record: `lib.dashboard.export_worker` reads the
databases and writes into a private folder. The audit records the export, the person and the reason
before anything is read, and the file's digest before anybody receives the file. The job, with its
passwords, is sent to the worker's standard input, so it is on no disk and in no process list.
Does not check the person's rights.
"""

from __future__ import annotations

import atexit
import hashlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from lib.dashboard import temp_folders
from lib.dashboard.export_worker import Worker
from lib.domain import requests
from lib.domain.errors import AggregatorError, ReportError
from lib.reports.report_file import Written
from lib.security import audit_events, redaction

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request
    from lib.security.audit_events import Actor

SHORTEST_REASON: Final = 10
LONGEST_REASON: Final = 500

NO_REASON: Final = (
    "Uma exportação em claro pede um motivo por escrito, com {least} a {most} caracteres."
)
TOO_MANY: Final = (
    "Já há {most} exportações em claro em curso neste servidor; espere uma delas terminar."
)
DIED: Final = (
    "A exportação em claro parou antes do fim: tente de novo; se persistir, o registro do servidor "
    "diz o motivo."
)
NO_THREAD: Final = (
    "O servidor não tem memória ou processos livres para começar a exportação em claro; tente de "
    "novo em instantes."
)
_AT_ONCE: Final = 2
_OF_SCHEDULED_RUNS: Final = {"copies", "metrics", "notify", "wait"}
_LAST_SECONDS: Final = 5.0


class ClearExport(Worker):
    """One clear export, running or finished; its future holds the workbook's bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.future: Future[bytes] = Future()


_UNDER_WAY: Final[dict[ClearExport, threading.Thread]] = {}
_LOCK: Final = threading.Lock()


def start(settings: Settings, request: Request, actor: Actor, reason: str) -> ClearExport:
    """Start a clear export of the request, with the rows that this person may see.

    The caller has checked the person's rights. Raises ReportError without a reason, or if two
    exports are running. If the audit cannot be written, the export fails before reading.
    """
    export = ClearExport()
    arguments = (export, settings, request, actor, written_reason(reason))
    thread = threading.Thread(target=_run, args=arguments, name="clear-export", daemon=True)
    with _LOCK:
        if len(_UNDER_WAY) >= _AT_ONCE:
            raise ReportError(TOO_MANY, most=_AT_ONCE)
        _UNDER_WAY[export] = thread
    try:
        thread.start()
    except RuntimeError:
        del _UNDER_WAY[export]
        export.future.set_exception(ReportError(NO_THREAD))
    return export


def written_reason(text: str) -> str:
    """Scrub a reason for clear data of card numbers and CPFs; ReportError for a wrong length."""
    reason = " ".join(text.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise ReportError(NO_REASON, least=SHORTEST_REASON, most=LONGEST_REASON)
    return redaction.scrub_typed(reason)


@atexit.register
def stop_all() -> None:
    """Stop every export before the server ends, so that each is recorded as failed."""
    under_way = list(_UNDER_WAY.items())
    for export, _ in under_way:
        export.stop()
    for _, thread in under_way:
        thread.join(_LAST_SECONDS)


def _run(
    export: ClearExport, settings: Settings, request: Request, actor: Actor, reason: str
) -> None:
    try:
        export.future.set_result(_content(export, settings, request, actor, reason))
    except AggregatorError as problem:
        export.future.set_exception(problem)
    except BaseException as problem:
        export.future.set_exception(problem)
        raise
    finally:
        del _UNDER_WAY[export]


def _content(
    export: ClearExport, settings: Settings, request: Request, actor: Actor, reason: str
) -> bytes:
    with audit_events.operation(
        settings, "export", actor, request, clear=True, reason=reason
    ) as operation:
        folder = temp_folders.make(temp_folders.CLEAR)
        try:
            job = {
                "settings": _with_secrets(settings),
                "request": requests.encode(request),
                "user": actor.name if settings.row_level_security else None,
                "marks": operation.marks,
            }
            workbook = export.run(folder, job)
            if workbook is None:
                raise ReportError(DIED)
            content = workbook.path.read_bytes()
            if hashlib.sha256(content).hexdigest() != workbook.sha256:
                raise ReportError(DIED)
            operation.add_rows(workbook.rows)
            operation.approve(Written(workbook.path, {}, workbook.size_bytes, workbook.sha256))
            return content
        finally:
            temp_folders.remove(folder)


def _with_secrets(settings: Settings) -> dict[str, Any]:
    """What an export needs of the table `[aggregator]` as plain values, passwords included."""
    values: dict[str, Any] = settings.model_dump(mode="json", exclude=_OF_SCHEDULED_RUNS)
    for side in requests.SIDES:
        secret = getattr(settings, side).password
        values[side]["password"] = secret and secret.get_secret_value()
    return values
