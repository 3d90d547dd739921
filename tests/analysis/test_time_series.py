"""The frames of the charts, against values computed by hand and sums over the rows."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest

from lib.analysis import books, time_series
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

MONDAY = date(2026, 3, 2)
TUESDAY = date(2026, 3, 3)
TEN = time(10, 0, 0)


def bought(
    day: date | None,
    at: time | None = TEN,
    *,
    card: str = "4000000000001",
    virtual: str | None = None,
    amount: str | None = "10.00",
) -> Transaction:
    value = None if amount is None else Decimal(amount)
    return Transaction("11122233344", card, virtual, day, at, value)


def logged(day: date | None, at: time | None = TEN, *, card: str = "4000000000001") -> Log:
    return Log(card, day, at)


def of(
    transactions: list[Transaction],
    logs: list[Log],
    start: date = MONDAY,
    end: date = TUESDAY,
) -> Reconciliation:
    period = Period(start, end, date(2026, 12, 31))
    return reconcile(transactions_table(transactions), logs_table(logs), period, Rule())


def test_a_timeline_has_the_counts_and_amounts_of_each_day_of_the_period() -> None:
    result = of(
        [
            bought(MONDAY),
            bought(MONDAY, time(11, 0), virtual="5000000000001", amount="5.50"),
            bought(MONDAY, card="4000000000009"),
            bought(TUESDAY, amount=None),
        ],
        [
            logged(MONDAY),
            logged(MONDAY, time(11, 0), card="5000000000001"),
            logged(MONDAY, card="4000000000002"),
        ],
    )

    days = time_series.timeline(result)

    assert days.to_dict("records") == [
        {
            "at": datetime(2026, 3, 2),  # noqa: DTZ001
            "consolidated": 2,
            "divergences": 1,
            "without_log": 1,
            "fisico": 1,
            "virtual": 1,
            "rate": pytest.approx(2 / 3),
            "amount": Decimal("15.50"),
            "amount_fisico": Decimal("10.00"),
            "amount_virtual": Decimal("5.50"),
        },
        {
            "at": datetime(2026, 3, 3),  # noqa: DTZ001
            "consolidated": 1,
            "divergences": 0,
            "without_log": 0,
            "fisico": 1,
            "virtual": 0,
            "rate": 1.0,
            "amount": Decimal("0.00"),
            "amount_fisico": Decimal("0.00"),
            "amount_virtual": Decimal("0.00"),
        },
    ]


def test_the_days_of_a_timeline_agree_with_the_books_by_day() -> None:
    rng = np.random.default_rng(7)
    days = [MONDAY + timedelta(days=int(d)) for d in rng.integers(0, 5, 200)]
    cards = [f"40000000000{n:02}" for n in rng.integers(0, 30, 400)]
    result = of(
        [bought(day, card=card) for day, card in zip(days, cards[:200], strict=True)],
        [logged(day, card=card) for day, card in zip(days, cards[200:], strict=True)],
        end=MONDAY + timedelta(days=4),
    )

    timeline, by_day = time_series.timeline(result), books.balance_by_day(result)

    assert timeline["at"].dt.date.to_list() == by_day["day"].to_pylist()
    for name in ("consolidated", "divergences", "without_log"):
        assert timeline[name].to_list() == by_day[name].to_pylist()
    assert timeline["amount"].to_list() == by_day["amount_consolidated"].to_pylist()


def test_a_timeline_of_a_single_day_goes_by_the_hour() -> None:
    result = of(
        [bought(MONDAY, time(0, 0)), bought(MONDAY, time(23, 59, 59)), bought(MONDAY, None)],
        [logged(MONDAY, time(13, 0), card="4000000000002"), logged(MONDAY, time(0, 0))],
        end=MONDAY,
    )

    hours = time_series.timeline(result)

    assert len(hours) == 24
    assert hours["at"].iloc[23] == datetime(2026, 3, 2, 23)  # noqa: DTZ001
    assert np.flatnonzero(hours["consolidated"]).tolist() == [0, 23]
    assert np.flatnonzero(hours["divergences"]).tolist() == [13]


def test_a_day_without_purchases_has_no_rate_rather_than_a_rate_of_zero() -> None:
    days = time_series.timeline(of([bought(MONDAY)], []))

    assert days["rate"].iloc[0] == 0.0
    assert np.isnan(days["rate"].iloc[1])


def test_records_without_a_date_are_in_no_day() -> None:
    result = of([bought(None)], [logged(None), logged(None, card="4000000000002")])

    days = time_series.timeline(result)

    assert days[["consolidated", "divergences", "without_log"]].to_numpy().sum() == 0


def test_weekday_and_hour_counts_are_compared_by_how_often_the_weekday_has_data() -> None:
    weeks = [MONDAY, MONDAY + timedelta(days=7)]
    result = of(
        [bought(weeks[0], time(9, 59, 59)), bought(weeks[1], time(9, 0)), bought(TUESDAY)],
        [logged(weeks[0]), logged(weeks[1]), logged(TUESDAY, card="4000000000009")],
        end=MONDAY + timedelta(days=14),
    )

    cells = time_series.by_weekday_and_hour(result).set_index(["weekday", "hour"])

    assert len(cells) == 7 * 24
    assert cells.loc[(0, 9)].to_list() == [2, 2, 1.0]
    assert cells.loc[(1, 9)].to_list() == [0, 1, 0.0]
    assert cells["transactions"].sum() == 3


def test_a_weekday_the_period_does_not_have_has_no_mean() -> None:
    cells = time_series.by_weekday_and_hour(of([], [])).set_index(["weekday", "hour"])

    assert np.isnan(cells.loc[(6, 0), "mean"])
    assert cells.loc[(6, 0), "days"] == 0


def test_differences_are_in_bins_of_equal_width_with_outliers_in_the_first_and_last() -> None:
    near = [
        (Transaction("1", f"4{n:012}", None, MONDAY, TEN, Decimal(1)), n % 10) for n in range(300)
    ]
    far = bought(MONDAY, TEN, card="5000000000001")
    result = of(
        [*(t for t, _ in near), far],
        [
            *(logged(MONDAY, time(10, 0, seconds), card=t.card or "") for t, seconds in near),
            logged(MONDAY, time(4, 0), card="5000000000001"),
        ],
    )

    bins = time_series.time_difference(result)

    assert bins["low"].to_list() == [-np.inf, *range(10)]
    assert bins["high"].to_list() == [0, *range(1, 11)]
    assert bins["transactions"].to_list() == [1, *[30] * 10]


@pytest.mark.parametrize("spread", [0, 39, 40, 3_600, 86_399, 40_000_000, 10**11])
def test_no_difference_is_lost_however_wide_their_range(spread: int) -> None:
    seconds = np.ma.array(np.linspace(-spread, spread, 1_000).astype(np.int64), mask=False)
    seconds[:3] = np.ma.masked
    result = of([], [])
    object.__setattr__(result, "pair_seconds", seconds)

    bins = time_series.time_difference(result)

    assert bins["transactions"].sum() == 997
    assert len(bins) <= 42
    assert np.all(bins["low"].to_numpy()[1:] == bins["high"].to_numpy()[:-1])


def test_half_of_the_purchases_have_their_log_within_the_median_distance() -> None:
    cards = [f"400000000000{n}" for n in range(3)]
    result = of(
        [bought(MONDAY, card=card) for card in cards],
        [
            logged(MONDAY, at, card=card)
            for at, card in zip(
                [time(9, 59, 58), time(10, 0, 3), time(12, 0, 0)], cards, strict=True
            )
        ],
    )

    assert time_series.median_distance(result) == 3.0


def test_nothing_extracted_gives_empty_series_and_no_failure() -> None:
    result = of([], [])

    assert time_series.timeline(result)["consolidated"].sum() == 0
    assert time_series.by_weekday_and_hour(result)["transactions"].sum() == 0
    assert len(time_series.time_difference(result)) == 0
    assert time_series.median_distance(result) is None


@pytest.mark.parametrize(
    ("days", "second"),
    [
        (400, date(2026, 3, 3)),
        (401, date(2026, 3, 9)),
        (2_800, date(2026, 3, 9)),
        (2_801, date(2026, 4, 1)),
    ],
)
def test_a_long_timeline_is_by_week_or_by_month_and_has_the_same_sums(
    days: int, second: date
) -> None:
    end = MONDAY + timedelta(days=days - 1)
    transactions = [
        bought(MONDAY + timedelta(days=n), card=f"{n:013}", virtual=f"9{n:012}" if n % 3 else None)
        for n in range(0, days, 5)
    ]
    logs = [
        logged(MONDAY + timedelta(days=n), card=f"9{n:012}" if n % 3 else f"{n:013}")
        for n in range(0, days, 10)
    ]
    result = of(transactions, logs, end=end)

    whole, shown = time_series.timeline(result), time_series.series(result).timeline

    assert list(shown.columns) == list(whole.columns)
    assert shown["at"][1].date() == second
    assert len(shown) <= 400
    for name in set(whole.columns) - {"at", "rate"}:
        assert sum(shown[name]) == sum(whole[name]), name
    assert shown["amount"].map(type).eq(Decimal).all()
    rates = shown["consolidated"] / (shown["consolidated"] + shown["without_log"])
    assert shown["rate"].equals(rates)


def test_a_week_that_the_period_enters_begins_before_it() -> None:
    end = TUESDAY + timedelta(days=500)
    timeline = time_series.series(of([bought(TUESDAY)], [], TUESDAY, end)).timeline

    assert [at.date() for at in timeline["at"][:2]] == [MONDAY, MONDAY + timedelta(days=7)]
    assert timeline["without_log"][0] == 1
