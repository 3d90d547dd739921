"""Cases: their share of a run, and the time of a page over many stored ones.

    python -m benchmarks.cases [--rows 1000000] [--stored 1000000]

The share is of a run in memory that reads, matches and writes these rows of each side. The first
judgement stores every case, the second finds them all again. One line for each figure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from benchmarks import data
from lib import pipeline
from lib.analysis import case_evidence
from lib.config import defaults, loader
from lib.delivery import case_queries, case_store
from lib.delivery.case_queries import Filter
from lib.delivery.case_store import Judging
from lib.domain import cases
from lib.domain.outcomes import Outcome

_REPEATED = 5


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.rows:
            _share(options.rows, Path(folder))
        if options.stored:
            _pages(options.stored, Path(folder) / "pages.sqlite")


def _share(rows: int, folder: Path) -> None:
    settings = loader.load(data.prepare(rows).config)
    today = defaults.local_today(settings)
    request = defaults.request(settings, today, start=data.START, end=data.END)
    began = time.perf_counter()
    outcome = pipeline.run(settings, request)
    pipeline.publish(outcome, folder / "resultado.xlsx")
    whole = time.perf_counter() - began
    for number in (1, 2, 3):
        began = time.perf_counter()
        found, change = _judged(folder / "share.sqlite", number, outcome)
        seconds = time.perf_counter() - began
        print(
            f"rows {rows} cases {found} new {change.new} run {whole:.2f} s "
            f"cases {seconds:.2f} s share {seconds / (whole + seconds):.1%} "
            f"share_of_50000 {seconds * 50_000 / max(found, 1) / whole:.1%}"
        )


def _judged(path: Path, number: int, outcome: Outcome) -> tuple[int, case_store.Change]:
    period, merchant = outcome.request.period, outcome.request.merchant
    result = outcome.reconciliation
    days = (period.end - period.start).days + 1
    judging = Judging(
        run=number,
        merchant=merchant,
        at=datetime.now(UTC),
        period=(period.start, period.end),
        days=frozenset(period.start + timedelta(days=n) for n in range(days)),
        first_day=period.start,
    )
    found = cases.of_run(merchant, case_evidence.found(result, merchant, clear=False))
    change = case_store.judge(
        path,
        judging,
        found,
        lambda gone: case_evidence.evidence(result, merchant, gone, clear=False),
    )
    return len(found.keys), change


def _pages(stored: int, path: Path) -> None:
    """Store cases of 400 days, a tenth of them still open, and time what the screen asks."""
    first = date(2025, 11, 1)
    for part in range(2):
        table = _synthetic(stored // 2, part, first)
        judging = Judging(
            run=part + 1,
            merchant=data.MERCHANT,
            at=datetime(2026, 12, 1 + part, 9, tzinfo=UTC),
            period=(first, first + timedelta(days=400)),
            days=frozenset(first + timedelta(days=n) for n in range(400) if n % 2 == part),
        )
        found = cases.of_run(data.MERCHANT, table)
        case_store.judge(path, judging, found, lambda gone: case_evidence.Evidence())
    today, zone = date(2026, 12, 3), ZoneInfo("America/Sao_Paulo")
    everything = Filter(states=cases.STATES)
    last = stored - 100

    def find(query: Filter, **more: Any) -> Callable[[], object]:
        return lambda: case_queries.find(path, data.MERCHANT, query, **more)

    for name, work in {
        "first": find(everything),
        "last": find(everything, offset=last),
        "open": find(Filter()),
        "by_age": find(Filter(), sort="first_seen", descending=False),
        "by_owner": find(Filter(), sort="owner"),
        "by_amount": find(Filter(), sort="amount"),
        "log_only": find(Filter(kinds=("log",))),
        "unmarked": find(Filter(statuses=(None,))),
        "search": find(Filter(search="0042")),
        "counts": lambda: case_queries.counts(path, data.MERCHANT, today, zone),
    }.items():
        seconds = []
        for _ in range(_REPEATED):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        print(f"stored {stored} {name} {statistics.median(seconds):.3f} s")


def _synthetic(rows: int, part: int, first: date) -> pa.Table:
    chance = np.random.default_rng(part)
    logs = chance.random(rows) < 0.5
    days = np.datetime64(first) + chance.integers(0, 200, rows) * 2 + part
    cents = chance.integers(100, 100_000, rows)
    return pa.table(
        {
            cases.KIND: np.where(logs, cases.LOG, cases.TRANSACTION),
            cases.CARD: np.char.add("400000******", np.char.zfill(cents.astype(str), 6)),
            cases.DAY: pa.array(days, pa.date32()),
            cases.TIME: pa.array(chance.integers(0, 86_400, rows), pa.int32()).view(pa.time32("s")),
            cases.CODE: pa.array(np.full(rows, "00"), mask=~logs),
            cases.AMOUNT: pa.array(cents, pa.int64(), mask=logs)
            .cast(pa.decimal128(21, 2))
            .cast(pa.decimal128(18, 2)),
            cases.CPF: pa.array(np.full(rows, "***.456.789-**"), mask=logs),
            cases.VIRTUAL: pa.nulls(rows, pa.string()),
            cases.FIELD: pa.array(np.full(rows, data.MERCHANT), mask=logs),
            cases.TEXT: pa.array(np.full(rows, "Transação aprovada com senha"), mask=~logs),
            cases.MOTIVO: np.where(logs, "aprovada sem transação", "sem log do cartão"),
        },
        schema=cases.SCHEMA,
    )


if __name__ == "__main__":
    main()
