"""The figures of the landing page: daily series, and the coverage of each source.

Holds plain numbers, dates and tuples, so that a cache can keep them. Counts nothing itself:
`lib.analysis.books` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from lib.analysis import books, periods

if TYPE_CHECKING:
    from lib.domain.outcomes import Outcome


@dataclass(frozen=True)
class Overview:
    """Series with one value per whole day, `books.by_motivo` and `books.Coverage`."""

    transactions: tuple[int, ...]
    consolidated: tuple[int, ...]
    divergences: tuple[int, ...]
    amount: tuple[Decimal, ...]
    motivos: dict[str, int]
    latest_transaction: datetime | None
    latest_log: datetime | None
    days_without_transactions: tuple[date, ...]
    days_without_logs: tuple[date, ...]


def overview(outcome: Outcome) -> Overview:
    """Return the landing page's figures of an outcome."""
    # Records outside the period are in the books, but in no series. Today would end every series
    # in a fall.
    whole = periods.whole(outcome.request.period)
    days = outcome.by_day.drop_null()
    days = days.slice(0, (whole.end - whole.start).days + 1 if whole else 0)
    return Overview(
        transactions=tuple(days["transactions"].to_pylist()),
        consolidated=tuple(days["consolidated"].to_pylist()),
        divergences=tuple(days["divergences"].to_pylist()),
        amount=tuple(days["amount_consolidated"].to_pylist()),
        motivos=books.by_motivo(outcome.reconciliation),
        **vars(books.coverage(outcome.reconciliation)),
    )
