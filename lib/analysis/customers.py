"""The marketing view of the consolidated purchases: who buys, how often, how much, and when.

A customer is a CPF, known here by its token only. Owns the definitions of the figures; every
result is a sum over many customers, and no token or mask ever leaves this module. Pure: knows no
clock, no language and no screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.analysis.time_series import HOURS, WEEKDAYS, share, weekday
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import Period

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation

    Ints = NDArray[np.int64]

TENTHS: Final = 10
MANY: Final = 10
"""Customers with this many purchases or more stand together in `by_frequency`."""


@dataclass(frozen=True)
class Figures:
    """The figures of one period; None where there is nothing to divide by.

    ``purchases`` and ``amount`` are of all consolidated transactions (a card with two holders is
    a transaction for each, by contract). ``average_ticket`` is the amount by the purchases that
    have one. A purchase without a CPF counts in these three and in ``anonymous`` only; all else is
    of the ``customers``, the different CPFs: purchases of each on average, through the physical
    and through the virtual card; the share of them who bought at least twice; and what the tenth
    of them (rounded up) who spent most spent of what all of them spent.
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
    """The figures of one period and the frames its charts are drawn from."""

    figures: Figures
    frequency: pd.DataFrame
    deciles: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame


def marketing(result: Reconciliation) -> Marketing:
    """Everything that the marketing view shows of a reconciliation."""
    return Marketing(
        figures=figures(result),
        frequency=by_frequency(result),
        deciles=by_decile(result),
        hours=approval(result, "hour"),
        weekdays=approval(result, "weekday"),
    )


def figures(result: Reconciliation) -> Figures:
    """The figures of the consolidated transactions."""
    buyers = _Buyers.of(result)
    cents = _cents(result)
    priced = cents[cents != column_arrays.MISSING]
    amount = Decimal(int(priced.sum())) / 100
    n = len(buyers.purchases)
    bought = int(buyers.purchases.sum())
    virtual = int(buyers.virtual.sum())
    spent = buyers.spent[::-1]
    total = int(spent.sum())
    top = int(spent[: -(-n // TENTHS)].sum())
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
    """How many customers bought how often.

    Columns: ``purchases`` (1 to `MANY`, the last meaning that or more), ``customers`` and their
    ``share`` of all of them (NaN where there is none).
    """
    often = np.minimum(_Buyers.of(result).purchases, MANY)
    count = np.bincount(often, minlength=MANY + 1)[1:]
    return pd.DataFrame(
        {
            "purchases": np.arange(1, MANY + 1),
            "customers": count,
            "share": share(count, np.full(MANY, count.sum())),
        }
    )


def by_decile(result: Reconciliation) -> pd.DataFrame:
    """What each tenth of the customers spent, those who spent most first.

    Columns: ``tenth`` (1 to 10), ``customers``, ``amount`` (exact) and ``share`` of the amount of
    all of them (NaN where they spent nothing). Where the customers do not divide by ten, the
    first deciles have one more.
    """
    spent = _Buyers.of(result).spent[::-1]
    parts = np.array_split(spent, TENTHS)
    amount = np.array([int(part.sum()) for part in parts], dtype=np.int64)
    return pd.DataFrame(
        {
            "tenth": np.arange(1, TENTHS + 1),
            "customers": [len(part) for part in parts],
            "amount": [Decimal(int(value)) / 100 for value in amount],
            "share": share(amount, np.full(TENTHS, max(int(spent.sum()), 0))),
        }
    )


def approval(result: Reconciliation, by: Literal["hour", "weekday"]) -> pd.DataFrame:
    """The share of approved attempts by hour of the day (0 to 23) or weekday (Monday 0).

    Columns: the hour or weekday, ``logs``, ``approved``, ``rate`` (NaN where there is no log).
    Counted over all logs of the period in the books, matched or not: a card that was only ever
    declined has no transaction, and to leave it out would flatter the rate. A log without the
    date and the time is in no row.
    """
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA)
    approved = column_arrays.is_in(result.auth_logs, c.COD_RESPOSTA, result.rule.approved_codes)
    rows = result.log_rows[logged.known[result.log_rows]]
    if by == "hour":
        size, value = HOURS, logged.seconds[rows] // 3600 % HOURS
    else:
        size, value = WEEKDAYS, weekday(logged.day[rows])
    logs = np.bincount(value, minlength=size)
    good = np.bincount(value[approved[rows]], minlength=size)
    return pd.DataFrame(
        {by: np.arange(size), "logs": logs, "approved": good, "rate": share(good, logs)}
    )


def preceding_period(period: Period) -> Period:
    """The period of the same length that ends the day before this one starts."""
    last = period.start - timedelta(days=1)
    return Period(last - (period.end - period.start), last, period.today)


@dataclass(frozen=True)
class _Buyers:
    """One entry a customer, in the order of what they spent, least first."""

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
