"""Cache the small figures that pages show, computed once per data set for all sessions.

Only small arguments are hashed. The data set itself is passed unhashed, with its version, which is
unique to its extraction and known only to readers with its rights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import customers, declines, overview, time_series
from lib.analysis.customers import Figures, Marketing
from lib.analysis.declines import Declines
from lib.analysis.overview import Overview
from lib.analysis.time_series import Series

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset

_ENTRIES: Final = 200


def overview_of(dataset: Dataset) -> Overview:
    """The landing page's figures."""
    return Overview(**_overview(dataset.version, dataset))


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _overview(version: str, _dataset: Dataset) -> dict[str, Any]:
    return vars(overview.overview(_dataset.outcome))


def series_of(dataset: Dataset) -> Series:
    """The series behind the charts of the period."""
    return Series(**_series(dataset.version, dataset))


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _series(version: str, _dataset: Dataset) -> dict[str, Any]:
    return vars(time_series.series(_dataset.outcome.reconciliation))


def marketing_of(dataset: Dataset) -> Marketing:
    """The figures and charts of the marketing view."""
    values = _marketing(dataset.version, dataset)
    return Marketing(**values | {"figures": Figures(**values["figures"])})


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _marketing(version: str, _dataset: Dataset) -> dict[str, Any]:
    view = customers.marketing(_dataset.outcome.reconciliation)
    return vars(view) | {"figures": vars(view.figures)}


def declines_of(dataset: Dataset) -> Declines:
    """What became of the declined attempts."""
    return Declines(**_declines(dataset.version, dataset))


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _declines(version: str, _dataset: Dataset) -> dict[str, Any]:
    return vars(declines.declines(_dataset.outcome.reconciliation))
