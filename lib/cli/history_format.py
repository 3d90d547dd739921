"""Format recorded runs as lines for people or JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import tzinfo
from typing import TYPE_CHECKING, Final

from lib.delivery import events, history
from lib.domain.messages import counted

if TYPE_CHECKING:
    from lib.delivery.history import Dispatch, Run

ORIGINS: Final = {history.SCHEDULED: "agendada", history.PAGE: "página"}

TOLD: Final = "Aviso ({event}) enviado a {target}."
UNTOLD: Final = "Aviso ({event}) não enviado a {target}: {problem}."
COPIED: Final = "Cópia em {target}: conferida."
NOT_COPIED: Final = "Cópia em {target}: {problem}"
EVENTS: Final = {
    events.FAILED: "falha",
    events.LATE: "dados incompletos",
    events.UNUSUAL: "números fora do padrão",
    events.READY: "relatório pronto",
    events.OVER: "volta ao normal",
}

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
    note = run.note or ""  # it tells of a failed copy already
    below += [_sent(s) for s in run.dispatches if s.problem is None or s.problem not in note]
    return [" · ".join(parts), *(f"    {line}" for line in below)]


def _sent(sent: Dispatch) -> str:
    """A notice or a copy, and what came of it."""
    arrived, failed = (COPIED, NOT_COPIED) if sent.kind == history.COPY else (TOLD, UNTOLD)
    template = arrived if sent.problem is None else failed
    event = EVENTS.get(sent.event or "", sent.event)
    return template.format(event=event, target=sent.target, problem=sent.problem)


def as_json(run: Run) -> str:
    """All fields of the run; `balanced` is null if the run ended before its books balanced."""
    balanced = None if run.books is None else True  # books that do not balance are never recorded
    return json.dumps(asdict(run) | {"balanced": balanced}, default=str, ensure_ascii=False)
