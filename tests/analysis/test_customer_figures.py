"""The marketing figures against their definitions, computed by hand and by a plain loop."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import customers
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

MONDAY = date(2026, 3, 2)
SUNDAY = date(2026, 3, 8)
Purchase = tuple[str | None, Decimal | None, bool]


def of(purchases: list[Purchase], extra: list[Log] | None = None) -> Reconciliation:
    """Reconcile purchases (CPF, amount, by the virtual card), each with its own card and log."""
    transactions, logs = [], list(extra or [])
    for n, (cpf, amount, virtual) in enumerate(purchases):
        physical, number = f"4{n:012}", f"5{n:012}"
        at = time(n // 3600 % 24, n // 60 % 60, n % 60)
        transactions.append(Transaction(cpf, physical, number, MONDAY, at, amount))
        logs.append(Log(number if virtual else physical, MONDAY, at))
    period = Period(MONDAY, SUNDAY, date(2026, 12, 31))
    return reconcile(transactions_table(transactions), logs_table(logs), period, Rule())


def bought(cpf: str | None, amount: str | None = "10.00", *, virtual: bool = False) -> Purchase:
    return cpf, None if amount is None else Decimal(amount), virtual


def test_the_figures_of_three_customers_are_as_defined() -> None:
    result = of(
        [
            bought("ana", "60.00"),
            bought("ana", "20.00", virtual=True),
            bought("ana", "0.00", virtual=True),
            bought("rui", "15.00"),
            bought("eva", "5.00"),
        ]
    )

    figures = customers.figures(result)

    assert figures == customers.Figures(
        purchases=5,
        amount=Decimal("100.00"),
        average_ticket=Decimal(20),
        anonymous=0,
        customers=3,
        purchases_per_customer=pytest.approx(5 / 3),
        fisico_per_customer=1.0,
        virtual_per_customer=pytest.approx(2 / 3),
        repeat_share=pytest.approx(1 / 3),
        top_decile_share=pytest.approx(0.8),
    )


def test_a_purchase_without_cpf_is_counted_and_belongs_to_no_customer() -> None:
    figures = customers.figures(
        of([bought(None, "7.00"), bought("", "2.00"), bought("ana", "1.00")])
    )

    assert (figures.purchases, figures.anonymous, figures.customers) == (3, 2, 1)
    assert figures.amount == Decimal("10.00")
    assert figures.top_decile_share == 1.0


def test_a_purchase_without_an_amount_does_not_lower_the_average_ticket() -> None:
    figures = customers.figures(of([bought("ana", "30.00"), bought("rui", None)]))

    assert figures.average_ticket == Decimal(30)
    assert figures.purchases == 2


def test_a_transaction_without_a_log_is_no_purchase_of_the_marketing_view() -> None:
    silent = Transaction("bia", "4999999999999", None, MONDAY, time(9, 0), Decimal(99))
    period = Period(MONDAY, SUNDAY, date(2026, 12, 31))
    result = reconcile(transactions_table([silent]), logs_table([]), period, Rule())

    assert customers.figures(result).customers == 0


def test_without_purchases_averages_and_shares_are_none() -> None:
    figures = customers.figures(of([]))

    assert (figures.purchases, figures.customers, figures.amount) == (0, 0, Decimal(0))
    assert figures.average_ticket is None
    assert figures.repeat_share is None
    assert figures.top_decile_share is None


def test_an_amount_of_zero_after_refunds_has_no_shares() -> None:
    result = of([bought("ana", "10.00"), bought("rui", "-10.00")])

    assert customers.figures(result).top_decile_share is None
    assert customers.by_decile(result)["share"].isna().all()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *"abcdefghijklmnopqrstuvwxyz"]),
            st.one_of(st.none(), st.decimals(0, 1000, places=2)),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_the_figures_are_what_a_plain_loop_over_the_purchases_gives(
    purchases: list[Purchase],
) -> None:
    spent: dict[str, Decimal] = {}
    times: dict[str, int] = {}
    for cpf, amount, _ in purchases:
        if cpf is not None:
            spent[cpf] = spent.get(cpf, Decimal(0)) + (amount or Decimal(0))
            times[cpf] = times.get(cpf, 0) + 1
    best = sorted(spent.values(), reverse=True)[: -(-len(spent) // 10)]
    total = sum(spent.values())

    result = of(purchases)
    figures = customers.figures(result)
    deciles = customers.by_decile(result)

    assert figures.customers == len(spent)
    assert figures.anonymous == sum(cpf is None for cpf, _, _ in purchases)
    assert figures.amount == sum(amount or Decimal(0) for _, amount, _ in purchases)
    if spent:
        repeated = sum(n > 1 for n in times.values())
        assert figures.repeat_share == pytest.approx(repeated / len(spent))
        virtual = sum(v for cpf, _, v in purchases if cpf is not None)
        assert figures.virtual_per_customer == pytest.approx(virtual / len(spent))
    if total:
        assert figures.top_decile_share == pytest.approx(
            float(Fraction(sum(best)) / Fraction(total))
        )
    assert deciles["customers"].sum() == len(spent)
    assert sum(deciles["amount"]) == total
    often = customers.by_frequency(result)
    assert often["customers"].to_list() == [
        sum(min(n, 10) == k for n in times.values()) for k in range(1, 11)
    ]


def test_the_approval_rate_counts_every_attempt_of_the_period_matched_or_not() -> None:
    result = of(
        [bought("ana")],
        [
            Log("4999999999999", MONDAY, time(0, 59, 59), "51"),
            Log("4999999999999", MONDAY, time(0, 30, 0), None),
            Log("4999999999999", SUNDAY, time(23, 0, 0), "00"),
            Log("4999999999999", MONDAY, None, "00"),
        ],
    )

    hours = customers.approval(result, "hour").set_index("hour")
    days = customers.approval(result, "weekday").set_index("weekday")

    assert hours.loc[0].to_list() == [3, 1, pytest.approx(1 / 3)]
    assert hours.loc[23].to_list() == [1, 1, 1.0]
    assert hours["logs"].sum() == 4
    assert np.isnan(hours.loc[12, "rate"])
    assert days.loc[6].to_list() == [1, 1, 1.0]
    assert days.loc[0].to_list() == [3, 1, pytest.approx(1 / 3)]


def test_the_share_of_the_first_decile_equals_the_figure() -> None:
    result = of([bought(name, str(n)) for n, name in enumerate("abcdefghijklmnopqrstuvw", 1)])

    deciles = customers.by_decile(result)

    assert deciles["share"].iloc[0] == pytest.approx(customers.figures(result).top_decile_share)
    assert deciles["amount"].iloc[0] == Decimal(23 + 22 + 21)
    assert deciles["share"].sum() == pytest.approx(1.0)
