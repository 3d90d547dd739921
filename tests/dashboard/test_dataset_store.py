"""The shared data sets: one extraction for all sessions, eviction, staleness, failures."""

from __future__ import annotations

import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lib.analysis import books
from lib.dashboard.dataset_store import Dataset, Derived, Key, Rights, Store
from lib.domain.errors import AggregatorError, ExtractionError
from lib.domain.outcomes import Outcome
from lib.domain.requests import Period, Progress, Request, Rule
from lib.matching import reconcile
from lib.ui import refresh
from tests.support.tables import Log, Transaction, logs_table, transactions_table

DAY = date(2026, 11, 20)
ANY: Any = None


def key(days: int = 0, rights: Rights | None = None) -> Key:
    period = Period(DAY - timedelta(days=days), DAY, DAY)
    return Key(Request("12345678000190", period, Rule()), rights or Rights())


def outcome(data_key: Key, records: int = 1) -> Outcome:
    bought = [Transaction("1", f"4{n:011}", None, DAY, None, None) for n in range(records)]
    tables = transactions_table(bought), logs_table([Log("1", DAY, None)])
    result = reconcile.reconcile(*tables, data_key.request.period, data_key.request.rule)
    return Outcome(
        request=data_key.request,
        merchant_name="Loja",
        clear=False,
        extracted_at=datetime(2026, 11, 20, tzinfo=timezone(timedelta(hours=-3))),
        reconciliation=result,
        books=books.books(result),
        by_day=books.balance_by_day(result),
    )


class Source:
    """A stand-in for the extraction: records its keys, waits for ``go``, and may fail."""

    def __init__(self, records: int = 1) -> None:
        self.requested: list[Key] = []
        self.go = threading.Event()
        self.failure: BaseException | None = None
        self.records = records

    def __call__(self, settings: Any, data_key: Key, progress: Progress) -> Outcome:
        self.requested.append(data_key)
        progress("transactions", 0)
        progress("auth_logs", 7)
        progress("transactions", 12)
        assert self.go.wait(120)
        if self.failure is not None:
            raise self.failure
        progress("matching", 19)
        return outcome(data_key, self.records)


@pytest.fixture
def source() -> Source:
    return Source()


def loaded(store: Store, data_key: Key) -> Dataset:
    return store.load(ANY, data_key).future.result(timeout=120)


