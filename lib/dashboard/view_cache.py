"""Small results by small keys: what pages show of a data set, computed once for all sessions.

Every argument that is hashed is small; the data set itself goes in unhashed behind its version,
which no other extraction shares and which nobody without its rights can ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.analysis import customers
from lib.analysis import overview as figures
from lib.analysis import time_series as counted
from lib.analysis.customers import Figures, Marketing
from lib.analysis.overview import Overview
from lib.analysis.time_series import Series

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset

_ENTRIES: Final = 200


def overview(dataset: Dataset) -> Overview:
    """The landing page's figures."""
    return Overview(**_overview(dataset.version, dataset))


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _overview(version: str, _dataset: Dataset) -> dict[str, Any]:
    return vars(figures.overview(_dataset.outcome))


def series(dataset: Dataset) -> Series:
    """What the charts of the period are drawn from."""
    return Series(**_series(dataset.version, dataset))


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _series(version: str, _dataset: Dataset) -> dict[str, Any]:
    return vars(counted.series(_dataset.outcome.reconciliation))


def marketing(dataset: Dataset) -> Marketing:
    """The figures and charts of the marketing view."""
    found = _marketing(dataset.version, dataset)
    return Marketing(**found | {"figures": Figures(**found["figures"])})


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _marketing(version: str, _dataset: Dataset) -> dict[str, Any]:
    found = customers.marketing(_dataset.outcome.reconciliation)
    return vars(found) | {"figures": vars(found.figures)}
