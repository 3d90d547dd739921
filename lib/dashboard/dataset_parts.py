"""Some days of a data set, of the same reconciliation; kept with the data set.

Shares its tables; the row numbers count against the budget of its derived values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from lib.analysis import books, periods
from lib.dashboard.dataset_store import BUDGET_BYTES, Dataset, Derived

if TYPE_CHECKING:
    from datetime import date

    from lib.domain.reconciliation import Reconciliation

_DERIVED_BYTES: Final = BUDGET_BYTES // 32


@dataclass(eq=False)
class Part(Dataset):
    """A data set of some days; its key is that of the whole one, ``within`` its reconciliation."""

    within: Reconciliation | None = None

    @property
    def matched(self) -> Reconciliation:
        """The reconciliation as it was matched, of the whole period."""
        return self.within or self.outcome.reconciliation

    @property
    def nbytes(self) -> int:
        """Memory beyond that of the whole data set."""
        values = vars(self.outcome.reconciliation).values()
        rows = sum(value.nbytes for value in values if isinstance(value, np.ndarray))
        return rows + self.derived.size_bytes


def part(dataset: Dataset, start: date, end: date) -> Dataset:
    """Return the data set of these days, as the whole one was matched."""
    period = dataset.outcome.reconciliation.period
    if (start, end) == (period.start, period.end):
        return dataset
    days: Part = dataset.derived.get(("part", start, end), lambda: _part(dataset, start, end))
    return days


def _part(dataset: Dataset, start: date, end: date) -> Part:
    result = periods.narrowed(dataset.outcome.reconciliation, start, end)
    outcome = replace(
        dataset.outcome,
        request=replace(dataset.outcome.request, period=result.period),
        reconciliation=result,
        books=books.books(result),
        by_day=books.balance_by_day(result),
    )
    return Part(
        dataset.key,
        outcome,
        version=f"{dataset.version}-{start}-{end}",
        derived=Derived(_DERIVED_BYTES),
        renewed=dataset.renewed,
        within=dataset.matched,
    )
