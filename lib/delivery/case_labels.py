"""Stored cases of the records of one run: their labels in a report, and those a reader may see.

Only reads the state file.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from lib.analysis import case_evidence
from lib.delivery import case_store, state_file
from lib.domain import cases
from lib.domain.cases import Label, Labels

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from lib.delivery.case_store import Judging
    from lib.domain.cases import Cases
    from lib.domain.outcomes import Outcome


def of_cases(
    path: Path, merchant: str, found: Cases, zone: ZoneInfo, judging: Judging | None
) -> Labels:
    """The labels of these cases as they will be after the judging run, or as they are without one.

    Raises HistoryError.
    """
    rows: dict[int, Any] = {}
    latest, days = 0, set(judging.days if judging else ())
    with state_file.reading_cases(path) as connection:
        if connection is not None:
            if judging is not None:
                days = case_store.judged(connection, judging)
            else:
                latest = connection.exec_driver_sql(
                    "SELECT max(id) FROM judgements WHERE merchant = ?", (merchant,)
                ).scalar_one()
            rows = {
                row.key: row
                for row in connection.exec_driver_sql(
                    "SELECT key, state, opened_by, first_seen, status, owner FROM cases"
                    " WHERE key IN (SELECT value FROM json_each(?))",
                    (json.dumps(found.keys.tolist()),),
                )
            }
    by_key = {}
    for key, day in zip(found.keys.tolist(), found.table[cases.DAY].to_pylist(), strict=True):
        judged = judging if day is None or day in days else None
        if label := _label(rows.get(key), judged, latest, zone):
            by_key[key] = label
    return Labels(merchant, by_key)


def visible(path: Path, outcome: Outcome) -> frozenset[str]:
    """The cases, in any state, of records that this run read, on days of its period.

    Under row-level security a reader's own run has the records that they may see. Of identical
    ones the lowest ordinals are seen. Raises HistoryError.
    """
    result, merchant = outcome.reconciliation, outcome.request.merchant
    period = result.period
    keys, bases, ordinals, moments = case_store.on_days(path, merchant, period.start, period.end)
    asked = case_evidence.Watched(np.unique(bases), np.unique(moments))
    evidence = case_evidence.evidence(result, merchant, asked, clear=outcome.clear)
    found = case_evidence.found(result, merchant, clear=outcome.clear)
    read = Counter([*evidence.paired, *evidence.idle, *cases.bases(merchant, found).tolist()])
    rows = zip(keys.tolist(), bases.tolist(), ordinals.tolist(), strict=True)
    return frozenset(cases.hexadecimal(key) for key, base, ordinal in rows if ordinal <= read[base])


def _label(row: Any, judging: Judging | None, latest: int, zone: ZoneInfo) -> Label | None:
    """The label of a found case, given its row, the run if it judges its day, and the last run."""
    if row is None:
        if judging is None:
            return None
        return Label(cases.SITUATIONS[cases.NEW], judging.at.astimezone(zone).date(), None)
    status, owner, state = row.status, row.owner, cases.OPEN
    if row.state != cases.OPEN:
        if judging is None:
            return None
        state = cases.NEW
        if status == cases.RESOLVED:
            status = owner = None
    elif row.opened_by == latest:
        state = cases.NEW
    first_seen = datetime.fromisoformat(row.first_seen).astimezone(zone).date()
    return Label(status or cases.SITUATIONS[state], first_seen, owner)
