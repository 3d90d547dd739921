"""Cases that runs on one day have found, and that readers have marked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from lib.analysis.case_evidence import Evidence
from lib.config.settings import Settings
from lib.delivery import case_marks, case_queries, case_store
from lib.delivery.case_filters import Filter
from lib.delivery.case_marks import Mark
from lib.delivery.case_store import Judging
from lib.domain import cases
from lib.security.audit_events import Actor

MERCHANT = "12345678000190"
ANA = Actor("ana@example.com", "10.0.0.7")
RUI = Actor("rui@example.com", "10.0.0.8")
DAY = date(2026, 11, 1)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)

Record = tuple[str, int, int]


def rows(records: Iterable[Record]) -> pa.Table:
    """Rows of records: the kind, the number of the card, and the day after the first one."""
    return pa.Table.from_pylist(
        [
            {
                cases.KIND: kind,
                cases.CARD: f"400000******{card:04}",
                cases.DAY: DAY + timedelta(days=day),
                cases.CODE: "00" if kind == cases.LOG else None,
                cases.AMOUNT: None if kind == cases.LOG else 1,
            }
            for kind, card, day in records
        ],
        cases.SCHEMA,
    )


def judge(path: Path, run: int, cards: list[int], at: datetime = AT, **more: Any) -> Any:
    """Judge a run that found logs of these cards on the first day."""
    judging = Judging(
        run=run, merchant=MERCHANT, at=at, period=(DAY, DAY), days=frozenset([DAY]), **more
    )
    found = cases.of_run(MERCHANT, rows((cases.LOG, card, 0) for card in cards))
    return case_store.judge(path, judging, found, lambda gone: Evidence())


def everything(path: Path) -> dict[str, case_queries.Case]:
    query = Filter(states=cases.STATES)
    return {str(c.values["num_cartao"])[-1]: c for c in case_queries.each(path, MERCHANT, query)}


def mark(
    settings: Settings, actor: Actor, change: Mark, *seen: case_queries.Case
) -> case_marks.Marked:
    expected = {case.key: case.version for case in seen}
    return case_marks.mark(settings, [MERCHANT], actor, MERCHANT, expected, change)
