"""Show the moment of extraction and the refresh button; old data stay visible during a read.

A stale data set is refreshed automatically, which reads only its expired days.
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

REFRESH: Final = "atualizar"

_INTERVAL_SECONDS: Final = 0.5
# The session's last refresh, kept to show its failure.
_REFRESH: Final = "_refresh"


@dataclass
class _Refresh:
    """A refresh and its failure, if any; the store owns the data set that it reads."""

    key: Key
    problem: BaseException | None = None

    def end(self, read: Future[Dataset]) -> None:
        self.problem = read.exception()


def show(site: Site, dataset: Dataset) -> None:
    """Draw the moment of the extraction and the button that reads the data set again."""
    site.store.renew(site.settings, dataset)
    st.caption(t("Extraído em {instant}", instant=formatting.instant(dataset.outcome.extracted_at)))
    running = site.store.loading(dataset.key)
    st.button(
        t("Atualizar"),
        key=REFRESH,
        width="stretch",
        disabled=running is not None and running.anew,
        on_click=_refresh,
        args=(site, dataset),
    )
    if running is not None:
        st.fragment(_progress, run_every=_INTERVAL_SECONDS)(site, dataset)
    refresh: _Refresh | None = st.session_state.get(_REFRESH)
    if refresh is not None and refresh.key == dataset.key and refresh.problem is not None:
        st.error(plain(extraction_status.explanation(refresh.problem)))


def _refresh(site: Site, dataset: Dataset) -> None:
    if not guard.holds():
        return  # the rerun shows the reason
    refresh = st.session_state[_REFRESH] = _Refresh(dataset.key)
    running = site.store.load(site.settings, dataset.key, anew=True)
    running.future.add_done_callback(refresh.end)


def _progress(site: Site, dataset: Dataset) -> None:
    running = site.store.loading(dataset.key)
    if running is None:
        st.rerun()
    for line in extraction_status.lines(running):
        st.caption(line)
