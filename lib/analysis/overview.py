"""The figures of the landing page out of an outcome: series by day and how far the data reach.

Pure: one outcome in, one frozen value of plain numbers, dates and tuples out, which a cache may
keep. Counts nothing that `lib.analysis.books` counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lib.analysis import books

if TYPE_CHECKING:
    from lib.domain.outcomes import Outcome


@dataclass(frozen=True)
class Overview:
    """Series with one number a day of the period, and what there is beside the books.

    ``motivos`` counts divergences, those that need a person first. The reaches are the latest
    instants read of each side, None where it gave none.
    """

    transactions: tuple[int, ...]
    consolidated: tuple[int, ...]
    divergences: tuple[int, ...]
    amount: tuple[Decimal, ...]
    motivos: dict[str, int]
    transactions_reach: datetime | None
    logs_reach: datetime | None
    days_without_transactions: tuple[date, ...]
    days_without_logs: tuple[date, ...]


def overview(outcome: Outcome) -> Overview:
    """The landing page's figures of an outcome."""
    result = outcome.reconciliation
    # Records without a date are in the books, but in no day of a series.
    daily = outcome.by_day[outcome.by_day["day"].notna()]
    reach = books.reach(result)
    return Overview(
        transactions=_whole(daily["transactions"]),
        consolidated=_whole(daily["consolidated"]),
        divergences=_whole(daily["divergences"]),
        amount=tuple(daily["amount_consolidated"]),
        motivos=books.by_motivo(result),
        transactions_reach=reach.transactions,
        logs_reach=reach.auth_logs,
        days_without_transactions=reach.days_without_transactions,
        days_without_logs=reach.days_without_logs,
    )


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
