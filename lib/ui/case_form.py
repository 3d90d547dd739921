"""The form that marks cases, and what came of it.

Owns the versions that the person saw when the form was opened: a case that somebody else has
changed since is left as it is and shown, with who changed what. Reads no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.delivery import case_queries
from lib.delivery.case_marks import KEEP, LONGEST, Mark
from lib.domain import cases
from lib.domain.errors import AggregatorError
from lib.ui import case_words, guard, html_table
from lib.ui.formatting import plain
from lib.ui.html_table import Column
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lib.delivery.case_marks import Marked
    from lib.delivery.case_queries import Case
    from lib.ui.case_scope import Scope

READ_ONLY: Final = "Só quem tem o papel analyst para este estabelecimento marca casos."
CONFIRM: Final = "Para confirmar, digite quantos casos serão marcados ({count})"
WRONG_NUMBER: Final = "Nada foi marcado: digite {count} para confirmar."
MARKED: Final = ("{count} caso marcado.", "{count} casos marcados.")
CONFLICT: Final = (
    "{count} caso mudou enquanto isso e ficou como está. Confira quem mudou o quê:",
    "{count} casos mudaram enquanto isso e ficaram como estão. Confira quem mudou o quê:",
)
NO_RIGHT: Final = "Nada foi marcado: o seu acesso mudou. Recarregue a página."

_NOBODY: Final = "\0nobody"
_MOST_CONFLICTS: Final = 20
_MOST_OWNERS: Final = 200


class Names:
    """The session's names of one form."""

    def __init__(self, form: str) -> None:
        self._form = form

    def __getitem__(self, name: str) -> str:
        return f"marca_{self._form}_{name}"


def close(form: str) -> None:
    """Forget the form's values and what came of it."""
    names = Names(form)
    for name in ("situacao", "motivo", "responsavel", "nota", "numero", *_OUTCOME, *_SEEN):
        st.session_state.pop(names[name], None)


_SEEN: Final = ("versoes", "casos")
_OUTCOME: Final = ("problema", "feito", "conflitos")


def show(
    form: str,
    scope: Scope,
    versions: Mapping[str, int],
    owners: Sequence[str] = (),
    *,
    once: bool = False,
) -> None:
    """Draw the form for these cases, given with the versions that are on show.

    ``owners`` are offered beside the reader; with ``once`` the form ends with its first success.
    """
    if not scope.may_mark:
        st.caption(t(READ_ONLY))
        return
    names = Names(form)
    state = st.session_state
    if names["versoes"] not in state or state.get(names["casos"]) != set(versions):
        state[names["versoes"]], state[names["casos"]] = dict(versions), set(versions)
    seen: Mapping[str, int] = state[names["versoes"]]
    _outcome(names, scope)
    if once and names["feito"] in state and not state.get(names["conflitos"]):
        return
    count = len(seen)
    chosen = _status(names)
    if chosen == cases.ACCEPTED:
        st.text_input(t("Motivo (obrigatório)"), key=names["motivo"], max_chars=LONGEST)
    _owner(names, owners)
    st.text_area(t("Anotação"), key=names["nota"], max_chars=LONGEST, height=80)
    if count > 1:
        st.number_input(t(CONFIRM, count=count), 0, None, value=None, step=1, key=names["numero"])
    label = n("Marcar {count} caso", "Marcar {count} casos", count)
    st.button(
        label, key=names["marcar"], type="primary", on_click=_apply, args=(names, scope, seen)
    )


def _status(names: Names) -> str:
    words = {KEEP: t("(não mudar)")}
    words |= {name: case_words.status(name) for name in cases.STATUSES}
    words[_NOBODY] = t("(tirar a marca)")
    chosen: str = st.selectbox(
        t("Marca"), list(words), key=names["situacao"], format_func=words.__getitem__
    )
    return chosen


def _owner(names: Names, owners: Sequence[str]) -> None:
    reader = guard.admission()
    me = reader.actor.name if reader else ""
    words = {KEEP: t("(não mudar)"), _NOBODY: t("(ninguém)")}
    known = dict.fromkeys(name for name in (me, *owners) if name)
    st.selectbox(
        t("Responsável"),
        [*words, *list(known)[:_MOST_OWNERS]],
        key=names["responsavel"],
        format_func=lambda name: words.get(name, name),
        accept_new_options=True,
    )


def _apply(names: Names, scope: Scope, seen: Mapping[str, int]) -> None:
    state = st.session_state
    for name in _OUTCOME:
        state.pop(names[name], None)
    if len(seen) > 1 and state.get(names["numero"]) != len(seen):
        state[names["problema"]] = t(WRONG_NUMBER, count=len(seen))
        return
    try:
        marked = scope.mark(seen, _mark(names))
    except AggregatorError as problem:
        state[names["problema"]] = sentence(problem)
        return
    if marked is None:
        state[names["problema"]] = t(NO_RIGHT)
        return
    _report(names, marked)


def _report(names: Names, marked: Marked) -> None:
    """Keep what came of a mark; the next try is against the versions that are shown now."""
    state = st.session_state
    state[names["feito"]] = len(marked.applied)
    state[names["conflitos"]] = marked.conflicts
    state.pop(names["versoes"], None)
    if marked.conflicts:
        state[names["versoes"]] = {case.key: case.version for case in marked.conflicts}
        state[names["numero"]] = None
        return
    for name, value in (("situacao", KEEP), ("responsavel", KEEP), ("nota", ""), ("numero", None)):
        state[names[name]] = value


def _mark(names: Names) -> Mark:
    def chosen(name: str) -> str | None:
        value = st.session_state.get(names[name], KEEP)
        return None if value == _NOBODY else KEEP if value is None else value

    texts = {name: st.session_state.get(names[name]) or "" for name in ("motivo", "nota")}
    return Mark(chosen("situacao"), texts["motivo"], chosen("responsavel"), texts["nota"])


def _outcome(names: Names, scope: Scope) -> None:
    """Say what came of the last mark."""
    problem: str | None = st.session_state.get(names["problema"])
    if problem:
        st.error(plain(problem))
    done: int = st.session_state.get(names["feito"], 0)
    if done:
        st.success(n(*MARKED, done))
    conflicts: tuple[Case, ...] = st.session_state.get(names["conflitos"], ())
    if conflicts:
        st.warning(n(*CONFLICT, len(conflicts)))
        _changes(conflicts[:_MOST_CONFLICTS], scope)


def _changes(conflicts: Sequence[Case], scope: Scope) -> None:
    """Draw the latest mark of each case that somebody else has changed."""
    rows = []
    for case in conflicts:
        events: list[Any] = [
            event
            for event in case_queries.timeline(scope.path, case.key)
            if event.kind in ("status", "owner")
        ]
        if events:
            last = events[-1]
            rows.append(
                [
                    case_words.moment(last.at, scope),
                    case_words.who(last),
                    case_words.what(last),
                    case_words.situation(case),
                    case.owner or "",
                ]
            )
    html_table.draw(
        [
            Column("at", t("Quando")),
            Column("who", t("Usuário")),
            Column("what", t("O quê")),
            Column("situation", t("Situação")),
            Column("owner", t("Responsável")),
        ],
        rows,
    )
