"""The books: counts balance, days add up to the period, and an unbalanced result is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.analysis import books
from lib.domain import columns as c
from lib.domain.errors import BalanceError
from lib.domain.outcomes import Books
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import CARD_TIME, Period, Rule
from lib.matching import reconcile
from tests.support.command import Command
from tests.support.matching_cases import DAY, A, B, V, buy, log
from tests.support.sentences import pattern
from tests.support.servers import Databases
from tests.support.tables import logs_table, transactions_table

NEXT = DAY + timedelta(days=1)
PERIOD = Period(DAY, NEXT, NEXT + timedelta(days=9))
BOUGHT = [
    buy(A, amount="10.10"),
    buy(A, amount="10.10", virtual=V),
    buy(A, 5, amount="-3.00"),
    buy(A, 9, amount=None),
    buy(B, amount="0.20"),
    buy(B, amount="7.00", day=NEXT),
    buy(A, amount="1.00", day=None),
]
LOGS = [log(A), log(V, 3), log("9", 0, "51"), log("9", 1, None), log(None), log("9", day=None)]


@pytest.fixture
def result() -> Reconciliation:
    return reconcile.reconcile(transactions_table(BOUGHT), logs_table(LOGS), PERIOD, Rule())


def test_the_books_count_every_record_and_every_cent(result: Reconciliation) -> None:
    assert books.books(result) == Books(
        logs=6,
        logs_matched=2,
        divergences=4,
        transactions=7,
        consolidated=4,
        without_log=2,
        duplicates=1,
        amount=Decimal("25.40"),
        amount_consolidated=Decimal("8.10"),
        amount_without_log=Decimal("7.20"),
        amount_duplicates=Decimal("10.10"),
    )


def test_an_empty_reconciliation_balances() -> None:
    nothing = reconcile.reconcile(transactions_table([]), logs_table([]), PERIOD, Rule())
    assert set(vars(books.books(nothing)).values()) == {0}
    assert books.balance_by_day(nothing)["day"].to_pylist() == [DAY, NEXT]
    assert len(books.by_response_code(nothing)) == 0
    assert set(books.by_motivo(nothing).values()) == {0}


def test_amounts_too_large_for_a_float_are_exact() -> None:
    rows = [buy(A, n, amount="9999999999999.99") for n in range(3)]
    large = reconcile.reconcile(transactions_table(rows), logs_table([log(A)]), PERIOD, Rule())
    assert books.books(large).amount_consolidated == Decimal("29999999999999.97")


def without(name: str, rows: slice) -> Any:
    return lambda result: {name: getattr(result, name)[rows]}


def duplicated(name: str, other: str) -> Any:
    return lambda result: {
        name: np.concatenate([getattr(result, name), getattr(result, other)[:1]])
    }


ALL_BUT_ONE, NO = slice(1, None), slice(0, 0)
SIDES = ("transactions", "auth_logs")
BROKEN = [
    (without("divergent_rows", ALL_BUT_ONE), SIDES[1], 6, 1, 0),
    (without("matched_log_rows", NO), SIDES[1], 6, 2, 0),
    (duplicated("matched_log_rows", "divergent_rows"), SIDES[1], 6, 0, 1),
    (without("consolidated_rows", ALL_BUT_ONE), SIDES[0], 7, 1, 0),
    (without("without_log_rows", NO), SIDES[0], 7, 2, 0),
    (without("duplicate_rows", NO), SIDES[0], 7, 1, 0),
    (duplicated("without_log_rows", "consolidated_rows"), SIDES[0], 7, 0, 1),
    (duplicated("consolidated_rows", "consolidated_rows"), SIDES[0], 7, 0, 1),
]


@pytest.mark.parametrize(("harm", "side", "total", "lost", "doubled"), BROKEN)
def test_a_lost_or_duplicated_record_is_an_error_that_counts_it(
    result: Reconciliation, harm: Any, side: str, total: int, lost: int, doubled: int
) -> None:
    with pytest.raises(BalanceError, match=pattern(books.RECORDS_MISPLACED)) as caught:
        books.books(replace(result, **harm(result)))
    assert caught.value.values == {"side": side, "total": total, "lost": lost, "doubled": doubled}


def test_a_record_in_place_of_another_is_an_error_though_the_counts_agree(
    result: Reconciliation,
) -> None:
    swapped = result.divergent_rows.copy()
    swapped[0] = result.matched_log_rows[0]
    with pytest.raises(BalanceError) as caught:
        books.books(replace(result, divergent_rows=swapped))
    assert (caught.value.values["lost"], caught.value.values["doubled"]) == (1, 1)


@pytest.mark.parametrize("side", SIDES)
def test_a_run_whose_books_do_not_balance_publishes_nothing(
    databases: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    side: str,
) -> None:
    databases.fill(
        [(A, DAY, "12:00", "12345678000190", None, 1)],
        auth_logs=[("9", DAY, "12:00", "00", "", "012345678000190")],
    )
    original = reconcile.match
    lost = "divergent_rows" if side == "auth_logs" else "without_log_rows"

    def with_a_lost_record(*arguments: Any) -> Reconciliation:
        result = original(*arguments)
        return replace(result, **{lost: getattr(result, lost)[1:]})

    monkeypatch.setattr(reconcile, "match", with_a_lost_record)
    command = Command(databases, tmp_path, capsys)
    refusal = command.refused("--start", f"{DAY}", "--end", f"{DAY}")
    assert refusal == books.RECORDS_MISPLACED.format(side=side, total=1, lost=1, doubled=0)


def test_the_days_of_the_period_have_their_counts_and_exact_amounts(
    result: Reconciliation,
) -> None:
    names = ["day", "consolidated", "divergences", "without_log", "amount_consolidated"]
    rows = books.balance_by_day(result).select(names).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (DAY, 3, 3, 1, Decimal("7.10")),
        (NEXT, 0, 0, 1, Decimal("0")),
        (None, 1, 1, 0, Decimal("1.00")),
    ]


def test_the_days_add_up_to_the_books_with_undated_records_in_a_last_row(
    result: Reconciliation,
) -> None:
    days, totals = books.balance_by_day(result), books.books(result)
    assert days["day"].to_pylist() == [DAY, NEXT, None]
    for name, total in vars(totals).items():
        assert sum(days[name].to_pylist()) == total
    assert [days[name].to_pylist()[-1] for name in ("logs", "transactions")] == [1, 1]


def test_days_that_do_not_balance_are_an_error(result: Reconciliation) -> None:
    fewer = replace(result, divergent_rows=result.divergent_rows[1:])
    with pytest.raises(BalanceError, match=pattern(books.DAY_DIFFERS)):
        books.balance_by_day(fewer)


def test_the_coverage_of_a_source_ends_at_its_latest_record(result: Reconciliation) -> None:
    assert books.coverage(result) == books.Coverage(
        datetime.combine(NEXT, datetime.min.time().replace(hour=12)),
        datetime.combine(DAY, datetime.min.time().replace(hour=12, second=3)),
        (),
        (NEXT,),
    )


def codes_of(result: Reconciliation) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in books.by_response_code(result).to_pylist()]


def test_codes_are_counted_over_all_logs_the_most_frequent_first(result: Reconciliation) -> None:
    assert codes_of(result) == [("00", 2, 2), ("", 0, 1), ("51", 0, 1)]


def test_a_missing_and_an_empty_code_are_one_row() -> None:
    logs = [log("9", 0, None), log("9", 0, ""), log("9", 0, "00"), log("9", 0, "00")]
    result = reconcile.reconcile(transactions_table([]), logs_table(logs), PERIOD, Rule())
    assert codes_of(result) == [("", 0, 2), ("00", 0, 2)]


def test_motivos_are_counted_with_those_that_need_a_person_first(result: Reconciliation) -> None:
    assert list(books.by_motivo(result).items()) == [
        (c.APROVADA_SEM_TRANSACAO, 2),
        (c.FORA_DA_TOLERANCIA, 0),
        (c.RECENTE, 0),
        (c.NEGADA, 2),
    ]


def test_records_outside_the_period_are_not_counted() -> None:
    outside = date(2026, 11, 19)
    rows = [buy(A, 43_100, day=outside), buy(A, -43_100, day=DAY)]
    logs = [log(A, 43_110, day=outside), log(A, -43_110, day=DAY)]
    result = reconcile.reconcile(
        transactions_table(rows), logs_table(logs), PERIOD, Rule(CARD_TIME, 300)
    )
    totals = books.books(result)
    assert (totals.transactions, totals.consolidated) == (1, 1)
    assert (totals.logs, totals.logs_matched) == (1, 1)
    assert totals.amount == Decimal("10.00")
