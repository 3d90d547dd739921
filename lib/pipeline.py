"""The only orchestration: `run` turns a request into an outcome, `publish` writes its workbook.

The dashboard and the command line share these two functions. Reads the clock for the rooms below.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lib import __version__
from lib.analysis import books
from lib.database import copy_reader, date_validation, retry
from lib.domain import column_arrays, memory, requests
from lib.domain.errors import ContractError, ExtractionError
from lib.domain.outcomes import Outcome
from lib.domain.requests import CARD, Progress, Request, window_of
from lib.matching import reconcile
from lib.matching.prepared import Logs, Transactions
from lib.reports.description import Cover
from lib.reports.publish import write

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from lib.config.settings import Settings
    from lib.domain.cases import Labels
    from lib.domain.requests import Side
    from lib.reports.report_file import Written

NO_MEMORY: Final = (
    "A memória deste computador não basta para o período pedido: reduza o período, ou use "
    'kind = "chunked" em [aggregator.engine].'
)

Read = Callable[["Settings", requests.Window, Progress], tuple[datetime, copy_reader.Extracted]]
"""Reads a window and returns the moment of extraction and its records."""


@memory.reraise_shortage(lambda: ExtractionError(NO_MEMORY))
def run(
    settings: Settings,
    request: Request,
    *,
    clear: bool = False,
    user: str | None = None,
    progress: Progress = lambda stage, rows: None,
    read: Read | None = None,
) -> Outcome:
    """Read both sources, match them and balance the books. Raises AggregatorError.

    Under row-level security the rows are those of ``user``, or of the login if it is None.
    ``read`` replaces the extraction, except of clear data. A failed read is discarded whole and
    retried within the limits of `lib.database.retry`. The side that arrives first is prepared for
    the matching while the other is still read.
    """
    memory.check(memory.START_BYTES)
    memory.require(memory.FIRST_BYTES)
    clock = _Stopwatch()
    window = replace(window_of(request), user=user)

    prepared: dict[Side, Any] = {}

    def prepare(side: Side, table: pa.Table) -> None:
        if request.rule.name == CARD:  # rule card_time drops records outside its window by itself
            days = column_arrays.column(table, date_validation.DATES[side])
            date_validation.require_dates(side, days, window)
        with memory.reserved(len(table) * memory.PREPARING_BYTES[request.rule.name][side]):
            prepared[side] = (
                Transactions.of(table) if side == "transactions" else Logs.of(table, request.rule)
            )

    def arrived(side: Side, table: pa.Table) -> None:
        try:
            prepare(side, table)
        except ContractError:
            if side == "transactions":  # wrong dates of the logs are refused below, after these
                raise

    def extract() -> tuple[datetime, copy_reader.Extracted]:
        prepared.clear()
        if read is not None and not clear:
            return read(settings, window, progress)
        moment = datetime.now(settings.zone)
        return moment, copy_reader.extract(
            settings, window, clear=clear, progress=progress, arrived=arrived
        )

    extracted_at, extracted = retry.call(extract)
    clock.lap("extract")

    records = len(extracted.transactions) + len(extracted.auth_logs)
    progress("matching", records)
    for side in requests.SIDES:
        if side not in prepared:
            prepare(side, getattr(extracted, side))
    spare = memory.LEAST_BYTES if read else 0
    with memory.reserved(spare + records * memory.MATCHING_BYTES[request.rule.name]):
        result = reconcile.match(
            prepared["transactions"], prepared["auth_logs"], request.period, request.rule
        )
        balance, by_day = books.books(result), books.balance_by_day(result)
    clock.lap("match")
    return Outcome(
        request=request,
        merchant_name=settings.merchants[request.merchant],
        clear=clear,
        extracted_at=extracted_at.replace(microsecond=0),
        reconciliation=result,
        books=balance,
        by_day=by_day,
        seconds=clock.laps,
    )


@memory.reraise_shortage(lambda: ExtractionError(NO_MEMORY))
def publish(
    outcome: Outcome,
    target: Path,
    *,
    progress: Progress = lambda stage, rows: None,
    marks: Mapping[str, str] | None = None,
    labels: Labels | None = None,
    approve: Callable[[Written], object] = lambda written: None,
) -> Written:
    """Write the outcome's workbook to the target atomically. Raises ReportError.

    ``marks`` are further document properties, ``labels`` further columns of the divergences;
    ``approve`` receives the finished temporary file before it replaces the target.
    """
    memory.check(memory.CONTINUE_BYTES)
    progress("writing", outcome.books.consolidated + outcome.books.divergences)
    cover = Cover(
        merchant=outcome.request.merchant,
        merchant_name=outcome.merchant_name,
        clear=outcome.clear,
        extracted_at=outcome.extracted_at,
        version=__version__,
        marks=marks or {},
        labels=labels,
    )
    return write(outcome.reconciliation, cover, target, approve=approve)


class _Stopwatch:
    """Measures the duration of each stage in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
