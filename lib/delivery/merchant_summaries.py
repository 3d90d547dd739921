"""One line for each merchant: its last run, its match rate over the latest runs, its cases.

Only reads the state file. Whoever asks has checked the right to each merchant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lib.delivery import case_queries, history, state_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from pathlib import Path

    from lib.config.settings import Settings
    from lib.delivery.case_queries import Counts
    from lib.delivery.history import Run

RUNS: Final = 30


@dataclass(frozen=True)
class Summary:
    """A merchant's figures; ``rates`` are (began, share of the logs matched), oldest first.

    ``reach`` are the latest days with transactions and with logs that a judging run read.
    """

    merchant: str
    name: str
    last: Run | None
    rates: tuple[tuple[datetime, float], ...]
    counts: Counts
    reach: tuple[date | None, date | None]


def summaries(settings: Settings, merchants: Iterable[str], today: date) -> tuple[Summary, ...]:
    """The figures of these configured merchants, over their latest scheduled runs.

    Raises HistoryError.
    """
    path = state_file.path_of(settings)
    return tuple(_summary(settings, path, merchant, today) for merchant in merchants)


def _summary(settings: Settings, path: Path, merchant: str, today: date) -> Summary:
    runs = history.History(path).runs(RUNS, origin=history.SCHEDULED, merchant=merchant)
    rates = [
        (run.began_at, 1 - rate)
        for run in reversed(runs)
        if run.outcome == history.DONE and (rate := run.divergence_rate) is not None
    ]
    return Summary(
        merchant=merchant,
        name=settings.merchants[merchant],
        last=runs[0] if runs else None,
        rates=tuple(rates),
        counts=case_queries.counts(path, merchant, today, settings.zone),
        reach=case_queries.latest(path, merchant).reach,
    )
