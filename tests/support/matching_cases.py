"""Truth tables of both matching rules: records and expected results, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from lib.domain import columns as c
from tests.support.tables import Log, Transaction

DAY = date(2026, 11, 20)
A, B, C, V, W = "4000001", "4000002", "4000003", "4099991", "4099992"
NO_LOG, FAR, USED = c.WITHOUT_LOG_REASONS
DECLINED, RECENT, OUT, ALONE = c.MOTIVOS
PHYSICAL, VIRTUAL = c.FISICO, c.VIRTUAL


def at(seconds: int | None, day: date | None = DAY) -> dict[str, Any]:
    """Return the local clock reading this many seconds after noon of the day."""
    if seconds is None or day is None:
        return {"day": day, "time": None if seconds is None else time(12)}
    moment = datetime.combine(day, time(12)) + timedelta(seconds=seconds)
    return {"day": moment.date(), "time": moment.time()}


def buy(
    card: str | None,
    seconds: int | None = 0,
    virtual: str | None = None,
    *,
    cpf: str | None = "11122233344",
    amount: str | None = "10.00",
    day: date | None = DAY,
) -> Transaction:
    value = None if amount is None else Decimal(amount)
    return Transaction(cpf, card, virtual, amount=value, **at(seconds, day))


def log(
    card: str | None,
    seconds: int | None = 0,
    code: str | None = "00",
    text: str | None = "",
    *,
    day: date | None = DAY,
) -> Log:
    return Log(card, code=code, text=text, **at(seconds, day))


class Case(NamedTuple):
    """``pairs`` are (transaction, log, join, seconds); records are given by their position."""

    name: str
    transactions: Sequence[Transaction]
    logs: Sequence[Log]
    pairs: Sequence[tuple[int, int, str, int | None]] = ()
    divergent: Sequence[tuple[int, str]] = ()
    without: Sequence[tuple[int, str]] = ()
    duplicates: Sequence[int] = ()


BOTH = [
    Case("nothing at all", [], []),
    Case("a log of the physical card", [buy(A)], [log(A, 7)], [(0, 0, PHYSICAL, 7)]),
    Case("a log of the virtual card", [buy(A, 0, V)], [log(V, -7)], [(0, 0, VIRTUAL, -7)]),
    Case("a log of nobody's card", [], [log(A)], [], [(0, ALONE)]),
    Case("a transaction without any log", [buy(A)], [], without=[(0, NO_LOG)]),
    Case("another card", [buy(A, 0, V)], [log(B)], [], [(0, ALONE)], [(0, NO_LOG)]),
    Case(
        "the same digits with a space are another card",
        [buy("400 0001")],
        [log(A)],
        [],
        [(0, ALONE)],
        [(0, NO_LOG)],
    ),
    Case(
        "empty and missing cards match nothing, not even each other",
        [buy("", 0, ""), buy(None, 1, None)],
        [log(""), log(None)],
        [],
        [(0, ALONE), (1, ALONE)],
        [(0, NO_LOG), (1, NO_LOG)],
    ),
    Case("both joins find the same log: físico", [buy(A, 0, A)], [log(A)], [(0, 0, PHYSICAL, 0)]),
    Case(
        "a virtual number that is another customer's physical one",
        [buy(A, 0, B, cpf="1"), buy(B, 100, None, cpf="2")],
        [log(B, 10), log(B, 101)],
        [(0, 0, VIRTUAL, 10), (1, 1, PHYSICAL, 1)],
    ),
    Case("only a declined one", [buy(A)], [log(A, 5, "51")], [(0, 0, PHYSICAL, 5)]),
    Case("a missing code is not approved", [], [log(A, 0, None)], [], [(0, DECLINED)]),
    Case("an empty code is not approved", [], [log(A, 0, "")], [], [(0, DECLINED)]),
    Case(
        "copies that differ in the virtual number only are one purchase, the paired one stays",
        [buy(A), buy(A, 0, V), buy(A, 0, W)],
        [log(V, 3)],
        [(1, 0, VIRTUAL, 3)],
        duplicates=[0, 2],
    ),
    Case(
        "of copies that pair alike, one with a virtual number stays, the smaller one",
        [buy(A), buy(A, 0, W), buy(A, 0, V)],
        [log(A)],
        [(2, 0, PHYSICAL, 0)],
        duplicates=[0, 1],
    ),
    Case(
        "of copies without a log, one with a virtual number stays",
        [buy(A), buy(A, 0, V)],
        [],
        without=[(1, NO_LOG)],
        duplicates=[0],
    ),
    Case(
        "missing values are equal in the duplicate key",
        [
            buy(None, None, cpf=None, amount=None),
            buy(None, None, V, cpf=None, amount=None),
            buy("", None, "", cpf="", amount=None),
        ],
        [],
        without=[(1, NO_LOG)],
        duplicates=[0, 2],
    ),
    Case(
        "another amount or second is another purchase",
        [buy(A), buy(A, 0, amount="10.01"), buy(A, 1)],
        [],
        without=[(0, NO_LOG), (1, NO_LOG), (2, NO_LOG)],
    ),
]

CARD_ONLY = [
    Case(
        "two holders of one card made two purchases",
        [buy(A, cpf="1"), buy(A, cpf="2")],
        [log(A, 1), log(A, 2)],
        [(0, 0, PHYSICAL, 1), (1, 0, PHYSICAL, 1)],
    ),
    Case(
        "declined, then approved: the approved one, though further away",
        [buy(A, 60)],
        [log(A, 59, "51"), log(A, 0)],
        [(0, 1, PHYSICAL, -60)],
    ),
    Case(
        "a declined log of the físico beside an approved one of the virtual",
        [buy(A, 0, V)],
        [log(A, 0, "51"), log(V, 30)],
        [(0, 1, VIRTUAL, 30)],
    ),
    Case("however far away", [buy(A)], [log(A, 40_000)], [(0, 0, PHYSICAL, 40_000)]),
    Case("the nearest of many", [buy(A)], [log(A, -9), log(A, 8)], [(0, 1, PHYSICAL, 8)]),
    Case("as near: the earlier", [buy(A)], [log(A, 9), log(A, -9)], [(0, 1, PHYSICAL, -9)]),
    Case(
        "one log serves two transactions",
        [buy(A), buy(A, 100)],
        [log(A, 10)],
        [(0, 0, PHYSICAL, 10), (1, 0, PHYSICAL, -90)],
    ),
    Case(
        "the nearer join",
        [buy(A, 0, V), buy(B, 0, W)],
        [log(A, 10), log(V, 9), log(B, 9), log(W, 10)],
        [(0, 1, VIRTUAL, 9), (1, 2, PHYSICAL, 9)],
    ),
    Case(
        "as near in both joins: the earlier log",
        [buy(A, 0, V)],
        [log(A, 9), log(V, -9)],
        [(0, 1, VIRTUAL, -9)],
    ),
    Case(
        "the same second in both joins: físico",
        [buy(A, 0, V)],
        [log(V, 9), log(A, 9)],
        [(0, 1, PHYSICAL, 9)],
    ),
    Case(
        "of logs of one second the visible values decide",
        [buy(A)],
        [log(A, 0, "00", "b"), log(A, 0, "00", "a")],
        [(0, 1, PHYSICAL, 0)],
    ),
    Case("a transaction without a time", [buy(A, None)], [log(A)], [(0, 0, PHYSICAL, None)]),
    Case("a log without a time", [buy(A)], [log(A, None)], [(0, 0, PHYSICAL, None)]),
    Case("a log without a date", [buy(A)], [log(A, 0, day=None)], [(0, 0, PHYSICAL, None)]),
    Case(
        "an untimed log is further away than any other",
        [buy(A)],
        [log(A, None), log(A, 43_199)],
        [(0, 1, PHYSICAL, 43_199)],
    ),
    Case(
        "an untimed approved log before a timed declined one",
        [buy(A)],
        [log(A, 0, "51"), log(A, None)],
        [(0, 1, PHYSICAL, None)],
    ),
    Case(
        "the pairs of all copies are the purchase's: the nearest of any",
        [buy(A, 0, V), buy(A, 0, W)],
        [log(V, 9), log(W, 8)],
        [(1, 1, VIRTUAL, 8)],
        duplicates=[0],
    ),
    Case(
        "a log of a removed copy's card is no divergence",
        [buy(A), buy(A, 0, V)],
        [log(A), log(V, 500)],
        [(1, 0, PHYSICAL, 0)],
        duplicates=[0],
    ),
    Case(
        "a declined log of a card that bought is no divergence",
        [buy(A)],
        [log(A), log(A, -9, "51")],
        [(0, 0, PHYSICAL, 0)],
    ),
]

CARD_TIME_ONLY = [
    Case("exactly at the tolerance", [buy(A)], [log(A, 300)], [(0, 0, PHYSICAL, 300)]),
    Case("at it before", [buy(A)], [log(A, -300)], [(0, 0, PHYSICAL, -300)]),
    Case("a second beyond it", [buy(A)], [log(A, 301)], [], [(0, OUT)], [(0, FAR)]),
    Case(
        "one log for two transactions goes to the nearer",
        [buy(A), buy(A, 100)],
        [log(A, 60)],
        [(1, 0, PHYSICAL, -40)],
        without=[(0, USED)],
    ),
    Case(
        "as near to two: the earlier transaction",
        [buy(A, 100), buy(A)],
        [log(A, 50)],
        [(1, 0, PHYSICAL, 50)],
        without=[(0, USED)],
    ),
    Case(
        "two identical logs serve two transactions",
        [buy(A), buy(A, 10)],
        [log(A, 5), log(A, 5)],
        [(0, 0, PHYSICAL, 5), (1, 1, PHYSICAL, -5)],
    ),
    Case(
        "two identical logs and one purchase: one is left over",
        [buy(A)],
        [log(A, 5), log(A, 5)],
        [(0, 0, PHYSICAL, 5)],
        [(1, OUT)],
    ),
    Case(
        "greedy leaves one alone where the nearest pair takes the only log of both",
        [buy(A), buy(A, 200)],
        [log(A, 190), log(A, 490)],
        [(1, 0, PHYSICAL, -10)],
        [(1, OUT)],
        [(0, USED)],
    ),
    Case(
        "an approved pair before a nearer declined one",
        [buy(A), buy(A, 60)],
        [log(A, 59, "51"), log(A, 200)],
        [(1, 1, PHYSICAL, 140), (0, 0, PHYSICAL, 59)],
    ),
    Case(
        "a declined log left over is negada, whatever was near it",
        [buy(A)],
        [log(A, 1), log(A, 0, "51")],
        [(0, 0, PHYSICAL, 1)],
        [(1, DECLINED)],
    ),
    Case(
        "copies are one transaction and take one log",
        [buy(A, 0, V), buy(A, 0, W)],
        [log(V, 3), log(W, 2)],
        [(1, 1, VIRTUAL, 2)],
        [(0, OUT)],
        duplicates=[0],
    ),
    Case(
        "records without a time are outside every tolerance",
        [buy(A, None), buy(B)],
        [log(A), log(B, None)],
        [],
        [(0, OUT), (1, OUT)],
        [(0, FAR), (1, FAR)],
    ),
    Case(
        "a card shared by two customers: each log to the nearer purchase",
        [buy(A, 0, C, cpf="1"), buy(B, 60, C, cpf="2")],
        [log(C, 55), log(C, 5)],
        [(0, 1, VIRTUAL, 5), (1, 0, VIRTUAL, -5)],
    ),
]
