"""How a matched reconciliation becomes a published result, whichever engine matched it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.domain import outcomes, requests
from lib.engines import parquet_result
from lib.engines.result_files import Draft, drafted
from lib.engines.totals import Read, Totals, require_all
from lib.reports.publish import write_error

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.reconciliation import Period
    from lib.domain.requests import Progress, Request

_SLOT_ROWS: Final = 400_000


@dataclass(frozen=True)
class Matching:
    """A matched and balanced reconciliation; ``fill`` writes its files, so many slots a day.

    It can be filled as long as the engine that gave it is open.
    """

    settings: Settings
    asked: Request
    clear: bool
    read: Read
    totals: Totals
    fill: Callable[[Draft, int], None]

    def finished(self) -> outcomes.Finished:
        """What is known of the run before anything is written."""
        counts = parquet_result.counts(json.loads(parquet_result.as_json(self.totals.plain())))
        return outcomes.Finished(
            request=self.asked,
            merchant_name=self.settings.merchants[self.asked.merchant],
            clear=self.clear,
            extracted_at=datetime.fromisoformat(self.read.extracted_at),
            books=counts.books,
            by_day=counts.days,
        )


def balanced(
    settings: Settings,
    asked: Request,
    clear: bool,
    read: Read,
    totals: Totals,
    fill: Callable[[Draft, int], None],
) -> Matching:
    """The matching, once its books hold what was read. Raises BalanceError."""
    require_all(read, totals.books)
    return Matching(settings, asked, clear, read, totals, fill)


def slots_a_day(period: Period, read: Read) -> int:
    """Into how many files to cut a day, so that each can be sorted in a worker's memory."""
    days = (period.end - period.start).days + 1
    return -(-max(read.transactions, read.auth_logs, 1) // (days * _SLOT_ROWS))


@contextmanager
def sealed(found: Matching, target: Path, progress: Progress) -> Iterator[Draft]:
    """A complete result, which the block may read and publish. Raises ReportError."""
    books, asked = found.totals.books, found.asked
    progress("writing", books.consolidated + books.divergences)
    try:
        with drafted(target) as draft:
            found.fill(draft, slots_a_day(asked.period, found.read))
            draft.seal(
                {
                    **requests.encode(asked),
                    "merchant_name": found.settings.merchants[asked.merchant],
                    "clear": found.clear,
                    "extracted_at": found.read.extracted_at,
                    **found.totals.plain(),
                }
            )
            yield draft
    except OSError as problem:
        raise write_error(problem, target) from problem


def publish(found: Matching, target: Path, progress: Progress) -> parquet_result.Result:
    """Publish the result alone, without a workbook. Raises ReportError."""
    with sealed(found, target, progress) as draft:
        draft.publish()
    return parquet_result.open_result(target)
