"""What a run sent, in the page of the runs: its notices and the copies of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import history, run_lines
from lib.ui import formatting
from lib.ui.formatting import plain, whole
from lib.ui.html_table import Column
from lib.ui.i18n import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.delivery.history import Run

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
    for sent in run_lines.dispatches_beside_note(run):
        line = run_lines.dispatch_line(sent)
        event = line.values["event"]
        draw = st.caption if sent.problem is None else st.warning
        words = {**line.values, "event": event and t(str(event))}
        draw(plain(t(line.template, **words)))


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