def test_twenty_sessions_that_ask_at_once_share_one_extraction(source: Source) -> None:
    store = Store(source)
    barrier, asked = threading.Barrier(20), threading.Barrier(21)
    datasets: list[Dataset] = []

    def load_one() -> None:
        barrier.wait()
        loading = store.load(ANY, key())
        asked.wait()
        datasets.append(loading.future.result(timeout=120))

    threads = [threading.Thread(target=load_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    asked.wait()
    source.go.set()
    for thread in threads:
        thread.join()
    assert len(source.requested) == 1
    assert len({id(dataset) for dataset in datasets}) == 1
    assert store.find(key()) is datasets[0]


@pytest.mark.parametrize(
    "other",
    [key(1), key(0, Rights(reader="ana")), key(0, Rights(reader="rui"))],
    ids=["period", "reader", "clear"],
)
def test_another_question_or_other_rights_are_another_data_set(source: Source, other: Key) -> None:
    store = Store(source)
    source.go.set()
    first = loaded(store, key())
    assert store.find(other) is None
    assert loaded(store, other) is not first
    assert loaded(store, other).version != first.version


def test_a_loading_shows_the_stages_that_it_has_reached(source: Source) -> None:
    store = Store(source)
    loading = store.load(ANY, key())
    wait_for(lambda: loading.stages.get("transactions") == 12)
    assert list(loading.stages.items()) == [("transactions", 12), ("auth_logs", 7)]
    assert store.loading(key()) is loading
    source.go.set()
    loading.future.result(timeout=120)
    assert list(loading.stages)[-1] == "matching"
    assert store.loading(key()) is None


def test_a_failure_reaches_the_waiting_session_and_is_not_kept(source: Source) -> None:
    store = Store(source)
    source.failure = ExtractionError("{side}: template.", side="auth_logs")
    source.go.set()
    with pytest.raises(AggregatorError, match="auth_logs: template"):
        loaded(store, key())
    assert store.find(key()) is None
    assert store.loading(key()) is None
    source.failure = None
    assert loaded(store, key()).outcome.books.transactions == 1


def test_an_unexpected_failure_reaches_the_waiting_session_and_the_servers_log(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: logged.append(args.exc_value))
    store = Store(source)
    source.failure = ZeroDivisionError()
    source.go.set()
    with pytest.raises(ZeroDivisionError):
        loaded(store, key())
    wait_for(lambda: logged == [source.failure])
    assert store.loading(key()) is None


def test_the_old_data_stay_until_the_new_are_there(source: Source) -> None:
    store = Store(source)
    source.go.set()
    old = loaded(store, key())
    source.go.clear()
    again = store.load(ANY, key())
    assert store.find(key()) is old
    source.go.set()
    new = again.future.result(timeout=120)
    assert store.find(key()) is new
    assert new.version != old.version


def test_the_least_recently_used_leaves_when_the_budget_is_full() -> None:
    source = Source(records=2_000)
    source.go.set()
    size = Dataset(key(), outcome(key(), 2_000)).size_bytes
    store = Store(source, budget_bytes=int(2.5 * size))
    first, second, third = key(1), key(2), key(3)
    loaded(store, first)
    loaded(store, second)
    store.find(first)
    loaded(store, third)
    assert [store.find(k) is not None for k in (first, second, third)] == [True, False, True]
    assert store.size_bytes <= 2.5 * size


def test_a_single_data_set_beyond_the_budget_is_served() -> None:
    source = Source(records=100)
    source.go.set()
    store = Store(source, budget_bytes=1)
    assert loaded(store, key()) is store.find(key())


def test_derived_arrays_are_computed_once_and_evicted_beyond_the_budget() -> None:
    derived = Derived(budget_bytes=3 * 8_000)
    computed: list[str] = []

    def make(name: str) -> Callable[[], Any]:
        def compute() -> Any:
            computed.append(name)
            return np.zeros(1_000)

        return compute

    for name in ["a", "b", "a", "c", "d", "a", "b"]:
        derived.get(name, make(name))
    assert computed == ["a", "b", "c", "d", "b"]
    assert derived.size_bytes == 3 * 8_000


def wait_for(holds: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(1_000):
        if holds():
            return
        done.wait(0.01)
    raise AssertionError


def test_the_size_of_a_data_set_counts_its_tables_and_its_row_numbers() -> None:
    small, large = (Dataset(key(), outcome(key(), n)).size_bytes for n in (100, 10_000))
    assert large > 50 * small
    assert large > 10_000 * 8 * 4


def test_a_period_that_reaches_recent_days_is_read_again_after_minutes_and_once(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(source)
    source.go.set()
    old = loaded(store, key())
    store.renew(ANY, old)
    assert len(source.requested) == 1
    monkeypatch.setattr("lib.dashboard.dataset_store._STALE_SECONDS", 0.0)
    source.go.clear()
    store.renew(ANY, old)
    assert store.find(key()) is old
    store.renew(ANY, old)
    source.go.set()
    wait_for(lambda: store.find(key()) is not old and store.loading(key()) is None)
    assert len(source.requested) == 2


def test_a_period_that_was_long_over_when_it_was_read_is_read_again_after_half_a_day(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.dashboard.dataset_store._STALE_SECONDS", 0.0)
    store = Store(source)
    source.go.set()
    old = loaded(store, key())
    past_request = dataclasses.replace(
        old.key.request, period=Period(DAY - timedelta(days=9), DAY - timedelta(days=4), DAY)
    )
    past = loaded(store, Key(past_request, Rights()))
    store.renew(ANY, past)
    assert store.loading(past.key) is None
    assert len(source.requested) == 2
    monkeypatch.setattr("lib.dashboard.dataset_store._SETTLED_SECONDS", 0.0)
    store.renew(ANY, past)
    wait_for(lambda: store.find(past.key) is not past and store.loading(past.key) is None)
    assert len(source.requested) == 3


def test_a_size_that_is_asked_for_while_values_come_and_go_is_answered() -> None:
    derived, entered, leave = Derived(budget_bytes=10**9), threading.Event(), threading.Event()

    class Slow:
        """A value whose size takes time to count."""

        @property
        def nbytes(self) -> int:
            entered.set()
            leave.wait(0.2)
            return 8

    derived.get("slow", Slow)
    derived.get("other", lambda: np.zeros(1))
    entered.clear()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(derived.size_bytes))
    asking.start()
    assert entered.wait(120)
    derived.get("new", lambda: np.zeros(1))
    asking.join()
    assert len(answers) == 1


def test_a_failure_to_keep_a_data_set_reaches_the_waiting_session(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: logged.append(args.exc_value))
    source.go.set()
    store = Store(source)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "_size", lambda self: 1 // 0)
        loaded(store, key(1))  # alone it needs no room
        with pytest.raises(ZeroDivisionError):
            loaded(store, key())
    assert store.loading(key()) is None
    wait_for(lambda: len(logged) == 1)


def test_a_loading_that_has_no_thread_to_run_in_ends_and_the_next_one_begins_anew(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.go.set()
    store = Store(source)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            store.load(ANY, key()).future.result(timeout=120)
    assert store.loading(key()) is None
    assert loaded(store, key()) is store.find(key())


def test_a_session_that_asked_for_a_refresh_keeps_no_data_set_in_memory(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh.st, "session_state", {})
    monkeypatch.setattr(refresh.guard, "holds", lambda: True)
    source.go.set()
    store = Store(source, budget_bytes=1)
    old = loaded(store, key())
    refresh._refresh(SimpleNamespace(store=store, settings=ANY), old)  # type: ignore[arg-type]
    wait_for(lambda: store.find(key()) is not old and store.loading(key()) is None)
    read = weakref.ref(store.find(key()))
    loaded(store, key(1))  # there is room for one
    wait_for(lambda: gc.collect() >= 0 and read() is None)


def test_a_refresh_during_another_read_is_a_read_of_its_own(source: Source) -> None:
    store, asked = Store(source), key()
    renewal = store.load(ANY, asked)
    refresh = store.load(ANY, asked, anew=True)
    assert refresh is not renewal
    assert store.load(ANY, asked, anew=True) is refresh
    assert store.load(ANY, asked) is refresh
    source.go.set()
    older, newer = (loading.future.result(timeout=30) for loading in (renewal, refresh))
    assert older is not newer
    wait_for(lambda: store.loading(asked) is None)
    assert store.find(asked) is newer
    assert len(source.requested) == 2


def test_a_read_that_a_refresh_has_overtaken_does_not_replace_its_data() -> None:
    gates = [threading.Event(), threading.Event()]
    begun: list[Key] = []

    def load(settings: Any, asked: Key, progress: Progress) -> Outcome:
        begun.append(asked)
        assert gates[len(begun) - 1].wait(30)
        return outcome(asked)

    store, asked = Store(load), key()
    older = store.load(ANY, asked)
    wait_for(lambda: len(begun) == 1)
    newer = store.load(ANY, asked, anew=True)
    gates[1].set()
    fresh = newer.future.result(timeout=30)
    gates[0].set()
    older.future.result(timeout=30)
    wait_for(lambda: store.loading(asked) is None)
    assert store.find(asked) is fresh
