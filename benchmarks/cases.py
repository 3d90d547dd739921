"""Cases: their share of a run, and the time of a page over many stored ones.

    python -m benchmarks.cases [--rows 1000000] [--cases 50000] [--stored 1000000]

The run reads, matches and writes these rows of each side in memory. The first judgement stores
every case, the second finds them all again, and in the third one case in a hundred is new and as
many have their counterpart. Shares are of this process's processor time, which does not depend on
what else the machine does, and of the time on the clock. Pages: of the stored cases one in ten is
open. One line for each figure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
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
from lib.delivery import case_counts, case_queries, case_store, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_queries import AGES
from lib.delivery.case_store import Judging
from lib.domain import cases
from lib.domain import columns as c
from lib.domain.outcomes import Outcome

_REPEATED = 5
_FIRST = date(2025, 11, 1)

Seconds = tuple[float, float]
"""On the clock, and of this process's processors."""


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--stored", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.rows:
            _share(options.rows, options.cases, Path(folder))
        if options.stored:
            _fill(options.stored, Path(folder) / "pages.sqlite")
            _pages(options.stored, Path(folder) / "pages.sqlite")


def _timed(work: Callable[[], Any]) -> tuple[Any, Seconds]:
    began, used = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - began, time.process_time() - used)


def _share(rows: int, number: int, folder: Path) -> None:
    settings = loader.load(data.prepare(rows).config)
    today = defaults.local_today(settings)
    request = defaults.request(settings, today, start=data.START, end=data.END)

    def run() -> Outcome:
        outcome = pipeline.run(settings, request)
        pipeline.publish(outcome, folder / "resultado.xlsx")
        return outcome

    outcome, whole = _timed(run)
    outcome = _with_cases(outcome, number)
    merchant, path = request.merchant, folder / "share.sqlite"
    found = case_evidence.found(outcome.reconciliation, merchant, clear=False)
    changed = len(found) // 100
    consolidated = outcome.reconciliation.transactions.select(c.TRANSACTIONS_QUERY).take(
        outcome.reconciliation.consolidated_rows[:changed]
    )
    was = cases.of_kind(cases.TRANSACTION, consolidated, merchant, clear=False)
    _store(path, 1, outcome, found)
    _print_share("nothing_new", outcome, whole, path, 2)
    _print_share("first", outcome, whole, folder / "first.sqlite", 1)
    yesterday = pa.concat_tables([found.slice(changed), was]).combine_chunks()
    _store(folder / "morning.sqlite", 1, outcome, yesterday)
    _print_share("morning", outcome, whole, folder / "morning.sqlite", 2)


def _with_cases(outcome: Outcome, number: int) -> Outcome:
    """The same run with no more than this many cases, half of them logs."""
    result = outcome.reconciliation
    motivo, half = result.motivo.copy(), number // 2
    logs = np.flatnonzero(np.isin(motivo, [c.MOTIVOS.index(name) for name in cases.MOTIVOS]))
    motivo[logs[half:]] = c.MOTIVOS.index(c.RECENTE)
    reduced = replace(
        result,
        motivo=motivo,
        without_log_rows=result.without_log_rows[:half],
        without_log_reason=result.without_log_reason[:half],
    )
    return replace(outcome, reconciliation=reduced)


def _print_share(name: str, outcome: Outcome, whole: Seconds, path: Path, number: int) -> None:
    result, merchant = outcome.reconciliation, outcome.request.merchant
    change, took = _timed(
        lambda: _store(path, number, outcome, case_evidence.found(result, merchant, clear=False))
    )
    clock, used = (part / (part + run) for part, run in zip(took, whole, strict=True))
    print(
        f"{name} cases {change.open} new {change.new} resolved {change.resolved} "
        f"run {whole[0]:.2f} s cpu {whole[1]:.2f} s "
        f"cases {took[0]:.2f} s cpu {took[1]:.2f} s share {clock:.1%} cpu_share {used:.1%}"
    )


