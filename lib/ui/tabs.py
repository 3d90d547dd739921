"""Tabs whose content is computed only while open; the open one is in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import query_params
from lib.ui.formatting import whole
from lib.ui.i18n import t

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

BAD_TAB: Final = "O endereço tem uma aba que não existe; esta página mostra a primeira."


@dataclass(frozen=True)
class Tab:
    """The open tab: its name in the address, and the container of its content."""

    name: str
    container: DeltaGenerator


def show(name: str, titles: dict[str, str], counts: Mapping[str, int] | None = None) -> Tab:
    """Draw tabs by name and title, with the number of their rows, and return the open one.

    ``name`` is the query parameter of the open one.
    """
    key, last = f"aba_{name}", f"aba_{name}_aberta"
    labels = {
        tab: f"{title} ({whole(counts[tab])})" if counts and tab in counts else title
        for tab, title in titles.items()
    }
    # The session holds a label, which changes with its count.
    if st.session_state.get(key) not in (None, *labels.values()):
        st.session_state[key] = labels.get(
            st.session_state.get(last, ""), next(iter(labels.values()))
        )
    query_params.restore(name, key, lambda texts: labels.get(texts[0]))
    containers = st.tabs(list(labels.values()), key=key, on_change="rerun")
    opened = next((index for index, tab in enumerate(containers) if tab.open), 0)
    if query_params.refused(key):
        st.warning(t(BAD_TAB))
    chosen = list(labels)[opened]
    st.session_state[last] = chosen
    query_params.publish({name: chosen if opened else None})
    return Tab(chosen, containers[opened])
