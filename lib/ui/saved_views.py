"""The views of a table that this person has saved: apply, save and remove them.

A view is applied by a click only. Without sign-in all readers are the one person of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.delivery import saved_views
from lib.domain.errors import AggregatorError
from lib.ui import app_state, guard
from lib.ui.formatting import plain
from lib.ui.i18n import sentence, t

if TYPE_CHECKING:
    from lib.config.settings import Settings

_PROBLEM: Final = "_saved_views_problem"
_NAME: Final = "visao_nome"
_OPEN: Final = "visoes"


def show(table: str, values: Mapping[str, Any], apply: Callable[[Mapping[str, Any]], None]) -> None:
    """Draw the menu of the table's views; ``values`` are those to save, ``apply`` sets others."""
    site, admission = app_state.find(), guard.admission()
    if site is None or admission is None:
        return
    owner = (site.settings, admission.actor.name, table)
    menu = st.popover(t("Visões"), key=f"{table}_{_OPEN}", on_change="rerun")
    if menu.open:
        with menu:
            _draw(owner, values, apply)


def _draw(
    owner: tuple[Settings, str, str],
    values: Mapping[str, Any],
    apply: Callable[[Mapping[str, Any]], None],
) -> None:
    table = owner[2]
    st.caption(t("Busca, filtros, ordem e colunas, para qualquer período e estabelecimento."))
    try:
        views = saved_views.read(*owner)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        return
    for number, view in enumerate(views):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                plain(view.name),
                key=f"{table}_visao_{number}",
                on_click=apply,
                args=(view.values,),
                width="stretch",
            )
            st.button(
                t("Remover"),
                key=f"{table}_remover_{number}",
                help=plain(t("Remover a visão {name}", name=view.name)),
                on_click=_remove,
                args=(owner, view.name),
            )
    key = f"{table}_{_NAME}"
    st.text_input(t("Nome da visão"), key=key, max_chars=saved_views.LONGEST_NAME)
    st.button(
        t("Salvar esta visão"),
        key=f"{table}_salvar_visao",
        on_click=_save,
        args=(owner, key, values),
    )
    failure = st.session_state.pop(_PROBLEM, None)
    if failure is not None:
        st.error(plain(sentence(failure)))


def _save(owner: tuple[Settings, str, str], key: str, values: Mapping[str, Any]) -> None:
    try:
        saved_views.save(*owner, st.session_state.get(key) or "", values)
    except AggregatorError as problem:
        st.session_state[_PROBLEM] = problem
    else:
        st.session_state[key] = ""


def _remove(owner: tuple[Settings, str, str], name: str) -> None:
    try:
        saved_views.remove(*owner, name)
    except AggregatorError as problem:
        st.session_state[_PROBLEM] = problem
