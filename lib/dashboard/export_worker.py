"""The process that writes one workbook for the dashboard: `python -m lib.dashboard.export_worker
FOLDER`.

Reads the job that `lib.dashboard.export_queue` left in the private folder, holds the books
against what the page shows, and publishes. Talks in JSON lines on standard output; loads no
screen code and knows no configuration, no database and no other job.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from lib import pipeline
from lib.analysis import books as summary
from lib.domain import columns as c
from lib.domain.errors import AggregatorError, BalanceError
from lib.domain.outcomes import Outcome
from lib.domain.reconciliation import Period, Reconciliation, Rule
from lib.domain.requests import Request
from lib.security import redaction

JOB: Final = "job.json"
WORKBOOK: Final = "resultado.xlsx"
DONE: Final = 0
FAILED: Final = 2

_TOKENS: Final = (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL, c.TOKEN_CPF)


def spool(outcome: Outcome, folder: Path, marks: Mapping[str, str] | None = None) -> None:
    """Leave a finished outcome and its workbook's ``marks`` in the folder, without the matching
    keys: they stay in memory."""
    result = outcome.reconciliation
    for field in fields(result):
        value = getattr(result, field.name)
        if isinstance(value, pd.DataFrame):
            names = [name for name in value.columns if name not in _TOKENS]
            table = pa.table({name: pa.array(value[name]) for name in names})
            target = folder / f"{field.name}.arrow"
            with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, table.schema) as ipc:
                ipc.write_table(table)
        elif isinstance(value, np.ndarray):
            np.save(folder / f"{field.name}.npy", np.ma.getdata(value))
            if isinstance(value, np.ma.MaskedArray):
                np.save(folder / f"{field.name}.mask.npy", np.ma.getmaskarray(value))
    job = {
        "marks": dict(marks or {}),
        "request": asdict(outcome.request),
        "merchant_name": outcome.merchant_name,
        "clear": outcome.clear,
        "extracted_at": outcome.extracted_at.isoformat(),
        "books": asdict(outcome.books),
    }
    (folder / JOB).write_text(json.dumps(job, default=str), encoding="utf-8")


def unspool(folder: Path) -> Outcome:
    """The outcome that `spool` left, its frames without matching keys.

    Raises BalanceError where it does not have the books that were handed over.
    """
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    asked = job["request"]
    period = Period(**{name: date.fromisoformat(day) for name, day in asked["period"].items()})
    rule = Rule(**asked["rule"] | {"approved_codes": tuple(asked["rule"]["approved_codes"])})
    parts: dict[str, Any] = {"period": period, "rule": rule}
    for field in fields(Reconciliation):
        if field.name not in parts:
            parts[field.name] = _part(folder, field.name)
    result = Reconciliation(**parts)
    books = summary.books(result)
    if json.loads(json.dumps(asdict(books), default=str)) != job["books"]:
        raise BalanceError("A planilha não tem as contas da tela; nada foi exportado.")
    return Outcome(
        request=Request(asked["merchant"], period, rule),
        merchant_name=job["merchant_name"],
        clear=job["clear"],
        extracted_at=datetime.fromisoformat(job["extracted_at"]),
        reconciliation=result,
        books=books,
        by_day=summary.balance_by_day(result),
    )


def main(folder: Path) -> int:
    """Publish the folder's job as its workbook and return the exit code."""
    try:
        marks = json.loads((folder / JOB).read_text(encoding="utf-8"))["marks"]
        written = pipeline.publish(
            unspool(folder), folder / WORKBOOK, progress=_tell_progress, marks=marks
        )
    except AggregatorError as problem:
        values = {name: str(value) for name, value in problem.values.items()}
        _tell({"template": problem.template, "values": values})
        return FAILED
    _tell({"size_bytes": written.size_bytes, "sha256": written.sha256})
    return DONE


def _part(folder: Path, name: str) -> Any:
    frame = folder / f"{name}.arrow"
    if frame.exists():
        with pa.memory_map(str(frame)) as file:
            table = pa.ipc.open_file(file).read_all()
        return pd.DataFrame(
            {n: pd.arrays.ArrowExtensionArray(table.column(n)) for n in table.column_names},
            copy=False,
        )
    values = np.load(folder / f"{name}.npy", mmap_mode="r")
    mask = folder / f"{name}.mask.npy"
    return np.ma.array(values, mask=np.load(mask)) if mask.exists() else values


def _tell_progress(stage: str, rows: int) -> None:
    _tell({"stage": stage, "rows": rows})


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    redaction.install()
    sys.exit(main(Path(sys.argv[1])))
