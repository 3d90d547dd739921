"""The counts of a run, and what it sent, as lines of text.

For the command line, for notices and for the page of the runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lib.delivery import events, history
from lib.domain.messages import Notice, counted, thousands

if TYPE_CHECKING:
    from lib.delivery.case_store import Change
    from lib.delivery.history import Dispatch, Run
    from lib.domain.outcomes import Books

CASES: Final = "Casos: {new}, {resolved}, {open}"
OUTSIDE: Final = " e {outside} fora da janela"
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


def books_lines(books: Books) -> tuple[str, str]:
    """The transactions and the logs, each as the sum of its outcomes."""
    return (
        f"Transações: {thousands(books.transactions)} = "
        f"{counted(books.consolidated, 'consolidada', 'consolidadas')} + "
        f"{thousands(books.without_log)} sem log + "
        f"{counted(books.duplicates, 'duplicada removida', 'duplicadas removidas')}",
        f"Logs: {thousands(books.logs)} = "
        f"{counted(books.logs_matched, 'conciliado', 'conciliados')} + "
        f"{counted(books.divergences, 'divergente', 'divergentes')}",
    )


def cases_line(change: Change) -> str:
    """The counts of the cases after a judging run, in one line."""
    outside = OUTSIDE.format(outside=thousands(change.outside)) if change.outside else ""
    return (
        CASES.format(
            new=counted(change.new, "novo", "novos"),
            resolved=counted(change.resolved, "resolvido sozinho", "resolvidos sozinhos"),
            open=f"{thousands(change.open)} em aberto",
        )
        + outside
    )


def dispatches_beside_note(run: Run) -> list[Dispatch]:
    """The run's notices and copies, without the failed copies that its note tells of."""
    note = run.note or ""
    return [sent for sent in run.dispatches if sent.problem is None or sent.problem not in note]


def dispatch_line(sent: Dispatch) -> Notice:
    """What came of a notice or a copy; a screen translates the value ``event`` as well."""
    done, failed = (COPIED, NOT_COPIED) if sent.kind == history.COPY else (TOLD, UNTOLD)
    event = EVENTS.get(sent.event or "", sent.event)
    return Notice(
        done if sent.problem is None else failed,
        {"event": event, "target": sent.target, "problem": sent.problem},
    )
