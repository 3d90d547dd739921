"""The counts of a run as lines of text, for the command line and for notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lib.domain.messages import counted, thousands

if TYPE_CHECKING:
    from lib.delivery.case_store import Change
    from lib.domain.outcomes import Books

CASES: Final = "Casos: {new}, {resolved}, {open}"
OUTSIDE: Final = " e {outside} fora da janela"


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
