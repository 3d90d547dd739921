"""The figures of the landing page: daily series, the coverage of each source, and days to compare.

Holds plain numbers, dates and tuples, so that a cache can keep them. Counts nothing itself:
`lib.analysis.books` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from lib.analysis import books, periods
from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.domain.outcomes import Outcome
    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Period


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


TRANSACTIONS: Final = "transactions"
LOGS: Final = "logs"
DECLINED: Final = "declined_rate"


def day_figures(result: Reconciliation) -> dict[str, float]:
    """Return the figures of a day that do not depend on how it was matched.

    So a day alone and the same day within a longer period have the same. `DECLINED`, the share of
    the logs, is absent without logs.
    """
    logs = len(result.log_rows)
    figures = {TRANSACTIONS: float(len(result.transaction_rows)), LOGS: float(logs)}
    if logs:
        codes = result.rule.approved_codes
        approved = column_arrays.is_in(result.auth_logs, c.COD_RESPOSTA, codes)[result.log_rows]
        figures[DECLINED] = 1 - int(approved.sum()) / logs
    return figures


def chance(figures: dict[str, float]) -> dict[str, float]:
    """Return the standard deviation of each figure by chance alone, as if records were random."""
    logs = figures[LOGS]
    spreads = {name: figures[name] ** 0.5 for name in (TRANSACTIONS, LOGS)}
    if logs:
        # At least one declined log: the rate 0 has a deviation too.
        rate = max(figures[DECLINED], 1 / logs)
        spreads[DECLINED] = (rate * (1 - rate) / logs) ** 0.5
    return spreads


def daily(by_day: pa.Table, period: Period) -> dict[str, Any]:
    """Return the series of `Overview` from `books.balance_by_day`."""
    # Records outside the period are in the books, but in no series. Today would end every series
    # in a fall.
    whole = periods.whole(period)
    days = by_day.drop_null().slice(0, (whole.end - whole.start).days + 1 if whole else 0)
    return {
        "transactions": tuple(days["transactions"].to_pylist()),
        "consolidated": tuple(days["consolidated"].to_pylist()),
        "divergences": tuple(days["divergences"].to_pylist()),
        "amount": tuple(days["amount_consolidated"].to_pylist()),
    }


def overview(outcome: Outcome) -> Overview:
    """Return the landing page's figures of an outcome."""
    return Overview(
        **daily(outcome.by_day, outcome.request.period),
        motivos=books.by_motivo(outcome.reconciliation),
        **vars(books.coverage(outcome.reconciliation)),
    )
