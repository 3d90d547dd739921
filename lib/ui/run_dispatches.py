"""What a run sent, in the page of the runs: its notices and the copies of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import events, history
from lib.ui import formatting
from lib.ui.formatting import plain, whole
from lib.ui.html_table import Column
from lib.ui.i18n import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.delivery.history import Dispatch, Run

TOLD: Final = "Aviso ({event}) enviado a {target}."
UNTOLD: Final = "Aviso ({event}) não enviado a {target}: {problem}."
COPIED: Final = "Cópia em {target}: conferida."
NOT_COPIED: Final = "Cópia em {target}: {problem}"
DONE_OF_ALL: Final = "{done} de {total}"

_KINDS: Final = (history.NOTICE, history.COPY)


def columns(runs: Sequence[Run]) -> list[Column]:
    """A column for notices and one for copies, each where any of these runs has some."""
    headings = {
        history.NOTICE: Column("notices", t("Avisos"), t("Avisos enviados"), "right"),
        history.COPY: Column("copies", t("Cópias"), t("Cópias conferidas"), "right"),
    }
    return [headings[kind] for kind in _kinds(runs)]


def cells(run: Run, runs: Sequence[Run]) -> list[str]:
    """The cells of this run in the `columns` of these runs: how many arrived, of how many."""
    return [_count(run, kind) for kind in _kinds(runs)]


def show(run: Run) -> None:
    """Draw a line for each notice and each copy; what did not arrive is a warning.

    A failed copy that the run's note tells of is not told again.
    """
    for sent in run.dispatches:
        if sent.problem is not None and sent.problem in (run.note or ""):
            continue
        draw = st.caption if sent.problem is None else st.warning
        draw(plain(_sentence(sent)))


def _kinds(runs: Sequence[Run]) -> list[str]:
    sent = {one.kind for run in runs for one in run.dispatches}
    return [kind for kind in _KINDS if kind in sent]


def _count(run: Run, kind: str) -> str:
    problems = [sent.problem for sent in run.dispatches if sent.kind == kind]
    if not problems:
        return formatting.NO_VALUE
    done = problems.count(None)
    if done == len(problems):
        return whole(done)
    return t(DONE_OF_ALL, done=whole(done), total=whole(len(problems)))


def _sentence(sent: Dispatch) -> str:
    if sent.kind == history.COPY:
        if sent.problem is None:
            return t(COPIED, target=sent.target)
        return t(NOT_COPIED, target=sent.target, problem=sent.problem)
    names = {
        events.FAILED: t("falha"),
        events.LATE: t("dados incompletos"),
        events.UNUSUAL: t("números fora do padrão"),
        events.READY: t("relatório pronto"),
        events.OVER: t("volta ao normal"),
    }
    event = names.get(sent.event or "", sent.event or "")
    if sent.problem is None:
        return t(TOLD, event=event, target=sent.target)
    return t(UNTOLD, event=event, target=sent.target, problem=sent.problem)
