"""The demonstration's past: yesterday's report and today's in its history, with their cases.

Yesterday's run read the same data without the late logs of the day before it, so that a newcomer
sees new, resolved and open cases at once, one of them with a note. Deterministic for a day and its
data. Writes no workbook.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from lib import pipeline
from lib.config import defaults
from lib.database import copy_reader
from lib.delivery import case_marks, case_queries, case_store, history, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_marks import Mark
from lib.delivery.cases import Judge
from lib.delivery.run_record import RunRecord
from lib.domain import cases
from lib.domain import columns as c
from lib.domain.errors import AggregatorError
from lib.security.audit_events import Actor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from lib.config.settings import Settings
    from lib.database.copy_reader import Extracted
    from lib.domain.outcomes import Outcome
    from lib.domain.requests import Progress, Request, Window

ANALYST: Final = Actor("ana@example.com", "demonstração")
NOTE: Final = "Pedi o extrato desta compra à adquirente; respondem em dois dias."

_LATE: Final = time(21)
_log: Final = logging.getLogger(__name__)


def prepare(settings: Settings, today: date) -> threading.Thread:
    """Record both runs of every merchant, unless today's are there.

    Those of the first merchant are recorded at once, the others' by the thread that is returned.
    """
    first, *others = settings.merchants
    _record_missing(settings, [first], today)
    thread = threading.Thread(target=_record_missing, args=(settings, others, today), daemon=True)
    thread.start()
    return thread


def _record_missing(settings: Settings, merchants: Sequence[str], today: date) -> None:
    """A failure is only logged: the demonstration shows its data without a past."""
    try:
        path = state_file.path_of(settings)
        for merchant in merchants:
            latest = case_queries.latest(path, merchant).at
            if latest is None or latest.astimezone(settings.zone).date() != today:
                _record(settings, merchant, today)
    except AggregatorError as problem:
        _log.warning("%s", problem)


def _record(settings: Settings, merchant: str, today: date) -> None:
    path = state_file.path_of(settings)
    now = datetime.combine(today, datetime.now(settings.zone).timetz())
    earlier = now - timedelta(days=1)
    # The data of another day are others: none of its records comes back.
    case_store.forget(path, merchant)
    yesterday = defaults.request(settings, today - timedelta(days=1), merchant=merchant)
    _run(settings, yesterday, earlier, late=today - timedelta(days=2))
    _note(settings, merchant)
    _run(settings, defaults.request(settings, today, merchant=merchant), now)


def _run(settings: Settings, request: Request, at: datetime, late: date | None = None) -> None:
    """Reconcile as a scheduled run does; the last logs of the day ``late`` have not arrived."""

    def read(settings: Settings, window: Window, progress: Progress) -> tuple[datetime, Extracted]:
        extracted = copy_reader.extract(settings, window, progress=progress)
        return at, extracted if late is None else _without_late(extracted, late)

    record = RunRecord(settings, request, history.SCHEDULED)
    moment = at.astimezone(UTC).replace(tzinfo=None)
    record.begin(False, began_at=moment)
    outcome: Outcome = pipeline.run(settings, request, read=read)
    Judge(settings, request, record.number).judge(outcome)
    record.add_outcome(outcome)
    record.end(history.DONE, ended_at=moment + timedelta(seconds=sum(outcome.seconds.values())))


def _without_late(extracted: Extracted, day: date) -> Extracted:
    logs = extracted.auth_logs
    late = pc.and_kleene(pc.equal(logs[c.DATA], day), pc.greater_equal(logs[c.HORA], _LATE))
    kept = np.flatnonzero(~late.fill_null(False).to_numpy())
    return replace(extracted, auth_logs=logs.take(kept).combine_chunks())


def _note(settings: Settings, merchant: str) -> None:
    """Mark the case with the highest amount, as an analyst would have yesterday."""
    path, query = state_file.path_of(settings), Filter(kinds=(cases.TRANSACTION,))
    found = case_queries.find(path, merchant, query, sort="amount", limit=1).cases
    change = Mark(status=cases.IN_ANALYSIS, owner=ANALYST.name, note=NOTE)
    versions = {case.key: case.version for case in found}
    if versions:
        case_marks.mark(settings, [merchant], ANALYST, merchant, versions, change)
