"""The cases that a reader may see and mark, checked at each click.

A merchant's cases need the right to the merchant. With row-level security, only the cases of rows
in the reader's own data set are shown, without a counterpart, which may be somebody else's row.
Draws no case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import streamlit as st

from lib.analysis import case_evidence
from lib.delivery import case_marks, state_file
from lib.domain import cases
from lib.ui import filters, guard, page, runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.dashboard.dataset_store import Dataset
    from lib.delivery.case_marks import Mark, Marked
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission
    from lib.ui.page import View

_KEYS: Final = "case_keys"


@dataclass(frozen=True)
class Scope:
    """A merchant's cases as one reader sees them; ``keys`` limits them, None stands for all."""

    site: Site
    merchant: str
    keys: frozenset[str] | None
    may_mark: bool

    @property
    def path(self) -> Path:
        """The state file. Raises HistoryError."""
        return state_file.path_of(self.site.settings)

    @property
    def today(self) -> date:
        """Today's date in the configured time zone."""
        return self.site.today

    @property
    def zone(self) -> ZoneInfo:
        """The configured time zone."""
        return self.site.settings.zone

    @property
    def by_rows(self) -> bool:
        """True where the reader sees the cases of their own rows only."""
        return self.keys is not None

    def mark(self, expected: Mapping[str, int], change: Mark) -> Marked | None:
        """Mark these cases, if the session still has the right; None once it has not.

        Raises AggregatorError.
        """
        reader = guard.admission()
        if reader is None or self.merchant not in reader.merchants:
            return None
        if self.keys is not None:
            expected = {key: number for key, number in expected.items() if key in self.keys}
        settings = self.site.settings
        return case_marks.mark(
            settings, reader.analyst, reader.actor, self.merchant, expected, change
        )


def enter(name: str) -> Scope:
    """Set up a page of cases with the filter of the merchant, and return what it may show."""
    site, admission = page.enter(name)
    if site.settings.row_level_security:
        return of_view(page.view_for(name, site, admission))
    page.announce(site, admission.merchants)
    runs.banner(site, admission)
    with st.sidebar:
        merchant = filters.merchant(admission.merchants)
    return _scope(site, admission, merchant, None)


def of_view(view: View) -> Scope:
    """The cases of the merchant of this view; with row-level security, of its rows."""
    by_rows = view.site.settings.row_level_security
    keys = keys_of(view.whole) if by_rows else None
    return _scope(view.site, guard.admission(), view.request.merchant, keys)


def keys_of(dataset: Dataset) -> frozenset[str]:
    """The keys of all rows of a data set that are cases."""

    def compute() -> frozenset[str]:
        merchant = dataset.key.request.merchant
        found = case_evidence.found(dataset.outcome.reconciliation, merchant, clear=False)
        return frozenset(map(cases.hexadecimal, cases.of_run(merchant, found).keys.tolist()))

    keys: Any = dataset.derived.get(_KEYS, compute)
    return keys  # type: ignore[no-any-return]


def _scope(
    site: Site, admission: Admission | None, merchant: str, keys: frozenset[str] | None
) -> Scope:
    may_mark = admission is not None and merchant in admission.analyst
    return Scope(site, merchant, keys, may_mark)
