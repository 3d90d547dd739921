"""Matching against a naive quadratic matcher, over generated records that collide."""

from __future__ import annotations

import random
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import books
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching import nearest_pairs
from lib.matching.reconcile import reconcile
from tests.support import naive
from tests.support.tables import (
    Log,
    Transaction,
    consolidated_rows,
    divergence_rows,
    logs_table,
    transaction_rows,
    transactions_table,
)

CARDS = st.sampled_from([None, "", "4000001", "4000002", "4000003", "400000 1"])
DAYS = st.sampled_from([None, date(2026, 2, 14), date(2026, 2, 15), date(2026, 2, 16)])
TIMES = st.one_of(
    st.none(),
    st.sampled_from([time(0, 0, 0), time(23, 59, 59), time(12, 0, 0), time(12, 0, 1)]),
    st.integers(0, 86_399).map(lambda s: time(s // 3600, s // 60 % 60, s % 60)),
)
TRANSACTIONS = st.lists(
    st.builds(
        Transaction,
        cpf=st.sampled_from([None, "11122233344", "99988877766"]),
        card=CARDS,
        virtual=CARDS,
        day=DAYS,
        time=TIMES,
        amount=st.sampled_from([None, Decimal("0.00"), Decimal("10.50"), Decimal("-3.00")]),
        merchant=st.sampled_from(["12345678000190", "12345678000191"]),
    ),
    max_size=12,
)
LOGS = st.lists(
    st.builds(
        Log,
        card=CARDS,
        day=DAYS,
        time=TIMES,
        code=st.sampled_from([None, "", "00", "51"]),
        text=st.sampled_from([None, "", "Aprovada", "=1+1"]),
    ),
    max_size=12,
)


@given(TRANSACTIONS, LOGS, st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
def test_rule_card_gives_what_a_naive_quadratic_matcher_gives(
    transactions: list[Transaction],
    logs: list[Log],
    age: int,
    dictionary: bool,
    shuffle: random.Random,
) -> None:
    end = date(2026, 2, 16)
    today = date(2026, 2, 16 + age)
    expected = naive.reconcile(transactions, logs, end=end, today=today)
    shuffle.shuffle(transactions)
    shuffle.shuffle(logs)

    result = reconcile(
        transactions_table(transactions, dictionary=dictionary),
        logs_table(logs, dictionary=dictionary),
        Period(date(2026, 2, 14), end, today),
        Rule(),
    )

    check_rows(result, expected)


@given(
    TRANSACTIONS,
    LOGS,
    st.sampled_from([0, 1, 59, 60, 300, 43_200, 86_400 * 2]),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_rule_card_time_gives_what_a_naive_greedy_matcher_gives(
    transactions: list[Transaction],
    logs: list[Log],
    tolerance: int,
    age: int,
    shuffle: random.Random,
) -> None:
    check_card_time(transactions, logs, tolerance, age, shuffle)


NEAR_TIMES = st.integers(0, 12).map(lambda s: time(12, 0, s))


@given(
    st.lists(
        st.builds(
            Transaction,
            cpf=st.sampled_from(["11122233344", "99988877766"]),
            card=st.sampled_from(["4000001", "4000002"]),
            virtual=st.sampled_from([None, "4000001", "4000002", "4000003"]),
            day=st.just(date(2026, 2, 15)),
            time=NEAR_TIMES,
            amount=st.sampled_from([Decimal("1.00"), Decimal("2.00")]),
        ),
        max_size=14,
    ),
    st.lists(
        st.builds(
            Log,
            card=st.sampled_from(["4000001", "4000002", "4000003"]),
            day=st.just(date(2026, 2, 15)),
            time=NEAR_TIMES,
            code=st.sampled_from(["00", "51"]),
            text=st.sampled_from(["", "a", "b"]),
        ),
        max_size=14,
    ),
    st.integers(0, 6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_rule_card_time_is_greedy_among_crowded_neighbours(
    transactions: list[Transaction],
    logs: list[Log],
    tolerance: int,
    sweep: bool,
    shuffle: random.Random,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if sweep:
            patch.setattr(nearest_pairs, "_ROUNDS", 0)
            patch.setattr(nearest_pairs, "_WORTHWHILE", 2.0)
        check_card_time(transactions, logs, tolerance, 0, shuffle)


def check_card_time(
    transactions: list[Transaction],
    logs: list[Log],
    tolerance: int,
    age: int,
    shuffle: random.Random,
) -> None:
    day = date(2026, 2, 15)
    today = date(2026, 2, 15 + age)
    expected = naive.reconcile_in_time(
        transactions, logs, start=day, end=day, today=today, tolerance=tolerance
    )
    shuffle.shuffle(transactions)
    shuffle.shuffle(logs)

    result = reconcile(
        transactions_table(transactions),
        logs_table(logs),
        Period(day, day, today),
        Rule("card_time", tolerance),
    )

    check_rows(result, expected)
    reasons = [
        (*row, c.WITHOUT_LOG_REASONS[code])
        for row, code in zip(
            transaction_rows(result, result.without_log_rows),
            result.without_log_reason,
            strict=True,
        )
    ]
    assert sorted(map(str, blank(reasons))) == sorted(map(str, blank(expected.reasons)))
    distances = [
        (*row, None if near < 0 else seconds_between(result, near, at))
        for row, near, at in zip(
            divergence_rows(result), result.nearest_rows, result.divergent_rows, strict=True
        )
    ]
    assert sorted(map(str, blank(distances))) == sorted(map(str, blank(expected.distances)))


def check_rows(result: Reconciliation, expected: naive.Expected) -> None:
    assert blank(consolidated_rows(result)) == blank(expected.consolidated)
    assert blank(divergence_rows(result)) == blank(expected.divergences)
    assert blank(transaction_rows(result, result.without_log_rows)) == blank(expected.without_log)
    assert blank(transaction_rows(result, result.duplicate_rows)) == blank(expected.duplicates)
    books.books(result)


def seconds_between(result: Reconciliation, transaction: int, log: int) -> int:
    [bought] = result.transactions.slice(transaction, 1).to_pylist()
    [logged] = result.auth_logs.slice(log, 1).to_pylist()
    return int(
        abs(
            datetime.combine(logged["data"], logged["hora"])
            - datetime.combine(bought["data_transa"], bought["hora_transa"])
        ).total_seconds()
    )


def blank(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Replace empty text by None: both are blank in a sheet."""
    return [tuple(None if v == "" else v for v in row) for row in rows]
