"""The day cache: a moved period reads only its missing days and equals a full read."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib import pipeline
from lib.config import loader
from lib.config.settings import Settings
from lib.dashboard.dataset_store import Key, Rights, Store
from lib.dashboard.day_cache import RECENT, SETTLED, Days
from lib.database import copy_reader, copy_stream, source_query
from lib.database.copy_reader import Extracted
from lib.domain.outcomes import Outcome
from lib.domain.requests import Period, Request, Rule, Window
from tests.support.servers import MERCHANTS, Databases

MERCHANT, OTHER = MERCHANTS
TODAY = date(2026, 11, 22)
DAY = timedelta(days=1)
RULES = [Rule(), Rule("card_time", 300), Rule("card_time", 2 * 86_400)]


class Counting:
    """The real extraction; records its windows and counts its rows."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int]] = []
        self.rows = 0

    def __call__(self, settings: Settings, window: Window, **words: Any) -> Extracted:
        read = copy_reader.extract(settings, window, **words)
        self.windows.append(((TODAY - window.start).days, (TODAY - window.end).days))
        self.rows += len(read.transactions) + len(read.auth_logs)
        return read


class Clock:
    """Local noon of today, until it is moved."""

    def __init__(self, settings: Settings) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=settings.zone)

    def __call__(self, _: Settings) -> datetime:
        return self.now


@pytest.fixture
def filled(databases: Databases) -> Settings:
    """Thirty days of purchases with every kind of irregularity, many around midnight."""
    dice = random.Random(7)
    bought, logged = [], []
    for number in range(1_500):
        card = f"400000{number % 150:010}"
        virtual = f"VC0001409999{number % 150:010}" if number % 3 == 0 else None
        day = TODAY - DAY * dice.randrange(30)
        near = dice.choice([0, 60, 43_200, 86_340])
        at = datetime.combine(day, time()) + timedelta(seconds=near + dice.randrange(60))
        row = (card, day, at.time(), MERCHANT, virtual, Decimal(number % 40))
        bought += [row, row] if number % 20 == 0 else [row]
        log_at = at + timedelta(seconds=dice.randrange(-400, 400))
        shown = virtual[6:] if virtual and number % 2 else card
        code = dice.choice(["00", "00", "00", "51", None])
        logged.append((shown, log_at.date(), log_at.time(), code, f"texto {day}", f"x0{MERCHANT}"))
    bought.append(("4000009999999999", TODAY - DAY, None, MERCHANT, None, None))
    bought.append(("4000009999999999", TODAY - DAY, None, OTHER, None, None))
    databases.fill(transactions=bought, auth_logs=logged)
    return loader.from_values(databases.values, "teste", {})


def run(settings: Settings, rule: Rule, start: int, end: int, days: Days | None) -> Outcome:
    period = Period(TODAY - start * DAY, TODAY - end * DAY, TODAY)
    request = Request(MERCHANT, period, rule)
    return pipeline.run(settings, request, read=days.read if days else None)


def cells(outcome: Outcome) -> list[Sequence[Any]]:
    """All reported cells."""
    result = outcome.reconciliation
    tables = [result.consolidated(), result.divergences()]
    tables += [result.transactions.take(result.without_log_rows)]
    tables += [result.transactions.take(result.duplicate_rows)]
    shown = [t.select([n for n in t.column_names if not n.startswith("token_")]) for t in tables]
    rows = [table.to_pylist() for table in shown]
    return [*rows[:2], *(sorted(map(str, table)) for table in rows[2:]), [outcome.books]]


@pytest.mark.parametrize("rule", RULES, ids=["card", "card_time", "card_time_wide"])
def test_a_moved_period_reads_its_missing_days_and_equals_a_full_read(
    filled: Settings, rule: Rule
) -> None:
    counting = Counting()
    days = Days(10**9, counting, Clock(filled))
    wider = 2 if rule == RULES[2] else 1 if rule == RULES[1] else 0
    for start, end in [(20, 10), (19, 9), (21, 11), (25, 5)]:
        shown = run(filled, rule, start, end, days)
        assert cells(shown) == cells(run(filled, rule, start, end, None))
        assert shown.books.consolidated > 100
    assert counting.windows == [
        (20 + wider, 10 - wider),
        (9 - wider, 9 - wider),
        (21 + wider, 21 + wider),
        (25 + wider, 22 + wider),
        (8 - wider, 5 - wider),
    ]


def test_settled_days_are_kept_and_recent_ones_expire_after_minutes(filled: Settings) -> None:
    counting, clock = Counting(), Clock(filled)
    days = Days(10**9, counting, clock)
    first = run(filled, Rule(), 10, 0, days)
    clock.now += RECENT - timedelta(seconds=1)
    assert run(filled, Rule(), 10, 0, days).extracted_at == first.extracted_at
    assert counting.windows == [(10, 0)]
    clock.now += timedelta(seconds=1)
    again = run(filled, Rule(), 10, 0, days)
    assert counting.windows[1:] == [(3, 0)]
    assert again.extracted_at == first.extracted_at
    assert cells(again) == cells(run(filled, Rule(), 10, 0, None))


