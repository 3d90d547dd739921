"""Records related to one record: its card's other logs, and the transaction nearest to a log."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from lib.analysis import related_records
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import CARD_TIME, Period, Rule
from lib.matching import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

DAY = date(2026, 11, 20)


def result_of(transactions: list[Transaction], logs: list[Log]) -> Reconciliation:
    return reconcile.reconcile(
        transactions_table(transactions),
        logs_table(logs),
        Period(DAY, DAY, DAY),
        Rule(CARD_TIME, 60),
    )


def bought(card: str | None, at: time | None, virtual: str | None = None) -> Transaction:
    return Transaction("1", card, virtual, DAY, at, None)


def log(card: str | None, at: time | None, text: str = "") -> Log:
    return Log(card, DAY, at, "00", text)


def texts(result: Reconciliation, rows: object) -> list[str]:
    return result.auth_logs[c.DES_LOG].take(rows).to_pylist()


def test_a_transactions_logs_are_those_of_both_its_cards_sorted_by_time() -> None:
    result = result_of(
        [bought("physical", time(10), "virtual")],
        [
            log("virtual", time(12), "third"),
            log("physical", None, "last"),
            log("other", time(10), "no"),
            log("physical", time(9), "first"),
            log("physical", time(10), "second"),
        ],
    )
    rows = related_records.logs_of_transaction(result, 0)
    assert texts(result, rows) == ["first", "second", "third", "last"]


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_cards_have_no_logs_in_common(blank: str | None) -> None:
    result = result_of(
        [bought(blank, time(10), blank)], [log(blank, time(10)), log(blank, time(9))]
    )
    assert len(related_records.logs_of_transaction(result, 0)) == 0
    assert len(related_records.logs_of_log(result, 0)) == 0
    assert related_records.nearest_transaction(result, 0) is None


def test_the_logs_of_a_logs_card_include_itself() -> None:
    result = result_of([], [log("a", time(10), "x"), log("b", time(9)), log("a", time(8), "y")])
    assert texts(result, related_records.logs_of_log(result, 0)) == ["y", "x"]


@pytest.mark.parametrize(
    ("transactions", "nearest"),
    [
        ([bought("a", time(10)), bought("a", time(13)), bought("b", time(12))], 1),
        ([bought("x", time(11), "a"), bought("a", time(9))], 0),
        ([bought("a", None), bought("a", time(1))], 1),
        ([bought("a", None)], 0),
        ([bought("b", time(12))], None),
        ([], None),
    ],
    ids=["physical", "virtual", "a known time first", "no time", "no such card", "nothing read"],
)
def test_the_nearest_transaction_has_the_logs_card_and_the_smallest_distance(
    transactions: list[Transaction], nearest: int | None
) -> None:
    result = result_of(transactions, [log("a", time(12))])
    assert related_records.nearest_transaction(result, 0) == nearest


def test_a_transaction_outside_the_widened_period_is_never_the_nearest() -> None:
    next_day = Transaction("1", "a", None, DAY + timedelta(days=1), time(12), None)
    result = result_of([next_day], [log("a", time(23, 50))])
    assert result.divergences()[c.MOTIVO].to_pylist() == [c.APROVADA_SEM_TRANSACAO]
    assert related_records.nearest_transaction(result, 0) is None


def test_of_two_transactions_as_near_the_earlier_is_the_nearest_in_any_order() -> None:
    pair = [bought("a", time(9)), bought("a", time(9, 20))]
    for arrived in (pair, pair[::-1]):
        result = result_of(arrived, [log("a", time(9, 10))])
        assert related_records.nearest_transaction(result, 0) == arrived.index(pair[0])


def test_a_cards_other_logs_are_those_of_the_period() -> None:
    outside = Log("a", DAY + timedelta(days=1), time(0, 0, 30), "00", "outside")
    result = result_of([], [log("a", time(10), "x"), outside])
    assert texts(result, related_records.logs_of_log(result, 0)) == ["x"]


@pytest.mark.parametrize(
    ("at", "logged", "seconds"),
    [(time(10), time(10, 0, 5), 5), (time(10), time(9, 59), -60), (None, time(1), None)],
)
def test_the_distance_is_log_minus_transaction(
    at: time | None, logged: time, seconds: int | None
) -> None:
    result = result_of([bought("a", at)], [log("a", logged)])
    assert related_records.seconds_between(result, 0, 0) == seconds
