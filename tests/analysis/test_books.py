"""The books: counts that tie, series that add up, and what happens when they are made not to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.analysis import books as summary
from lib.domain import columns as c
from lib.domain import outcomes
from lib.domain.errors import BalanceError
from lib.domain.reconciliation import CARD_TIME, Period, Reconciliation, Rule
from lib.matching import reconcile as matching
from tests.support.command import Command
from tests.support.frames import logs_frame, transactions_frame
from tests.support.matching_cases import DAY, A, B, V, buy, log
from tests.support.servers import Databases

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
    return matching.reconcile(transactions_frame(BOUGHT), logs_frame(LOGS), PERIOD, Rule())


def test_the_books_say_where_every_record_and_every_cent_is(result: Reconciliation) -> None:
    assert summary.books(result) == outcomes.Books(
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


def test_nothing_is_in_balance_too() -> None:
    nothing = matching.reconcile(transactions_frame([]), logs_frame([]), PERIOD, Rule())
    assert set(vars(summary.books(nothing)).values()) == {0}
    assert summary.by_day(nothing)["day"].tolist() == [DAY, NEXT]
    assert len(summary.by_response_code(nothing)) == 0
    assert set(summary.by_motivo(nothing).values()) == {0}


def test_amounts_too_large_for_a_float_are_exact() -> None:
    rows = [buy(A, n, amount="9999999999999.99") for n in range(3)]
    large = matching.reconcile(transactions_frame(rows), logs_frame([log(A)]), PERIOD, Rule())
    assert summary.books(large).amount_consolidated == Decimal("29999999999999.97")


def without(name: str, rows: slice) -> Any:
    return lambda result: {name: getattr(result, name)[rows]}


def doubled(name: str, other: str) -> Any:
    return lambda result: {
        name: np.concatenate([getattr(result, name), getattr(result, other)[:1]])
    }


ALL_BUT_ONE, NO = slice(1, None), slice(0, 0)
SIDES = ("transactions", "auth_logs")
BROKEN = [
    (without("divergent_rows", ALL_BUT_ONE), SIDES[1], 6, 1, 0),
    (without("matched_log_rows", NO), SIDES[1], 6, 2, 0),
    (doubled("matched_log_rows", "divergent_rows"), SIDES[1], 6, 0, 1),
    (without("consolidated_rows", ALL_BUT_ONE), SIDES[0], 7, 1, 0),
    (without("without_log_rows", NO), SIDES[0], 7, 2, 0),
    (without("duplicate_rows", NO), SIDES[0], 7, 1, 0),
    (doubled("without_log_rows", "consolidated_rows"), SIDES[0], 7, 0, 1),
    (doubled("consolidated_rows", "consolidated_rows"), SIDES[0], 7, 0, 1),
]


@pytest.mark.parametrize(("harm", "side", "total", "lost", "twice"), BROKEN)
def test_a_record_that_is_lost_or_in_two_places_is_an_error_that_counts_it(
    result: Reconciliation, harm: Any, side: str, total: int, lost: int, twice: int
) -> None:
    with pytest.raises(BalanceError) as caught:
        summary.books(replace(result, **harm(result)))
    assert str(caught.value) == (
        f"{side}: a conta não fecha: de {total} registros, {lost} sem lugar e {twice} em mais de "
        "um lugar; nada foi publicado."
    )


def test_a_record_in_the_place_of_another_is_no_balance_though_the_counts_agree(
    result: Reconciliation,
) -> None:
    swapped = result.divergent_rows.copy()
    swapped[0] = result.matched_log_rows[0]
    with pytest.raises(BalanceError, match="1 sem lugar e 1 em mais de um lugar"):
        summary.books(replace(result, divergent_rows=swapped))


@pytest.mark.parametrize("side", SIDES)
def test_a_run_whose_books_do_not_tie_publishes_nothing(
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
    reconcile = matching.reconcile
    lost = "divergent_rows" if side == "auth_logs" else "without_log_rows"

    def forgetful(*arguments: Any) -> Reconciliation:
        result = reconcile(*arguments)
        return replace(result, **{lost: getattr(result, lost)[1:]})

    monkeypatch.setattr(matching, "reconcile", forgetful)
    command = Command(databases, tmp_path, capsys)
    assert command.refused("--start", f"{DAY}", "--end", f"{DAY}") == (
        f"{side}: a conta não fecha: de 1 registros, 1 sem lugar e 0 em mais de um lugar; "
        "nada foi publicado."
    )


def test_the_days_of_the_period_have_their_counts_and_exact_amounts(
    result: Reconciliation,
) -> None:
    rows = summary.by_day(result).to_dict("split")["data"]
    assert rows == [[DAY, 3, 3, 1, Decimal("7.10")], [NEXT, 0, 0, 1, Decimal("0")]]


def test_the_days_add_up_to_the_books_with_what_has_no_date_in_a_last_row(
    result: Reconciliation,
) -> None:
    days, books = summary.balance_by_day(result), summary.books(result)
    assert days["day"].tolist() == [DAY, NEXT, None]
    for name, total in vars(books).items():
        assert days[name].sum() == total
    assert days.iloc[-1][["logs", "transactions"]].tolist() == [1, 1]


def test_days_that_do_not_tie_are_an_error(result: Reconciliation) -> None:
    fewer = replace(result, divergent_rows=result.divergent_rows[1:])
    with pytest.raises(BalanceError):
        summary.balance_by_day(fewer)


def test_each_source_reaches_as_far_as_its_newest_record(result: Reconciliation) -> None:
    assert summary.reach(result) == summary.Reach(
        datetime.combine(NEXT, datetime.min.time().replace(hour=12)),
        datetime.combine(DAY, datetime.min.time().replace(hour=12, second=3)),
        (),
        (NEXT,),
    )


def test_codes_are_counted_over_all_logs_the_most_frequent_first(result: Reconciliation) -> None:
    codes = summary.by_response_code(result).to_dict("split")["data"]
    assert codes == [["00", 2, 2], ["", 0, 1], ["51", 0, 1]]


def test_a_missing_and_an_empty_code_are_one_line() -> None:
    logs = [log("9", 0, None), log("9", 0, ""), log("9", 0, "00"), log("9", 0, "00")]
    result = matching.reconcile(transactions_frame([]), logs_frame(logs), PERIOD, Rule())
    codes = summary.by_response_code(result).to_dict("split")["data"]
    assert codes == [["", 0, 2], ["00", 0, 2]]


def test_motivos_are_counted_with_those_that_need_a_person_first(result: Reconciliation) -> None:
    assert list(summary.by_motivo(result).items()) == [
        (c.APROVADA_SEM_TRANSACAO, 2),
        (c.FORA_DA_TOLERANCIA, 0),
        (c.RECENTE, 0),
        (c.NEGADA, 2),
    ]


def test_records_outside_the_period_are_in_no_book() -> None:
    outside = date(2026, 11, 19)
    rows = [buy(A, 43_100, day=outside), buy(A, -43_100, day=DAY)]
    logs = [log(A, 43_110, day=outside), log(A, -43_110, day=DAY)]
    result = matching.reconcile(
        transactions_frame(rows), logs_frame(logs), PERIOD, Rule(CARD_TIME, 300)
    )
    books = summary.books(result)
    assert (books.transactions, books.consolidated, books.logs, books.logs_matched) == (1, 1, 1, 1)
    assert books.amount == Decimal("10.00")
