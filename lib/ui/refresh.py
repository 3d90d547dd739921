"""The moment of extraction, and "Atualizar": the old data stay in sight while new ones are read.

A period that reaches recent days is read again by itself after minutes; only those days are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.ui import extraction_status, formatting, guard
from lib.ui.formatting import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lib.dashboard.dataset_store import Dataset, Key
    from lib.ui.app_state import Site

_EVERY_SECONDS: Final = 0.5
# The refresh this session asked for, kept to tell of its failure.
_ASKED: Final = "_refresh"


@dataclass
class _Asked:
    """A refresh and how it failed, if it did; not what it read, which the store owns."""

    key: Key
    problem: BaseException | None = None

    def end(self, read: Future[Dataset]) -> None:
        self.problem = read.exception()


def show(site: Site, dataset: Dataset) -> None:
    """Draw when the data set was read and the button that reads it anew."""
    site.store.renew(site.settings, dataset)
    st.caption(t("Extraído em {instant}", instant=formatting.instant(dataset.outcome.extracted_at)))
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
    asked: _Asked | None = st.session_state.get(_ASKED)
    if asked is not None and asked.key == dataset.key and asked.problem is not None:
        st.error(plain(extraction_status.explanation(asked.problem)))


def _refresh(site: Site, dataset: Dataset) -> None:
    if not guard.holds():
        return  # the page says why
    asked = st.session_state[_ASKED] = _Asked(dataset.key)
    running = site.store.load(site.settings, dataset.key, anew=True)
    running.future.add_done_callback(asked.end)


def _progress(site: Site, dataset: Dataset) -> None:
    running = site.store.loading(dataset.key)
    if running is None:
        st.rerun()
    for line in extraction_status.lines(running):
        st.caption(line)