def test_settled_days_are_read_again_after_half_a_day(
    filled: Settings, databases: Databases
) -> None:
    counting, clock = Counting(), Clock(filled)
    days = Days(10**9, counting, clock)
    run(filled, Rule(), 20, 10, days)
    databases.fill(transactions=[("4000005555555555", TODAY - 15 * DAY, None, MERCHANT, None, 1)])
    clock.now += SETTLED - timedelta(seconds=1)
    run(filled, Rule(), 20, 10, days)
    assert counting.windows == [(20, 10)]
    clock.now += timedelta(seconds=1)
    shown = run(filled, Rule(), 20, 10, days)
    assert counting.windows == [(20, 10), (20, 10)]
    assert shown.extracted_at == clock.now
    assert cells(shown) == cells(run(filled, Rule(), 20, 10, None))


def test_a_day_that_was_read_when_it_was_recent_is_read_again_when_it_is_settled(
    filled: Settings, databases: Databases
) -> None:
    clock = Clock(filled)
    days = Days(10**9, Counting(), clock)
    run(filled, Rule(), 1, 0, days)
    late = ("4000005555555555", TODAY, None, MERCHANT, None, Decimal(1))
    databases.fill(transactions=[late])
    clock.now += 10 * DAY
    shown = run(filled, Rule(), 1, 0, days)
    assert cells(shown) == cells(run(filled, Rule(), 1, 0, None))


def test_forgotten_days_are_read_anew_and_only_for_their_merchant(filled: Settings) -> None:
    counting = Counting()
    days = Days(10**9, counting, Clock(filled))
    run(filled, Rule(), 20, 10, days)
    window = Window(OTHER, TODAY - 20 * DAY, TODAY - 10 * DAY)
    days.forget(window)
    run(filled, Rule(), 20, 10, days)
    assert counting.windows == [(20, 10)]
    days.forget(Window(MERCHANT, TODAY - 10 * DAY, TODAY))
    run(filled, Rule(), 20, 10, days)
    assert counting.windows == [(20, 10), (20, 10)]


def test_rows_of_one_reader_are_nobody_elses(filled: Settings) -> None:
    counting = Counting()
    days = Days(10**9, counting, Clock(filled))
    for user in ("ana", "rui", "ana"):
        window = Window(MERCHANT, TODAY - 20 * DAY, TODAY - 10 * DAY, user)
        days.read(filled, window, lambda side, rows: None)
    assert counting.windows == [(20, 10), (20, 10)]


def test_days_beyond_the_budget_leave_the_oldest_first(filled: Settings) -> None:
    counting = Counting()
    days = Days(10**9, counting, Clock(filled))
    run(filled, Rule(), 20, 20, days)
    one_day = days.size_bytes
    days = Days(3 * one_day, counting, Clock(filled))
    counting.windows.clear()
    for day in (20, 19, 18, 17, 16, 16, 20):
        run(filled, Rule(), day, day, days)
    assert days.size_bytes <= 3 * one_day
    assert counting.windows == [(day, day) for day in (20, 19, 18, 17, 16, 20)]


def test_a_site_with_its_own_query_is_read_whole(filled: Settings, tmp_path: Any) -> None:
    query = tmp_path / "mine.sql"
    query.write_text(source_query.load(filled, "transactions"))
    source = filled.transactions.model_copy(update={"query_file": query})
    own = filled.model_copy(update={"transactions": source})
    counting = Counting()
    days = Days(10**9, counting, Clock(filled))
    for start, end in [(20, 10), (19, 9)]:
        run(own, Rule(), start, end, days)
    assert counting.windows == [(20, 10), (19, 9)]
    assert days.size_bytes == 0


def test_twenty_sessions_that_ask_at_once_cost_each_server_one_statement(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[bytes] = []
    pump = copy_stream.pump

    def counted(cursor: Any, command: bytes, sink: Any) -> None:
        copies.append(command)
        pump(cursor, command, sink)

    monkeypatch.setattr(copy_stream, "pump", counted)
    store = Store()
    key = Key(Request(MERCHANT, Period(TODAY - 9 * DAY, TODAY, TODAY), Rule()), Rights())
    barrier, datasets = threading.Barrier(20), []

    def load_one() -> None:
        barrier.wait()
        datasets.append(store.find(key) or store.load(filled, key).future.result(timeout=120))

    threads = [threading.Thread(target=load_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copies) == 2
    assert len({id(dataset) for dataset in datasets}) == 1
