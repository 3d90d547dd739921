"""The input that chooses several values of a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from lib.ui.i18n import t

if TYPE_CHECKING:
    from collections.abc import Mapping


def several(label: str, options: Mapping[str, str], key: str, width: int, **more: Any) -> list[str]:
    """Draw the input of these values, each with its text, and return the chosen ones."""
    return st.multiselect(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        placeholder=t("Todos"),
        select_all=False,  # its text is always English
        width=width,
        persist_state="session",
        **more,
    )
