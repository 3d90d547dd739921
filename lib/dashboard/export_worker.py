"""The worker process that writes one workbook for the dashboard, and the server's side of it.

The server starts `python -m lib.dashboard.export_worker` and writes one job, a JSON line that names
the folder, to its standard input. Until then the worker is idle, with its modules loaded. The input
stays open until the server ends; the worker then removes the folder and exits. The worker writes
JSON lines to standard output: stages with their rows, then the finished file or the failure. A job
is an outcome that the server spooled into the folder without matching keys, rows of a table that it
spooled, or a request that the worker extracts itself. Loads no screen code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa

from lib import pipeline
from lib.analysis import books
from lib.config import loader
from lib.config.settings import ROOT
from lib.dashboard import row_export
from lib.delivery import cases
from lib.domain import columns as c
from lib.domain import pandas_lookup, requests
from lib.domain.cases import Labels
from lib.domain.errors import AggregatorError, BalanceError, ReportError
from lib.domain.outcomes import Outcome
from lib.domain.reconciliation import Reconciliation
from lib.security import audit_events, redaction

OTHER_BOOKS: Final = "A planilha não tem as contas da tela; nada foi exportado."

_WORKBOOK: Final = "resultado.xlsx"
_DONE: Final = 0
_FAILED: Final = 2
_STDIN: Final = 0

Process: TypeAlias = "subprocess.Popen[str]"


@dataclass(frozen=True)
class Workbook:
    """A finished file; ``rows`` are the counts for the audit."""

    path: Path
    size_bytes: int
    sha256: str
    rows: dict[str, int]


def start_process(environment: Mapping[str, str] = os.environ) -> Process:
    """Start a process that loads its modules and waits for a job."""
    return subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


class Worker:
    """The worker process of one export, as the server sees it.

    ``stage`` is queued, preparing, or a stage of `requests.Progress` with its ``rows``.
    """

    def __init__(self) -> None:
        self.stage = "queued"
        self.rows = 0
        self._process: Process | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def run(
        self, folder: Path, job: Mapping[str, Any], begin: Callable[[], Process] | None = None
    ) -> Workbook | None:
        """Run the job in the folder; None if the process ended without a result.

        ``begin`` returns an idle process, by default a new one. Raises ReportError with the
        worker's own failure.
        """
        process = (begin or start_process)()
        self._attach(process)
        result: dict[str, Any] = {}
        with suppress(BrokenPipeError), process:  # the worker may end before it reads its job
            try:
                if process.stdin and process.stdout:
                    process.stdin.write(json.dumps({"folder": str(folder), **job}) + "\n")
                    process.stdin.flush()
                    result = self._listen(process.stdout)
            except BaseException:
                process.kill()
                raise
        if "template" in result:
            raise ReportError(result["template"], **result["values"])
        if process.returncode != _DONE or "sha256" not in result:
            return None
        return Workbook(folder / str(result.pop("name")), **result)

    def stop(self) -> None:
        """Kill the process; if it has not started, kill it as soon as it does."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _attach(self, process: Process) -> None:
        with self._lock:
            self._process = process
            if self._stopped:
                process.kill()

    def _listen(self, lines: IO[str]) -> dict[str, Any]:
        """Read the messages, store the stages, and return the last message."""
        message: dict[str, Any] = {}
        for line in lines:
            message = json.loads(line)
            if "stage" in message:
                self.stage, self.rows = str(message["stage"]), int(message["rows"])
        return message


def spool(
    outcome: Outcome,
    folder: Path,
    marks: Mapping[str, str],
    labels: Callable[[], Labels | None] = lambda: None,
) -> dict[str, Any]:
    """Write the outcome's rows into the folder, without the matching keys, and return the job.

    The workbook gets the ``marks`` in its properties, and the ``labels`` as columns.
    """
    shown = labels()
    result = outcome.reconciliation
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, pa.Table):
            table = value.select([name for name in value.column_names if name not in c.TOKENS])
            target = folder / f"{field.name}.arrow"
            with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, table.schema) as ipc:
                ipc.write_table(table)
        elif isinstance(value, np.ndarray):
            np.save(folder / f"{field.name}.npy", np.ma.getdata(value))
            if isinstance(value, np.ma.MaskedArray):
                np.save(folder / f"{field.name}.mask.npy", np.ma.getmaskarray(value))
    return {
        "marks": dict(marks),
        "labels": shown and shown.encode(),
        "request": requests.encode(outcome.request),
        "merchant_name": outcome.merchant_name,
        "clear": outcome.clear,
        "extracted_at": outcome.extracted_at.isoformat(),
        "books": _plain_books(outcome),
    }


