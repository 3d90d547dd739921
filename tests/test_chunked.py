"""The chunked engine gives what one process in memory gives, to the last cell."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib import pipeline
from lib.engines import bucket, chunked, estimate, reading, tables
from lib.engines import result as results
from lib.engines.job import Job, Slice, slices
from lib.engines.totals import Read, require_all, totals_of
from lib.errors import BalanceError, ConfigError, ReportError
from lib.extraction import Window
from lib.matching import reconcile
from lib.reconciliation import Period, Reconciliation, Rule
from tests import engine_data
from tests.frames import Log, Transaction, logs_frame, transactions_frame
from tests.test_matching_property import LOGS, TRANSACTIONS

if TYPE_CHECKING:
    from tests.servers import Databases

DAY = date(2026, 2, 15)


class Here:
    """Workers that are this process."""

    def each(
        self, job: Job, work: Callable[[Job, Any], Any], tasks: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        return ((task, work(job, task)) for task in tasks)


@given(
    TRANSACTIONS,
    LOGS,
    st.sampled_from(["card", "card_time"]),
    st.sampled_from([0, 60, 86_400]),
    st.integers(1, 5),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_any_number_of_buckets_gives_the_answer_of_one_matching(
    transactions: list[Transaction],
    logs: list[Log],
    rule: str,
    tolerance: int,
    buckets: int,
    age: int,
    shuffle: random.Random,
) -> None:
    period = Period(DAY, DAY + timedelta(days=1), DAY + timedelta(days=1 + age))
    asked = Rule(rule, tolerance)
    whole = reconcile(transactions_frame(transactions), logs_frame(logs), period, asked)
    shuffle.shuffle(transactions)
    shuffle.shuffle(logs)
    folder = Path(tempfile.mkdtemp())
    try:
        found, read = in_buckets(folder, transactions, logs, period, asked, buckets)
        for name in tables.NAMES:
            expected = visible(engine_data.table_of(whole, name))
            rows = [visible(parquet_like(folder, part, name)) for part in range(buckets)]
            assert sorted(map(repr, sum(rows, []))) == sorted(map(repr, expected)), name
        totals = totals_of(found)
        require_all(read, totals.books)
        assert totals.books == summary_of(whole)
    finally:
        shutil.rmtree(folder)


def in_buckets(
    folder: Path,
    transactions: list[Transaction],
    logs: list[Log],
    period: Period,
    rule: Rule,
    buckets: int,
) -> tuple[list[bucket.Matched], Read]:
    """Everything the engine does between the databases and the result, in this process."""
    job = Job(
        settings=None,  # type: ignore[arg-type]
        window=Window(engine_data.MERCHANT, period.start, period.end),
        period=period,
        rule=rule,
        clear=False,
        folder=folder,
        buckets=buckets,
        key=b"",
        snapshots={},
    )
    staged, half = [], len(transactions) // 2
    for number, part in enumerate((transactions[:half], transactions[half:])):
        share = Slice("transactions", number, None, None)
        pieces = [as_read(transactions_frame(part, dictionary=False))] if part else []
        staged.append(reading.keep_transactions(job, share, pieces))
    chunked.route(job, Here())
    share = Slice("auth_logs", 0, None, None)
    pieces = [as_read(logs_frame(logs, dictionary=False))] if logs else []
    logged = reading.keep_auth_logs(job, share, pieces)
    newest = max(s.newest for s in staged)
    found = [bucket.match(job, (number, newest, 1)) for number in range(buckets)]
    cents = sum(s.cents for s in staged)
    return found, Read(sum(s.inside for s in staged), logged.inside, cents, newest, "", buckets)
