"""Both matching rules as truth tables: records and expected results, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import pytest

from lib.analysis import books
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import CARD, CARD_TIME, Period, Rule
from lib.matching import reconcile
from tests.support.matching_cases import (
    ALONE,
    BOTH,
    CARD_ONLY,
    CARD_TIME_ONLY,
    DAY,
    DECLINED,
    FAR,
    NO_LOG,
    OUT,
    PHYSICAL,
    RECENT,
    USED,
    A,
    B,
    Case,
    buy,
    log,
)
from tests.support.tables import Log, Transaction, logs_table, transactions_table

NEXT, BEFORE = DAY + timedelta(days=1), DAY - timedelta(days=1)
LONG_AGO = Period(DAY, DAY, DAY + timedelta(days=30))
CARD_RULE, FIVE_MINUTES = Rule(CARD), Rule(CARD_TIME, 300)
RULES = (CARD_RULE, FIVE_MINUTES)
TABLE = [
    *((rule, case) for case in BOTH for rule in RULES),
    *((CARD_RULE, case) for case in CARD_ONLY),
    *((FIVE_MINUTES, case) for case in CARD_TIME_ONLY),
]


def reconciled(
    transactions: Sequence[Transaction],
    logs: Sequence[Log],
    rule: Rule = CARD_RULE,
    period: Period = LONG_AGO,
) -> Reconciliation:
    result = reconcile.reconcile(
        transactions_table(list(transactions)), logs_table(list(logs)), period, rule
    )
    books.books(result)
    return result


def outcome(
    case: Case, rule: Rule, period: Period = LONG_AGO, order: Sequence[int] | None = None
) -> dict[str, Any]:
    """Reconcile a case in this order; the results refer to positions in the case."""
    position = np.arange(len(case.transactions)) if order is None else np.array(order, dtype=int)
    result = reconciled([case.transactions[i] for i in position], case.logs, rule, period)
    pairs = zip(
        position[result.consolidated_rows].tolist(),
        result.pair_rows.tolist(),
        named(result.pair_virtual, (c.FISICO, c.VIRTUAL)),
        result.pair_seconds.tolist(),
        strict=True,
    )
    divergent = zip(result.divergent_rows.tolist(), named(result.motivo, c.MOTIVOS), strict=True)
    without = zip(
        position[result.without_log_rows].tolist(),
        named(result.without_log_reason, c.WITHOUT_LOG_REASONS),
        strict=True,
    )
    return {
        "pairs": sorted(pairs),
        "divergent": sorted(divergent),
        "without": sorted(without),
        "duplicates": sorted(position[result.duplicate_rows].tolist()),
    }


def named(codes: Any, names: Sequence[str]) -> list[str]:
    return [names[int(code)] for code in codes]


def expected(case: Case) -> dict[str, Any]:
    return {name: sorted(getattr(case, name)) for name in Case._fields[3:]}


def motivos(
    transactions: Sequence[Transaction],
    logs: Sequence[Log],
    rule: Rule = CARD_RULE,
    period: Period = LONG_AGO,
) -> list[str]:
    """Return the motivo of each log, "" where it is matched."""
    motivo = dict(outcome(Case("", transactions, logs), rule, period)["divergent"])
    return [motivo.get(position, "") for position in range(len(logs))]


@pytest.mark.parametrize(
    ("rule", "case"), TABLE, ids=[f"{rule.name}: {case.name}" for rule, case in TABLE]
)
def test_the_records_of_a_case_end_where_the_rule_says_in_any_order(rule: Rule, case: Case) -> None:
    for order in itertools.permutations(range(len(case.transactions))):
        assert outcome(case, rule, order=order) == expected(case)


def test_with_no_tolerance_only_the_same_second_pairs() -> None:
    case = Case(
        "tolerance 0",
        [buy(A), buy(B)],
        [log(A), log(B, 1)],
        [(0, 0, PHYSICAL, 0)],
        [(1, OUT)],
        [(1, FAR)],
    )
    assert outcome(case, Rule(CARD_TIME, 0)) == expected(case)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_codes_that_approve_are_those_configured(rule: Rule) -> None:
    several = Rule(rule.name, rule.tolerance_seconds, ("00", "85"))
    case = Case("", [buy(A)], [log(A, 9, "85"), log(A, 0, "51")], [(0, 0, PHYSICAL, 9)])
    assert outcome(case, several)["pairs"] == list(case.pairs)
    assert motivos([], [log(A, 0, "85"), log(A, 0, "51")], several) == [ALONE, DECLINED]


# Clocks went forward in São Paulo on 2018-11-04 (there was no 00:30) and back on 2019-02-17.
CLOCK_CHANGES = [
    (date(2018, 11, 3), time(23, 59, 59), date(2018, 11, 4), time(1, 0, 1), 3_602),
    (date(2018, 11, 4), time(0, 30), date(2018, 11, 4), time(1, 30), 3_600),
    (date(2019, 2, 16), time(22, 30), date(2019, 2, 17), time(0, 30), 7_200),
]


@pytest.mark.parametrize("rule", [CARD_RULE, Rule(CARD_TIME, 7_200)], ids=lambda rule: rule.name)
@pytest.mark.parametrize(("day", "hour", "log_day", "log_hour", "seconds"), CLOCK_CHANGES)
def test_clock_readings_are_subtracted_as_written_where_the_clocks_changed(
    rule: Rule, day: date, hour: time, log_day: date, log_hour: time, seconds: int
) -> None:
    bought = Transaction("1", A, None, day, hour, None)
    logged = Log(A, log_day, log_hour)
    period = Period(day, log_day, log_day + timedelta(days=9))
    result = reconciled([bought], [logged], rule, period)
    assert result.pair_seconds.tolist() == [seconds]


LATEST = [
    (DAY, [RECENT, ALONE, DECLINED]),
    (NEXT, [RECENT, ALONE, DECLINED]),
    (NEXT + timedelta(days=1), [ALONE, ALONE, DECLINED]),
]


@pytest.mark.parametrize(
    ("today", "expected_motivos"), LATEST, ids=["same day", "day after", "two days after"]
)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_log_newer_than_every_transaction_is_recent_while_the_period_reaches_yesterday(
    rule: Rule, today: date, expected_motivos: list[str]
) -> None:
    newer, as_new, declined = log(B, 901), log(B, 900), log(B, 902, "51")
    bought = [buy(A), buy(A, 900), buy(A, None)]
    logs = [newer, as_new, declined]
    assert motivos(bought, logs, rule, Period(BEFORE, DAY, today)) == expected_motivos


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_nothing_is_recent_where_no_transaction_was_read_or_the_log_has_no_time(rule: Rule) -> None:
    today = Period(DAY, DAY, DAY)
    assert motivos([], [log(B)], rule, today) == [ALONE]
    assert motivos([buy(A, None)], [log(B)], rule, today) == [ALONE]
    assert motivos([buy(A)], [log(B, None)], rule, today) == [ALONE]


def test_of_the_four_motivos_the_first_that_applies_is_given() -> None:
    today = Period(DAY, DAY, DAY)
    bought = [buy(A)]
    logs = [log(A, 400, "51"), log(A, 401), log(A, -400), log(B, -400), log(B, 401)]
    assert motivos(bought, logs, FIVE_MINUTES, today) == [DECLINED, RECENT, OUT, ALONE, RECENT]
    assert motivos(bought, logs, FIVE_MINUTES) == [DECLINED, OUT, OUT, ALONE, ALONE]


def at_midnight(day: date, seconds: int) -> dict[str, Any]:
    return {"day": day, "seconds": seconds - 43_200}


def test_a_pair_across_the_periods_edge_is_a_pair_and_only_the_inside_is_reported() -> None:
    """Records of the widened period are matched; those outside the period are not reported."""
    bought = [
        buy(A, **at_midnight(DAY, -10)),  # the evening before, its log inside
        buy(B, **at_midnight(DAY, 10)),  # inside, its log the evening before
        buy("5", **at_midnight(NEXT, -10)),  # inside, its log after midnight
        buy("6", **at_midnight(NEXT, 10)),  # after midnight, its log inside
    ]
    logs = [
        log(A, **at_midnight(DAY, 0)),
        log(B, **at_midnight(DAY, -1)),
        log("5", **at_midnight(NEXT, 0)),
        log("6", **at_midnight(NEXT, -1)),
    ]
    result = reconciled(bought, logs, FIVE_MINUTES)
    assert result.transaction_rows.tolist() == [1, 2]
    assert result.log_rows.tolist() == [0, 3]
    assert pairs_of(result) == {(1, 1, -11), (2, 2, 10)}
    assert result.matched_log_rows.tolist() == [0, 3]
    assert result.divergent_rows.tolist() == []


def pairs_of(result: Reconciliation) -> set[tuple[int, int, int]]:
    rows = (result.consolidated_rows, result.pair_rows, result.pair_seconds)
    return set(zip(*(values.tolist() for values in rows), strict=True))


WIDENED = [(-301, False), (-300, True), (86_699, True), (86_700, False)]


@pytest.mark.parametrize(("seconds", "is_read"), WIDENED)
def test_records_beyond_the_tolerance_are_dropped(seconds: int, is_read: bool) -> None:
    """The period is [start 00:00 - tolerance, end + 1 day 00:00 + tolerance)."""
    taker = buy(A, **at_midnight(DAY, seconds))
    nearby = log(A, **at_midnight(DAY, seconds + 300 if seconds < 0 else seconds - 300))
    inside = log(A, **at_midnight(DAY, 43_200))
    result = reconciled([taker], [nearby, inside], FIVE_MINUTES)
    assert len(result.transaction_rows) == 0
    assert (0 in result.matched_log_rows) == is_read
    assert named(result.motivo, c.MOTIVOS)[-1] == (OUT if is_read else ALONE)


@pytest.mark.parametrize(("day", "inside"), [(BEFORE, False), (DAY, True), (NEXT, False)])
def test_a_record_without_a_time_is_where_its_date_is(day: date, inside: bool) -> None:
    result = reconciled([buy(A, None, day=day)], [log(B, None, day=day)], FIVE_MINUTES)
    assert len(result.transaction_rows) == len(result.log_rows) == int(inside)


def test_why_a_transaction_has_no_log_follows_from_the_cards_of_all_its_copies() -> None:
    bought = [buy(A), buy(A, 0, B), buy("5"), buy("6"), buy("6", 60), buy("7")]
    logs = [log(B, 900), log("6", 50), log("7", None)]
    case = Case(
        "",
        bought,
        logs,
        [(4, 1, PHYSICAL, -10)],
        [(0, OUT), (2, OUT)],
        [(1, FAR), (2, NO_LOG), (3, USED), (5, FAR)],
        [0],
    )
    assert outcome(case, FIVE_MINUTES) == expected(case)


def test_both_sheets_are_sorted_by_date_and_time_with_missing_ones_last() -> None:
    moments: list[dict[str, Any]] = [
        {"seconds": 5},
        {"seconds": None},
        {"seconds": 5, "day": BEFORE},
        {"seconds": 5, "day": None},
        {"seconds": None, "day": BEFORE},
    ]
    bought = [buy(A, amount=str(number), **moment) for number, moment in enumerate(moments)]
    result = reconciled(bought, [log(A), *(log(B, **moment) for moment in moments)])
    assert result.consolidated_rows.tolist() == [2, 4, 0, 1, 3]
    assert (result.divergent_rows - 1).tolist() == [2, 4, 0, 1, 3]


def test_rows_of_one_second_are_in_order_of_their_visible_values() -> None:
    bought = [buy(B), buy(A, amount="10.00"), buy(A, amount="9.00"), buy(A, cpf=None)]
    logs = [log("9", 0, "51", "b"), log("9", 0, "00", "z"), log("9", 0, "51", "a"), log(None)]
    result = reconciled(bought, [*logs, log(A), log(B)])
    assert result.consolidated_rows.tolist() == [3, 2, 1, 0]
    assert result.divergent_rows.tolist() == [3, 1, 2, 0]


def test_logs_that_look_alike_are_in_order_of_their_motives() -> None:
    """Two cards share a mask; only one of them has a transaction."""
    logs = [log(A, 1_600), log("9", 1_600)]
    for arrived in (logs, logs[::-1]):
        same_mask = logs_table([log(A)] * 2)[c.NUM_CARTAO]
        table = logs_table(arrived).set_column(0, c.NUM_CARTAO, same_mask)
        result = reconcile.reconcile(transactions_table([buy(A)]), table, LONG_AGO, FIVE_MINUTES)
        motives = result.divergences()[c.MOTIVO].to_pylist()
        assert motives == [c.APROVADA_SEM_TRANSACAO, c.FORA_DA_TOLERANCIA]


def test_each_divergence_has_the_nearest_transaction_of_its_card() -> None:
    bought = [buy(A, 1_000), buy(A, 2_000), buy(B, None)]
    result = reconciled(bought, [log(A, 1_600), log(B), log("9")], FIVE_MINUTES)
    nearest = dict(zip(result.divergent_rows.tolist(), result.nearest_rows.tolist(), strict=True))
    assert nearest == {0: 1, 1: -1, 2: -1}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_dates_thousands_of_years_apart_do_no_harm(rule: Rule) -> None:
    period = Period(date(1, 1, 1), date(9999, 12, 31), DAY)
    extremes = [log(A, 0, day=date(1, 1, 2)), log(A, 0, day=date(9999, 12, 30)), log(A, 3)]
    result = reconciled([buy(A)], extremes, rule, period)
    assert pairs_of(result) == {(0, 2, 3)}