def _store(path: Path, number: int, outcome: Outcome, table: pa.Table) -> case_store.Change:
    period, merchant = outcome.request.period, outcome.request.merchant
    days = (period.end - period.start).days + 1
    judging = Judging(
        run=number,
        merchant=merchant,
        at=datetime.now(UTC),
        period=(period.start, period.end),
        days=frozenset(period.start + timedelta(days=n) for n in range(days)),
    )
    return case_store.judge(
        path,
        judging,
        cases.of_run(merchant, table),
        lambda gone: case_evidence.evidence(outcome.reconciliation, merchant, gone, clear=False),
    )


def _fill(stored: int, path: Path) -> None:
    """Store cases of 400 days, close nine in ten, and mark one in a thousand."""
    for part in range(2):
        table = _synthetic(stored // 2, part, _FIRST)
        judging = Judging(
            run=part + 1,
            merchant=data.MERCHANT,
            at=datetime(2026, 12, 1 + part, 9, tzinfo=UTC),
            period=(_FIRST, _FIRST + timedelta(days=400)),
            days=frozenset(_FIRST + timedelta(days=n) for n in range(400) if n % 2 == part),
        )
        found = cases.of_run(data.MERCHANT, table)
        case_store.judge(path, judging, found, lambda gone: case_evidence.Evidence())
    with state_file.writing(path) as connection:
        keys = [key for (key,) in connection.exec_driver_sql("SELECT key FROM cases")]
        closed = [key for key in keys if key % 10]
        with case_counts.kept_current(connection, closed):
            connection.exec_driver_sql(
                "UPDATE cases SET state = 'matched', last_seen = first_seen WHERE key = ?",
                [(key,) for key in closed],
            )
        owned = [key for key in keys if key % 1_000 == 1]
        with case_counts.kept_current(connection, owned):
            connection.exec_driver_sql(
                "UPDATE cases SET owner = 'ana@example.com', status = 'em análise' WHERE key = ?",
                [(key,) for key in owned],
            )


def _pages(stored: int, path: Path) -> None:
    """Time what the screen asks."""
    today, zone = date(2026, 12, 3), ZoneInfo("America/Sao_Paulo")
    everything, resolved = Filter(states=cases.STATES), Filter((cases.MATCHED, cases.MISSING))
    oldest = case_queries.age_bounds(AGES[0], today, zone)

    def find(query: Filter, **more: Any) -> Callable[[], object]:
        return lambda: case_queries.find(path, data.MERCHANT, query, **more)

    for name, work in {
        "first": find(everything),
        "middle": find(everything, offset=stored // 2),
        "last": find(everything, offset=stored - 100),
        "of_a_day": find(replace(everything, days=(_FIRST, _FIRST)), sort="amount"),
        "all_by_age": find(everything, sort="first_seen", offset=stored // 3),
        "all_by_owner": find(everything, sort="owner", offset=stored // 3),
        "open": find(Filter()),
        "by_age": find(Filter(), sort="first_seen", descending=False),
        "by_owner": find(Filter(), sort="owner"),
        "by_amount": find(Filter(), sort="amount"),
        "resolved_by_amount": find(resolved, sort="amount", offset=stored // 3),
        "log_only": find(Filter(kinds=("log",))),
        "unmarked": find(Filter(statuses=(None,))),
        "resolved_by_age": find(resolved, sort="first_seen"),
        "resolved_by_owner": find(resolved, sort="owner"),
        "rare": find(replace(resolved, owners=("ana@example.com",), kinds=("log",))),
        "age_of_none": find(replace(resolved, first_seen=oldest)),
        "search_card": find(Filter(search="0042")),
        "search_resolved": find(replace(resolved, search="0042")),
        "search_all": find(replace(everything, search="0042"), sort="first_seen"),
        "search_nothing": find(replace(everything, search="nada disso")),
        "search_word": find(replace(everything, search="aprovada")),
        "counts": lambda: case_queries.counts(path, data.MERCHANT, today, zone),
    }.items():
        taken = [_timed(work)[1] for _ in range(_REPEATED)]
        clock, used = (statistics.median(seconds) for seconds in zip(*taken, strict=True))
        print(f"stored {stored} {name} {clock:.3f} s cpu {used:.3f} s")


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
