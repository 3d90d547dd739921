"""What became of declined attempts, by hand and against a plain quadratic loop."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import periods
from lib.analysis.declines import Declines, declines
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, instant, logs_table, transactions_table

MONDAY, LAST = date(2026, 3, 2), date(2026, 3, 5)
A, B, V = "4000001", "4000002", "4099991"


def at(day: int, hour: int = 12, minute: int = 0) -> tuple[date, time]:
    return MONDAY + timedelta(days=day), time(hour, minute)


def tried(card: str | None, when: tuple[date, time], code: str | None = "51") -> Log:
    return Log(card, *when, code)


def bought(cpf: str | None, card: str, virtual: str | None = None) -> Transaction:
    return Transaction(cpf, card, virtual, *at(0, 1), Decimal(1))


def of(
    logs: list[Log], transactions: list[Transaction] | None = None, today: date = date(2026, 12, 31)
) -> Reconciliation:
    period = Period(MONDAY, LAST, today)
    bought = transactions_table(transactions or [])
    return reconcile(bought, logs_table(logs), period, Rule())


def counts(judged: Declines) -> tuple[int, int, int, int]:
    return judged.declined, judged.followed, judged.waiting, judged.lost


def test_an_approved_attempt_of_the_card_within_a_day_follows_a_declined_one() -> None:
    judged = declines(
        of(
            [
                tried(A, at(0, 10)),
                tried(A, at(0, 10, 30), "05"),
                tried(A, at(0, 11), "00"),
                tried(B, at(0, 10)),
            ]
        )
    )

    assert counts(judged) == (3, 2, 0, 1)
    assert judged.median_seconds == 45 * 60
    assert judged.codes.to_dict("list") == {
        "code": ["51", "05"],
        "declined": [2, 1],
        "followed": [1, 1],
        "waiting": [0, 0],
    }
    assert judged.hours.loc[10, ["declined", "followed"]].to_list() == [3, 2]
    assert judged.hours["declined"].sum() == 3


@pytest.mark.parametrize(
    ("second", "followed"),
    [
        (at(0, 12), 0),  # in the same second: nobody knows which came first
        (at(0, 12, 1), 1),
        (at(1, 12), 1),
        (at(1, 12, 1), 0),
        (at(0, 11, 59), 0),
    ],
    ids=str,
)
def test_an_attempt_follows_later_and_within_24_hours(
    second: tuple[date, time], followed: int
) -> None:
    judged = declines(of([tried(A, at(0)), tried(A, second, "00")]))

    assert judged.followed == followed


def test_an_attempt_whose_24_hours_are_not_over_in_the_data_is_waiting() -> None:
    evening = tried(A, at(3, 20))

    assert counts(declines(of([evening]))) == (1, 0, 1, 0)
    # Today is read up to the latest log only.
    logs = [tried(A, at(2, 20)), tried(B, at(3, 19), "00")]
    assert counts(declines(of(logs, today=LAST))) == (1, 0, 1, 0)
    assert counts(declines(of(logs))) == (1, 0, 0, 1)


def test_a_customer_who_bought_later_with_another_card_is_not_lost() -> None:
    logs = [tried(A, at(0)), tried(V, at(2), "00")]

    assert declines(of(logs)).lost == 1
    assert declines(of(logs, [bought("ana", A, V)])).lost == 0
    # A card of two holders is a customer of its own.
    assert declines(of(logs, [bought("ana", A, V), bought("rui", A)])).lost == 1


def test_two_cards_of_a_customer_are_lost_once() -> None:
    logs = [tried(A, at(0)), tried(B, at(1))]

    assert declines(of(logs)).lost == 2
    assert declines(of(logs, [bought("ana", A), bought("ana", B)])).lost == 1


def test_a_day_is_judged_by_the_days_after_it() -> None:
    result = of([tried(A, at(0, 23)), tried(A, at(1, 1), "00"), tried(B, at(1, 2))])

    judged = declines(periods.narrowed(result, MONDAY, MONDAY))

    assert counts(judged) == (1, 1, 0, 0)
    assert judged.median_seconds == 2 * 3600


def test_without_logs_there_is_nothing_declined() -> None:
    judged = declines(of([]))

    assert counts(judged) == (0, 0, 0, 0)
    assert judged.median_seconds is None
    assert not len(judged.codes)


LOGS = st.builds(
    Log,
    card=st.sampled_from([None, "", A, B, V]),
    day=st.one_of(st.none(), st.integers(0, 3).map(lambda n: MONDAY + timedelta(days=n))),
    time=st.one_of(st.none(), st.sampled_from([time(0), time(12), time(12, 0, 1), time(23, 59)])),
    code=st.sampled_from([None, "", "00", "05", "51"]),
)
PURCHASES = st.builds(
    bought,
    cpf=st.sampled_from([None, "ana", "rui"]),
    card=st.sampled_from([A, B]),
    virtual=st.sampled_from([None, V]),
)


@given(
    st.lists(LOGS, max_size=12),
    st.lists(PURCHASES, max_size=4),
    st.sampled_from([LAST, date(2026, 12, 31)]),
)
def test_declines_are_what_a_plain_loop_over_the_logs_gives(
    logs: list[Log], purchases: list[Transaction], today: date
) -> None:
    judged = declines(of(logs, purchases, today))

    assert counts(judged) + (judged.median_seconds,) == naive(logs, purchases, today)
    for part in (judged.codes, judged.hours):
        assert (part["followed"] + part["waiting"] <= part["declined"]).all()
    assert judged.codes[["declined", "followed", "waiting"]].sum().to_list() == [
        judged.declined,
        judged.followed,
        judged.waiting,
    ]


def naive(
    logs: list[Log], purchases: list[Transaction], today: date
) -> tuple[int, int, int, int, float | None]:
    """Compare every declined log with every other log."""
    a_day = timedelta(days=1)
    timed = [(log, instant(log.day, log.time)) for log in logs if log.card]
    known = [(log, when) for log, when in timed if when is not None]
    horizon = max((when for _, when in known), default=datetime.min)
    if today > LAST:
        horizon = max(horizon, datetime.combine(LAST + a_day, time(0)))

    def holder(card: str | None) -> str:
        people = {p.cpf for p in purchases if card in (p.card, p.virtual) and p.cpf}
        return f"cpf {people.pop()}" if len(people) == 1 else f"card {card}"

    waits: list[timedelta] = []
    waiting = 0
    for log, when in known:
        if log.code == "00":
            continue
        later = [w - when for o, w in known if o.card == log.card and o.code == "00" and w > when]
        if later and min(later) <= a_day:
            waits.append(min(later))
        elif when + a_day > horizon:
            waiting += 1
    lost = 0
    for person in {holder(log.card) for log, _ in known}:
        attempts = [(when, log.code == "00") for log, when in known if holder(log.card) == person]
        when, approved = max(attempts)
        lost += not approved and when + a_day <= horizon
    declined = sum(log.code != "00" for log in logs)
    seconds = [wait.total_seconds() for wait in waits]
    return declined, len(waits), waiting, lost, median(seconds) if seconds else None
