"""Whole days, the days they are compared with, and the part of a reconciliation on some days."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import books, periods, time_series
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import CARD, CARD_TIME, Period, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

TODAY = date(2026, 3, 12)
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 6)
DATES = st.integers(0, 4).map(lambda n: FIRST + timedelta(days=n))
TIMES = st.one_of(st.none(), st.sampled_from([time(0, 0), time(12, 0), time(23, 58)]))
CARDS = st.sampled_from(["4000001", "4000002", "4099991"])
PURCHASES = st.builds(
    Transaction,
    cpf=st.sampled_from(["11122233344", None]),
    card=CARDS,
    virtual=st.one_of(st.none(), CARDS),
    day=DATES,
    time=TIMES,
    amount=st.one_of(st.none(), st.sampled_from([Decimal("10.00"), Decimal("0.01")])),
)
LOGS = st.builds(Log, card=CARDS, day=DATES, time=TIMES, code=st.sampled_from(["00", "51"]))


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def of(transactions: list[Transaction], logs: list[Log], rule: str = CARD) -> Reconciliation:
    period = Period(FIRST, LAST, TODAY)
    return reconcile(transactions_table(transactions), logs_table(logs), period, Rule(rule))


@pytest.mark.parametrize(
    ("period", "days", "past"),
    [
        ((10, 0), (10, 1), (24, 15)),  # ten whole days and today: two weeks back
        ((7, 1), (7, 1), (14, 8)),
        ((8, 1), (8, 1), (22, 15)),
        ((1, 1), (1, 1), (8, 8)),
        ((1, 0), (1, 1), (8, 8)),
        ((0, 0), None, None),
        ((40, 33), (40, 33), (54, 47)),
    ],
    ids=str,
)
def test_whole_days_are_compared_with_as_many_of_the_same_weekdays_before_them(
    period: tuple[int, int], days: tuple[int, int] | None, past: tuple[int, int] | None
) -> None:
    def of_days(span: tuple[int, int] | None) -> Period | None:
        return Period(day(span[0]), day(span[1]), TODAY) if span else None

    asked = Period(day(period[0]), day(period[1]), TODAY)

    assert periods.whole(asked) == of_days(days)
    assert periods.compared(asked) == of_days(past)


@given(st.integers(0, 800), st.integers(0, 800))
def test_compared_days_are_the_nearest_that_do_not_overlap(first: int, length: int) -> None:
    period = Period(day(first + length), day(first), TODAY)
    days, past = periods.whole(period), periods.compared(period)
    if days is None or past is None:
        assert period.start == TODAY
        return
    back = (days.start - past.start).days
    assert back % 7 == 0
    assert days.end - past.end == days.start - past.start
    assert past.end < days.start
    assert days.end - timedelta(days=back - 7) >= days.start


@given(
    st.lists(PURCHASES, max_size=8), st.lists(LOGS, max_size=8), st.sampled_from([CARD, CARD_TIME])
)
def test_the_figures_of_a_day_within_a_reconciliation_are_those_of_its_row(
    transactions: list[Transaction], logs: list[Log], rule: str
) -> None:
    result = of(transactions, logs, rule)
    rows = books.balance_by_day(result).to_pylist()

    for row in rows:
        part = periods.narrowed(result, row["day"], row["day"])
        expected = {name: value for name, value in row.items() if name != "day"}
        assert vars(books.books(part)) == expected
        assert books.balance_by_day(part).to_pylist() == [row]


@given(st.lists(PURCHASES, max_size=8), st.lists(LOGS, max_size=8))
def test_days_within_a_reconciliation_hold_each_of_its_rows_once(
    transactions: list[Transaction], logs: list[Log]
) -> None:
    result = of(transactions, logs)
    middle = FIRST + timedelta(days=2)
    parts = [
        periods.narrowed(result, FIRST, middle),
        periods.narrowed(result, middle + timedelta(days=1), LAST),
    ]

    for sheet in ("consolidated", "divergences"):
        whole = getattr(result, sheet)().to_pylist()
        assert [row for part in parts for row in getattr(part, sheet)().to_pylist()] == whole


def test_a_pair_across_midnight_stays_a_pair_on_the_day_of_its_purchase() -> None:
    bought = Transaction("11122233344", "4000001", None, FIRST, time(23, 59), Decimal(10))
    logged = Log("4000001", FIRST + timedelta(days=1), time(0, 1))
    result = of([bought], [logged])

    first, second = (
        books.books(periods.narrowed(result, on, on)) for on in (FIRST, FIRST + timedelta(days=1))
    )

    assert (first.consolidated, first.logs) == (1, 0)
    assert (second.transactions, second.logs_matched, second.divergences) == (0, 1, 0)


def test_a_mean_counts_whole_days_with_data_only() -> None:
    """A month with three days of data, of which today is not over."""
    today = date(2026, 3, 31)
    days = [date(2026, 3, 24), date(2026, 3, 30), today]
    bought = [
        Transaction(None, f"40000{n:02}", None, on, time(9, n), Decimal(1))
        for on in days
        for n in range(6)
    ]
    logged = [Log(t.card, t.day, t.time) for t in bought]
    period = Period(date(2026, 3, 1), today, today)
    result = reconcile(transactions_table(bought), logs_table(logged), period, Rule())

    cells = time_series.by_weekday_and_hour(result).set_index(["weekday", "hour"])

    assert periods.with_data(result) == days[:2]
    assert cells.loc[(1, 9)].to_list() == [6, 1, 6.0]  # the Tuesday of the 24th, not today
    assert cells.loc[(0, 9)].to_list() == [6, 1, 6.0]
    assert cells["transactions"].sum() == 12


def test_a_day_with_records_of_one_side_only_is_no_day_with_data() -> None:
    bought = Transaction(None, "4000001", None, FIRST, time(9), Decimal(1))
    result = of([bought], [Log("4000002", FIRST + timedelta(days=1), time(9))])

    assert periods.with_data(result) == []
