"""The figures for monitors: runs, their durations and rows, ages, sessions and memory.

Reads the history only, at most every few seconds. Labels hold merchants and words, never a record;
a CNPJ that could be a card number is replaced by the merchant's place in the configuration.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

import psutil  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from lib.delivery import history
from lib.domain.errors import HistoryError
from lib.security import redaction

if TYPE_CHECKING:
    from prometheus_client import Metric

    from lib.config.settings import Settings
    from lib.delivery.history import History, Run

__all__ = ["CONTENT_TYPE", "text"]

OUTCOMES: Final = {
    history.DONE: "done",
    history.FAILED: "failed",
    history.INTERRUPTED: "interrupted",
    history.SKIPPED: "skipped",
}
"""Values of the label ``outcome``."""

_FRESH_SECONDS: Final = 5.0
_SEARCHED: Final = 50
_MERCHANT: Final = ("merchant",)


class _Cache:
    """The last answer of each history, so that nobody can make the server read it all the time."""

    lock: ClassVar = threading.Lock()
    answers: ClassVar[dict[str, tuple[float, list[Metric]]]] = {}


def text(settings: Settings, sessions: int) -> bytes:
    """The figures in Prometheus' text format; ``sessions`` are the dashboard's open ones."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*_process(sessions), *_runs(settings)]))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _process(sessions: int) -> list[Metric]:
    memory = psutil.Process().memory_info().rss
    return [
        GaugeMetricFamily("aggregator_sessions", "Open sessions of the dashboard.", sessions),
        GaugeMetricFamily(
            "aggregator_memory_bytes", "Resident memory of the dashboard's process.", memory
        ),
    ]


def _runs(settings: Settings) -> list[Metric]:
    """The families of the runs, at most a few seconds old."""
    with _Cache.lock:
        try:
            record = history.of(settings)
            key = f"{record.path} {list(settings.merchants)}"
            moment, families = _Cache.answers.get(key, (0.0, []))
            if not families or time.monotonic() - moment > _FRESH_SECONDS:
                families = _families(record, list(settings.merchants))
                _Cache.answers = {key: (time.monotonic(), families)}
        except HistoryError:
            return [_readable(0)]
    return [_readable(1), *families]


def _readable(value: int) -> Metric:
    return GaugeMetricFamily(
        "aggregator_history_readable", "1 if the history of runs can be read.", value
    )


def _families(record: History, merchants: Sequence[str]) -> list[Metric]:
    now = datetime.now(UTC)
    runs = CounterMetricFamily(
        "aggregator_runs", "Recorded runs.", labels=("merchant", "origin", "outcome")
    )
    labels = {cnpj: _label(cnpj, place) for place, cnpj in enumerate(merchants, 1)}
    for (merchant, origin, outcome), count in record.counts().items():
        if merchant in labels:
            runs.add_metric((labels[merchant], origin, OUTCOMES.get(outcome, "other")), count)
    good_age = _gauge("last_good_run_age_seconds", "Since the last good scheduled run began.")
    ended_well = _gauge("last_run_good", "1 if the last scheduled run was good.")
    seconds = _gauge("last_run_seconds", "Of the last scheduled run, by stage.", "stage")
    rows = _gauge("last_run_rows", "Records that the last scheduled run read.", "side")
    matched = _gauge("last_run_matched_ratio", "Share of the logs with a transaction.")
    divergent = _gauge("last_run_divergence_ratio", "Share of the logs without one.")
    untold = _gauge("last_run_untold_notices", "Notices of the last scheduled run not sent.")
    for merchant in merchants:
        label = labels[merchant]
        latest = record.runs(_SEARCHED, origin=history.SCHEDULED, merchant=merchant)
        ended = [run for run in latest if run.has_ended]
        good = next((run for run in ended if run.is_good), None) or record.last_good(merchant)
        age = max(0.0, (now - good.began_at).total_seconds()) if good else float("inf")
        good_age.add_metric((label,), age)
        if not ended:
            continue
        last = ended[0]
        ended_well.add_metric((label,), float(last.is_good))
        untold.add_metric((label,), _untold(last))
        for stage, duration in (last.seconds or {}).items():
            seconds.add_metric((label, stage), duration)
        if last.books:
            rows.add_metric((label, "transactions"), last.books["transactions"])
            rows.add_metric((label, "auth_logs"), last.books["logs"])
        rate = last.divergence_rate
        if rate is not None:
            divergent.add_metric((label,), rate)
            matched.add_metric((label,), 1 - rate)
    return [runs, good_age, ended_well, seconds, rows, matched, divergent, untold]


def _untold(run: Run) -> int:
    notices = (sent for sent in run.dispatches if sent.kind == history.NOTICE)
    return sum(sent.problem is not None for sent in notices)


def _gauge(name: str, meaning: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aggregator_{name}", meaning, labels=(*_MERCHANT, *more))


def _label(merchant: str, place: int) -> str:
    return merchant if redaction.scrub(merchant) == merchant else f"#{place}"
