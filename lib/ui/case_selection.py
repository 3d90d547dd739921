"""Cases that are ticked in a table or found by its filter, and the dialog that marks them.

Owns the selection and the versions that the person saw. Draws no table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from lib.domain.errors import AggregatorError
from lib.ui import case_form, guard, html_table
from lib.ui.i18n import n

if TYPE_CHECKING:
    from lib.ui.case_scope import Scope

Versions = Mapping[str, int]


class Selection:
    """The session's selection of one table; ``name`` begins the names of its values."""

    def __init__(self, name: str) -> None:
        self.chosen = f"{name}_escolhidos"
        self.marking = f"{name}_a_marcar"
        self.mark_chosen = f"{name}_marcar_escolhidos"
        self.mark_all = f"{name}_marcar_todos"
        self.form = f"{name}_varios"

    def clear(self) -> None:
        """Forget the selection and close the dialog."""
        for name in (self.chosen, self.marking):
            st.session_state.pop(name, None)
        case_form.close(self.form)

    def ticked(self, shown: Sequence[str | None]) -> list[int]:
        """The positions of the ticked ones among these keys."""
        chosen: Versions = st.session_state.get(self.chosen, {})
        return [at for at, key in enumerate(shown) if key in chosen]

    def tick(self, shown: Sequence[tuple[str, int] | None], at: int) -> None:
        """Tick or clear one of these cases, or all of them; a row without a case has none."""
        chosen: dict[str, int] = st.session_state.setdefault(self.chosen, {})
        named = dict(filter(None, shown if at == html_table.ALL else [shown[at]]))
        if named.keys() <= chosen.keys():
            for key in named:
                del chosen[key]
        else:
            chosen.update(named)

    def show(
        self, scope: Scope, total: int, find: Callable[[], Versions], owners: Sequence[str]
    ) -> None:
        """Draw the buttons that mark the ticked and all found cases, and the dialog."""
        if not scope.may_mark:
            return
        state = st.session_state
        chosen: dict[str, int] = state.get(self.chosen, {})
        with st.container(horizontal=True, vertical_alignment="center"):
            if chosen:
                st.button(
                    n("Marcar o escolhido", "Marcar os {count} escolhidos", len(chosen)),
                    key=self.mark_chosen,
                    on_click=lambda: state.update({self.marking: dict(chosen)}),
                )
            if total:
                st.button(
                    n("Marcar o caso encontrado", "Marcar os {count} casos encontrados", total),
                    key=self.mark_all,
                    on_click=self._mark_all,
                    args=(scope, find),
                )
        versions: Versions | None = state.get(self.marking)
        if versions:
            title = n("Marcar {count} caso", "Marcar {count} casos", len(versions))
            draw: Any = st.dialog(title, on_dismiss=self.clear)(self._dialog)
            draw(scope, versions, owners)

    def _dialog(self, scope: Scope, versions: Versions, owners: Sequence[str]) -> None:
        guard.recheck()
        case_form.show(self.form, scope, versions, owners, once=True)

    def _mark_all(self, scope: Scope, find: Callable[[], Versions]) -> None:
        reader = guard.admission()
        if reader is None or scope.merchant not in reader.analyst:
            return
        try:
            st.session_state[self.marking] = dict(find())
        except AggregatorError:
            return  # the rerun shows the reason
