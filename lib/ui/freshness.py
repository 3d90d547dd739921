"""The moment of extraction, and "Atualizar": the old data stay in sight while new ones are read.

A period that reaches recent days is read again by itself after minutes; only those days are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import format, guard, loading
from lib.ui.format import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.datasets import Dataset
    from lib.ui.site import Site

_EVERY_SECONDS: Final = 0.5
# The refresh this session asked for, kept to tell of its failure.
_ASKED: Final = "_refresh"


def show(site: Site, dataset: Dataset) -> None:
    """Draw when the data set was read and the button that reads it anew."""
    site.store.renew(site.settings, dataset)
    st.caption(t("Extraído em {instant}", instant=format.instant(dataset.outcome.extracted_at)))
    running = site.store.loading(dataset.key)
    st.button(
        t("Atualizar"),
        width="stretch",
        disabled=running is not None,
        on_click=_refresh,
        args=(site, dataset),
    )
    if running is not None:
        st.fragment(_progress, run_every=_EVERY_SECONDS)(site, dataset)
    asked = st.session_state.get(_ASKED)
    if asked is None or asked[0] != dataset.key or not asked[1].future.done():
        return
    problem = asked[1].future.exception()
    if problem is None:
        del st.session_state[_ASKED]
    else:
        st.error(plain(loading.explanation(problem)))


def _refresh(site: Site, dataset: Dataset) -> None:
    if not guard.holds():
        return  # the page says why
    st.session_state[_ASKED] = (dataset.key, site.store.load(site.settings, dataset.key, anew=True))


def _progress(site: Site, dataset: Dataset) -> None:
    running = site.store.loading(dataset.key)
    if running is None:
        st.rerun()
    for line in loading.lines(running):
        st.caption(line)
