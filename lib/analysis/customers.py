"""Marketing figures of the consolidated purchases: customers, frequency, amounts, approval.

Owns the definitions of the figures. A customer is a CPF, known by its token only; results are
aggregates, and no token or mask leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.analysis.time_series import HOURS, WEEKDAYS, share, weekday
from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    from lib.domain.column_arrays import Ints
    from lib.domain.reconciliation import Reconciliation

DECILES: Final = 10
MOST_PURCHASES: Final = 10
"""The last class of `by_frequency` counts customers with this many purchases or more."""


@dataclass(frozen=True)
class Figures:
    """The figures of one period; None where the divisor is zero.

    ``purchases`` and ``amount`` cover all consolidated transactions (a card with two holders
    gives one transaction for each, by contract). ``average_ticket`` is the amount divided by the
    purchases that have one. Purchases without a CPF count in these three and in ``anonymous``
    only. All other figures are of the ``customers``, the distinct CPFs: average purchases of each,
    in total and by physical and virtual card; the share of them with at least two purchases; and
    the share of their amount that the top decile (rounded up) spent.
    """

    purchases: int
    amount: Decimal
    average_ticket: Decimal | None
    anonymous: int
    customers: int
    purchases_per_customer: float | None
    fisico_per_customer: float | None
    virtual_per_customer: float | None
    repeat_share: float | None
    top_decile_share: float | None


@dataclass(frozen=True)
class Marketing:
    """The figures of one period and the frames of its charts."""

    figures: Figures
    frequency: pd.DataFrame
    deciles: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame


def marketing(result: Reconciliation) -> Marketing:
    """Compute all figures and frames of the marketing view."""
    return Marketing(
        figures=figures(result),
        frequency=by_frequency(result),
        deciles=by_decile(result),
        hours=approval(result, "hour"),
        weekdays=approval(result, "weekday"),
    )


def figures(result: Reconciliation) -> Figures:
    """Compute the figures of the consolidated transactions."""
    buyers = _Buyers.of(result)
    cents = _cents(result)
    priced = cents[cents != column_arrays.MISSING]
    amount = column_arrays.total(priced)
    n = len(buyers.purchases)
    bought = int(buyers.purchases.sum())
    virtual = int(buyers.virtual.sum())
    spent = buyers.spent[::-1]
    total = int(spent.sum())
    top = int(spent[: -(-n // DECILES)].sum())
    return Figures(
        purchases=len(cents),
        amount=amount,
        average_ticket=amount / len(priced) if len(priced) else None,
        anonymous=len(cents) - bought,
        customers=n,
        purchases_per_customer=bought / n if n else None,
        fisico_per_customer=(bought - virtual) / n if n else None,
        virtual_per_customer=virtual / n if n else None,
        repeat_share=int((buyers.purchases > 1).sum()) / n if n else None,
        top_decile_share=top / total if total > 0 else None,
    )


def by_frequency(result: Reconciliation) -> pd.DataFrame:
    """Count the customers by their number of purchases.

    Columns: ``purchases`` (1 to `MOST_PURCHASES`; the last class is open), ``customers`` and their
    ``share`` (NaN without customers).
    """
    purchases = np.minimum(_Buyers.of(result).purchases, MOST_PURCHASES)
    count = np.bincount(purchases, minlength=MOST_PURCHASES + 1)[1:]
    return pd.DataFrame(
        {
            "purchases": np.arange(1, MOST_PURCHASES + 1),
            "customers": count,
            "share": share(count, np.full(MOST_PURCHASES, count.sum())),
        }
    )


def by_decile(result: Reconciliation) -> pd.DataFrame:
    """Sum the amount spent by each decile of the customers, the highest spenders first.

    Columns: ``decile`` (1 to 10), ``customers``, ``amount`` (exact) and ``share`` of the total
    amount (NaN unless positive). Where ten does not divide the number of customers, the first
    deciles have one more.
    """
    spent = _Buyers.of(result).spent[::-1]
    parts = np.array_split(spent, DECILES)
    amount = np.array([int(part.sum()) for part in parts], dtype=np.int64)
    return pd.DataFrame(
        {
            "decile": np.arange(1, DECILES + 1),
            "customers": [len(part) for part in parts],
            "amount": column_arrays.decimals(amount),
            "share": share(amount, np.full(DECILES, max(int(spent.sum()), 0))),
        }
    )


def approval(result: Reconciliation, by: Literal["hour", "weekday"]) -> pd.DataFrame:
    """Compute the share of approved attempts by hour of the day (0 to 23) or weekday (Monday 0).

    Columns: ``hour`` or ``weekday``, ``logs``, ``approved``, ``rate`` (NaN without logs). Covers
    all logs inside the period, matched or not: cards that were only declined have no transaction,
    and leaving them out would overstate the rate. A log without a date or a time is in no row.
    """
    instants = column_arrays.instants(result.auth_logs, c.DATA, c.HORA)
    approved = column_arrays.is_in(result.auth_logs, c.COD_RESPOSTA, result.rule.approved_codes)
    rows = result.log_rows[instants.known[result.log_rows]]
    if by == "hour":
        size, value = HOURS, instants.seconds[rows] // 3600 % HOURS
    else:
        size, value = WEEKDAYS, weekday(instants.day[rows])
    logs = np.bincount(value, minlength=size)
    approvals = np.bincount(value[approved[rows]], minlength=size)
    return pd.DataFrame(
        {by: np.arange(size), "logs": logs, "approved": approvals, "rate": share(approvals, logs)}
    )


@dataclass(frozen=True)
class _Buyers:
    """Arrays with one entry per customer, sorted by the amount spent, least first."""

    purchases: Ints
    virtual: Ints
    spent: Ints

    @classmethod
    def of(cls, result: Reconciliation) -> _Buyers:
        token, present = column_arrays.token(result.transactions, c.TOKEN_CPF)
        rows = result.consolidated_rows
        known = present[rows]
        customer = pa.array(token[rows[known]]).dictionary_encode().indices.to_numpy()
        cents = _cents(result)[known]
        cents[cents == column_arrays.MISSING] = 0
        purchases = np.bincount(customer)
        spent = np.zeros(len(purchases), dtype=np.int64)
        np.add.at(spent, customer, cents)
        virtual = np.bincount(customer[result.pair_virtual[known]], minlength=len(purchases))
        order = np.argsort(spent)
        return cls(purchases[order], virtual[order], spent[order])


def _cents(result: Reconciliation) -> Ints:
    return column_arrays.cents(result.transactions, c.VLR_TOTAL)[result.consolidated_rows]
