"""The dashboard's data sets: each is in memory once, for all sessions that show it.

Owns the running extractions (one for all sessions that wait for the same data), their progress,
and the eviction of data sets beyond the memory budget. A data set is keyed by its request and by
its readers' rights. Failures are passed to the waiting sessions and not stored. Knows no screen.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from lib import pipeline
from lib.dashboard.day_cache import RECENT, SETTLED, Days, settled
from lib.domain import requests
from lib.domain.errors import AggregatorError, CancelledError
from lib.domain.outcomes import Outcome
from lib.domain.requests import Progress, Request

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.reconciliation import Reconciliation

BUDGET_BYTES: Final = 1_200_000_000
_AT_ONCE: Final = 4
# Shares of the budget: an eighth for values derived from one data set, a quarter for kept days.
_DERIVED_SHARE: Final = 8
_DAYS_SHARE: Final = 4
# Age at which a period is refreshed automatically: one with recent days, and any other.
_STALE_SECONDS: Final = RECENT.total_seconds()
_SETTLED_SECONDS: Final = SETTLED.total_seconds()
# Minimum size charged for a derived value, which also limits the number of small values.
_LEAST_BYTES: Final = 1_000

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rights:
    """A reader's rights; readers with equal rights share data. Blank if all see the same rows."""

    reader: str = ""


@dataclass(frozen=True)
class Key:
    """Identity of a data set."""

    request: Request
    rights: Rights


@dataclass(eq=False)
class Dataset:
    """One reconciled extraction. ``version`` is unique to it and cannot be guessed.

    ``derived`` caches values computed from it, such as orders of rows and matching rows.
    ``renewed`` is the monotonic time of the last read or attempt, in seconds.
    """

    key: Key
    outcome: Outcome
    version: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    derived: Derived = field(default_factory=lambda: Derived(BUDGET_BYTES // _DERIVED_SHARE))
    renewed: float = field(default_factory=time.monotonic)

    @property
    def matched(self) -> Reconciliation:
        """The reconciliation as it was matched, of the whole period."""
        return self.outcome.reconciliation

    @property
    def is_settled(self) -> bool:
        """True if the last day was already settled when it was read."""
        return settled(self.key.request.period.end, self.outcome.extracted_at)

    @property
    def size_bytes(self) -> int:
        """Memory of the tables and row numbers."""
        return sum(_size(value) for value in vars(self.outcome.reconciliation).values())


class Derived:
    """Values computed from a data set, within a budget; the least recently used is evicted."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the cached value of this key; compute it if missing."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = compute()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > 1 and self._size() > self._budget:
                self._kept.popitem(last=False)
        return value

    @property
    def size_bytes(self) -> int:
        """Memory of the cached values."""
        with self._lock:
            return self._size()

    def _size(self) -> int:
        return sum(max(_size(value), _LEAST_BYTES) for value in self._kept.values())


class Loading:
    """A running extraction, watched by any number of sessions; callable as a `Progress`."""

    def __init__(self, *, anew: bool = False) -> None:
        self.anew: Final = anew
        self.future: Future[Dataset] = Future()
        self.started: Final = time.monotonic()
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            self._rows[stage] = rows

    @property
    def stages(self) -> dict[str, int]:
        """The rows so far by stage, in the order in which the stages began; empty at first."""
        with self._lock:
            return dict(self._rows)


Load = Callable[["Settings", Key, Progress], Outcome]


class Store:
    """Data sets by key within a budget of bytes; the least recently used is evicted."""

    def __init__(self, load: Load | None = None, budget_bytes: int = BUDGET_BYTES) -> None:
        self._days = Days(budget_bytes // _DAYS_SHARE)
        self._load = load or self._extract
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Dataset] = OrderedDict()
        self._loading: dict[Key, Loading] = {}
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def find(self, key: Key) -> Dataset | None:
        """The data set of this key, if it is in memory."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def loading(self, key: Key) -> Loading | None:
        """The running extraction of this key, if any."""
        with self._lock:
            return self._loading.get(key)

    def load(self, settings: Settings, key: Key, *, anew: bool = False) -> Loading:
        """Start an extraction of this key, or join the running one.

        The key's older data set stays in place until the new one is complete. ``anew`` reads
        every day of the period, also those of the day cache; it joins only a read that does too,
        and takes the place of any other.
        """
        with self._lock:
            running = self._loading.get(key)
            if running is not None and running.anew >= anew:
                return running
            loading = self._loading[key] = Loading(anew=anew)
        if anew:
            self._days.forget(_window(key))
        # A daemon, so that a server that stops does not wait for a slow database.
        thread = threading.Thread(
            target=self._run, args=(settings, key, loading), name="dataset", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as problem:  # the machine has no thread left
            self._end(key, loading)
            loading.future.set_exception(problem)
        return loading

    def renew(self, settings: Settings, dataset: Dataset) -> None:
        """Start to reload the data set if it is stale."""
        lifetime = _SETTLED_SECONDS if dataset.is_settled else _STALE_SECONDS
        with self._lock:
            if time.monotonic() < dataset.renewed + lifetime:
                return
            dataset.renewed = time.monotonic()
        self.load(settings, dataset.key)

    @property
    def size_bytes(self) -> int:
        """Memory of all data sets and kept days."""
        with self._lock:
            return self._size()

    def _extract(self, settings: Settings, key: Key, progress: Progress) -> Outcome:
        user = key.rights.reader or None
        return pipeline.run(
            settings, key.request, user=user, progress=progress, read=self._days.read
        )

    def _run(self, settings: Settings, key: Key, loading: Loading) -> None:
        try:
            with self._slots:
                outcome = self._load(settings, key, loading)
                dataset = Dataset(key, outcome, derived=Derived(self._budget // _DERIVED_SHARE))
            self._keep(dataset, loading)
        except AggregatorError as problem:
            if not isinstance(problem, CancelledError):  # the server ends, which is no failure
                _log.warning("%s", problem)
            self._end(key, loading)
            loading.future.set_exception(problem)
        except BaseException as problem:
            self._end(key, loading)
            loading.future.set_exception(problem)
            raise
        else:
            self._end(key, loading)
            loading.future.set_result(dataset)

    def _end(self, key: Key, loading: Loading) -> None:
        with self._lock:
            if self._loading.get(key) is loading:
                del self._loading[key]

    def _keep(self, dataset: Dataset, loading: Loading) -> None:
        with self._lock:
            if self._loading.get(dataset.key) is not loading:
                return  # a newer read takes its place
            self._kept[dataset.key] = dataset
            self._kept.move_to_end(dataset.key)
            while len(self._kept) > 1 and self._size() > self._budget:
                self._kept.popitem(last=False)

    def _size(self) -> int:
        kept = self._kept.values()
        return self._days.size_bytes + sum(d.size_bytes + d.derived.size_bytes for d in kept)


def _window(key: Key) -> requests.Window:
    return replace(requests.window_of(key.request), user=key.rights.reader or None)


def _size(value: object) -> int:
    return int(getattr(value, "nbytes", 0))
