"""Keep the view in the address bar, so that a copied link restores it.

The session holds each value under the key of its widget, and the address follows it. The address is
read only if the session has no value yet, and after the browser's back or forward. Streamlit's own
binding is not used: it writes translated labels into the address and omits defaults, although the
default period changes every day.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_PAGE: Final = "_page"
_ARRIVED: Final = "_arrived"
_REFUSED: Final = "_refused"

_UNSET: Final = "unset"


def arrive(page: str) -> None:
    """Begin a run of this page; a page must call it before it restores a value."""
    st.session_state[_ARRIVED] = st.session_state.get(_PAGE) != page
    st.session_state[_PAGE] = page


def restore(name: str, key: str, parse: Callable[[list[str]], Any]) -> None:
    """Set the session's value from the address.

    ``parse`` returns None for an invalid value, and of a list the valid part.
    """
    if key in st.session_state and not moved_in_history():
        if st.session_state[_ARRIVED]:
            # Streamlit hands on the value of the previous page's widget only after this run;
            # an assignment makes it available at once.
            st.session_state[key] = st.session_state[key]
        return
    texts = st.query_params.get_all(name)
    value = parse(texts) if texts else None
    st.session_state.setdefault(_REFUSED, {}).pop(key, None)
    partly = isinstance(value, list) and len(value) < len(texts)
    if texts and (value is None or partly):
        st.session_state[_REFUSED][key] = _UNSET
    if value is not None:
        st.session_state[key] = value
        return
    if key in st.session_state:
        del st.session_state[key]


def restore_one(key: str, known: Container[str]) -> None:
    """Set the session's value from the parameter of the same name, one of these."""
    restore(key, key, lambda texts: texts[0] if texts[0] in known else None)


def restore_some(key: str, known: Container[str]) -> None:
    """Set the session's list from the parameter of the same name; unknown values are dropped."""

    def among(texts: list[str]) -> list[str]:
        return [text for text in texts if text in known]

    restore(key, key, among)
    if chosen := st.session_state.get(key):
        st.session_state[key] = among(chosen)


def refused(key: str) -> bool:
    """True while the session shows something else because the address had an invalid value."""
    values = st.session_state.get(_REFUSED, {})
    if key not in values:
        return False
    if values[key] is _UNSET:
        values[key] = st.session_state.get(key)
    return bool(values[key] == st.session_state.get(key))


def publish(values: Mapping[str, str | list[str] | None]) -> None:
    """Put these values into the address; None and empty ones are removed from it."""
    wanted = {
        name: value if isinstance(value, list) else [value] if value else []
        for name, value in values.items()
    }
    changed = {n: texts for n, texts in wanted.items() if st.query_params.get_all(n) != texts}
    if len(changed) > 1:
        before = {n: st.query_params.get_all(n) for n in st.query_params if n not in changed}
        st.query_params.from_dict(before | {n: texts for n, texts in changed.items() if texts})
        return
    for name, texts in changed.items():
        if texts:
            st.query_params[name] = texts
        else:
            del st.query_params[name]


def moved_in_history() -> bool:
    """True in the run after the browser's back or forward."""
    context = get_script_run_ctx()
    return bool(context and context.is_history_navigation)
