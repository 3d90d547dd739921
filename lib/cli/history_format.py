"""Format recorded runs as lines for people or JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from lib.delivery import history, run_lines
from lib.domain.messages import counted

if TYPE_CHECKING:
    from lib.delivery.history import Run

ORIGINS: Final = {history.SCHEDULED: "agendada", history.PAGE: "página"}

_COUNTED: Final = (
    (("transactions", "transação", "transações"), ("logs", "log", "logs")),
    (
        ("consolidated", "consolidada", "consolidadas"),
        ("divergences", "divergente", "divergentes"),
    ),
)


def lines(run: Run, zone: tzinfo) -> list[str]:
    """Describe the run in Portuguese, in local time, with message and notes indented below."""
    start, end = run.period
    parts = [
        f"{run.began_at.astimezone(zone):%d/%m/%Y %H:%M:%S}",
        f"{ORIGINS.get(run.origin, run.origin)} ({run.who})",
        f"{run.merchant_name} ({run.merchant})",
        f"{start:%d/%m/%Y} a {end:%d/%m/%Y}",
        run.rule,
        run.outcome,
    ]
    if run.books:
        for pair in _COUNTED:
            counts = (counted(run.books[name], one, many) for name, one, many in pair)
            parts.append(", ".join(counts))
    if run.seconds:
        parts.append(f"{sum(run.seconds.values()):.1f} s".replace(".", ","))
    if run.file:
        parts.append(str(run.file))
    below = [*(run.message or "").splitlines(), *(run.note or "").splitlines()]
    below += map(str, map(run_lines.dispatch_line, run_lines.dispatches_beside_note(run)))
    return [" · ".join(parts), *(f"    {line}" for line in below)]


def as_json(run: Run) -> str:
    """All fields of the run; `balanced` is null if the run ended before its books balanced."""
    balanced = None if run.books is None else True  # books that do not balance are never recorded
    return json.dumps(asdict(run) | {"balanced": balanced}, default=str, ensure_ascii=False)
