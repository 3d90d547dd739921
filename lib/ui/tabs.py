"""Tabs whose content is computed only while open; the open one is in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import query_params
from lib.ui.i18n import t

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

BAD_TAB: Final = "O endereço tem uma aba que não existe; esta página mostra a primeira."


@dataclass(frozen=True)
class Tab:
    """The open tab: its name in the address, and the container of its content."""

    name: str
    container: DeltaGenerator


def show(name: str, labels: dict[str, str]) -> Tab:
    """Draw tabs by name and label and return the open one; ``name`` is its query parameter."""
    key = f"aba_{name}"
    query_params.restore(name, key, lambda texts: labels.get(texts[0]))
    containers = st.tabs(list(labels.values()), key=key, on_change="rerun")
    opened = next((index for index, tab in enumerate(containers) if tab.open), 0)
    if query_params.refused(key):
        st.warning(t(BAD_TAB))
    chosen = list(labels)[opened]
    query_params.publish({name: chosen if opened else None})
    return Tab(chosen, containers[opened])
