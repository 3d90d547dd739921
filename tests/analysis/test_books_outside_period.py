"""Records that a site's own query returns from outside the period."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal

from lib.analysis import books
from lib.domain.requests import Period, Rule
from lib.matching import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table


def test_records_outside_the_period_are_in_the_row_without_a_day() -> None:
    day, before, after = date(2026, 2, 15), date(2026, 2, 14), date(2026, 2, 20)
    bought = [
        Transaction("1", "4000001", None, at, time(12), Decimal("1.00"))
        for at in (before, day, after, None)
    ]
    logs = [Log("4000009", at, time(12)) for at in (before, day, after)]
    result = reconcile.reconcile(
        transactions_table(bought), logs_table(logs), Period(day, day, day), Rule()
    )

    days = books.balance_by_day(result)

    assert days["day"].to_pylist() == [day, None]
    assert days["transactions"].to_pylist() == [1, 3]
    assert days["divergences"].to_pylist() == [1, 2]
