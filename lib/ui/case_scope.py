"""The cases that a reader may see and mark, checked at each click.

A merchant's cases need the right to the merchant. With row-level security, only the cases of rows
in the reader's own data set are shown, without a counterpart, which may be somebody else's row.
Draws no case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import streamlit as st

from lib.delivery import case_labels, case_marks, case_queries, state_file
from lib.domain.errors import HistoryError
from lib.ui import filters, guard, page, runs
from lib.ui.formatting import plain
from lib.ui.i18n import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.delivery.case_marks import Mark, Marked
    from lib.delivery.case_queries import Counts
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
    keys = None
    if view.site.settings.row_level_security:
        keys = _visible(view)
    return _scope(view.site, guard.admission(), view.request.merchant, keys)


def counts(scope: Scope) -> Counts | None:
    """The counts of the cases; None before the first judging run.

    Where they cannot be read, says so and returns None.
    """
    try:
        found = case_queries.counts(scope.path, scope.merchant, scope.today, scope.zone, scope.keys)
    except HistoryError as problem:
        st.warning(plain(sentence(problem)))
        return None
    return found if found.at is not None else None


def _visible(view: View) -> frozenset[str]:
    """The cases of the rows in the reader's own data set, found again after each judging run."""
    path, whole = state_file.path_of(view.site.settings), view.whole
    try:
        number = case_queries.latest(path, view.request.merchant).number
        keys: frozenset[str] = whole.derived.get(
            (_KEYS, number), lambda: case_labels.visible(path, whole.outcome)
        )
    except HistoryError:
        return frozenset()  # whoever asks for a case shows the reason
    return keys


def _scope(
    site: Site, admission: Admission | None, merchant: str, keys: frozenset[str] | None
) -> Scope:
    may_mark = admission is not None and merchant in admission.analyst
    return Scope(site, merchant, keys, may_mark)