def unspool(folder: Path, job: Mapping[str, Any]) -> Outcome:
    """Read the outcome that `spool` wrote; its tables have no matching keys.

    Raises BalanceError if its books differ from those of the job.
    """
    request = requests.decode(job["request"])
    parts: dict[str, Any] = {"period": request.period, "rule": request.rule}
    for field in fields(Reconciliation):
        if field.name not in parts:
            parts[field.name] = _part(folder, field.name)
    result = Reconciliation(**parts)
    outcome = Outcome(
        request=request,
        merchant_name=job["merchant_name"],
        clear=job["clear"],
        extracted_at=datetime.fromisoformat(job["extracted_at"]),
        reconciliation=result,
        books=books.books(result),
        by_day=books.balance_by_day(result),
    )
    if _plain_books(outcome) != job["books"]:
        raise BalanceError(OTHER_BOOKS)
    return outcome


def main(folder: Path, job: Mapping[str, Any]) -> int:
    """Write the job's file into the folder and return the exit code."""
    try:
        _answer(_selected_rows(folder, job) if "kind" in job else _workbook(folder, job))
    except AggregatorError as problem:
        _answer(_failure(problem.template, problem.values))
        return _FAILED
    return _DONE


def _workbook(folder: Path, job: Mapping[str, Any]) -> dict[str, object]:
    """Publish the workbook of an outcome and describe it."""
    outcome = _extract(job) if "settings" in job else unspool(folder, job)
    target = folder / _WORKBOOK
    written = pipeline.publish(
        outcome,
        target,
        progress=_report_stage,
        marks=job["marks"],
        labels=_labels(job, outcome),
    )
    rows = audit_events.row_counts(outcome)
    return _finished(target, written.size_bytes, written.sha256, rows)


def _selected_rows(folder: Path, job: Mapping[str, Any]) -> dict[str, object]:
    """Write the file of a reader's rows and describe it."""
    path, rows = row_export.write(folder, job)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _finished(path, path.stat().st_size, digest, {"selected": rows})


def _finished(path: Path, size: int, digest: str, rows: Mapping[str, int]) -> dict[str, object]:
    return {"name": path.name, "size_bytes": size, "sha256": digest, "rows": dict(rows)}


def _extract(job: Mapping[str, Any]) -> Outcome:
    """Read the request's records in clear, as far as the job's user may see them."""
    settings = loader.from_values(job["settings"], "painel", {})
    request = requests.decode(job["request"])
    return pipeline.run(settings, request, clear=True, user=job["user"], progress=_report_stage)


def _labels(job: Mapping[str, Any], outcome: Outcome) -> Labels | None:
    """The labels that the server spooled, or those that this worker finds in the state file."""
    if "settings" in job:
        settings = loader.from_values(job["settings"], "painel", {})
        return cases.labels_of_export(settings, outcome)
    if job["labels"] is None:
        return None
    return Labels.decode(outcome.request.merchant, job["labels"])


def _plain_books(outcome: Outcome) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(outcome.books), default=str))
    return plain


def _part(folder: Path, name: str) -> Any:
    table = folder / f"{name}.arrow"
    if table.exists():
        with pa.memory_map(str(table)) as file:
            return pa.ipc.open_file(file).read_all()
    values = np.load(folder / f"{name}.npy", mmap_mode="r")
    mask = folder / f"{name}.mask.npy"
    return np.ma.array(values, mask=np.load(mask)) if mask.exists() else values


def _failure(template: str, values: Mapping[str, object]) -> dict[str, object]:
    """Encode a failure as template and values, so that the page can translate it."""
    texts = {name: str(value) for name, value in values.items()}
    try:
        template.format(**texts)
    except ValueError:  # a format such as {start:%d/%m} needs the value itself
        template, texts = "{sentence}", {"sentence": template.format(**values)}
    return {"template": template, "values": texts}


def _report_stage(stage: str, rows: int) -> None:
    _answer({"stage": stage, "rows": rows})


def _answer(message: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _exit_with_the_server(folder: Path) -> None:
    """Wait until the server ends, for whatever reason, then remove the folder and exit."""
    # Not sys.stdin: a thread blocked in it prevents the interpreter from exiting.
    while os.read(_STDIN, 1):
        pass
    _abandon(folder)


def _abandon(folder: Path) -> NoReturn:
    """Remove the folder and exit at once."""
    for _ in range(10):  # the other thread may be writing one more file into it
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(_FAILED)


def _run_as_worker() -> None:
    redaction.install()
    pandas_lookup.disable()
    line = sys.stdin.readline()
    if not line:
        return  # the server ended without a job
    job = json.loads(line)
    folder = Path(job["folder"])
    threading.Thread(target=_exit_with_the_server, args=(folder,), daemon=True).start()
    try:
        code = main(folder, job)
    except BrokenPipeError:
        _abandon(folder)
    # The server waits for the end, and the libraries take their time to free their memory.
    os._exit(code)


if __name__ == "__main__":
    _run_as_worker()
