"""A run that sends notices, and what it told."""

from __future__ import annotations

from datetime import date
from typing import Any

from lib.delivery import history
from lib.delivery.history import History
from lib.delivery.notice_body import RunReport
from tests.support.command import Command, with_source
from tests.support.faults import MERCHANT, PERIOD

PANEL = "https://painel.example.com/x/"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#avisos"


def asked(command: Command, *urls: str, **notify: Any) -> dict[str, Any]:
    """`[aggregator]` values that send to these addresses and keep the history beside the report."""
    path = {"path": str(command.folder / "history.sqlite")}
    return {**command.databases.values, "history": path, "notify": {"urls": list(urls), **notify}}


def broken(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a side that refuses every connection at once."""
    return with_source(values, "auth_logs", database="gone")


def dispatches(command: Command) -> list[tuple[str | None, str, str | None]]:
    """What the last run told: event, target, problem."""
    [run, *_] = History(command.folder / "history.sqlite").runs()
    sent = [one for one in run.dispatches if one.kind == history.NOTICE]
    return [(one.event, one.target, one.problem) for one in sent]


def report(*happened: str, **fields: Any) -> RunReport:
    start = date.fromisoformat(PERIOD[1])
    sentences = {event: (f"Frase de {event}.",) for event in happened}
    return RunReport(7, MERCHANT, "Loja Exemplo", (start, start), sentences, **fields)
