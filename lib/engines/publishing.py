"""How a matched reconciliation becomes a published result, whichever engine matched it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.engines import result
from lib.engines.totals import Read, Totals, require_all

if TYPE_CHECKING:
    from lib.pipeline import Progress, Request
    from lib.reconciliation import Period
    from lib.settings import Settings

_SLOT_ROWS: Final = 400_000


def slots_a_day(period: Period, read: Read) -> int:
    """Into how many files to cut a day, so that each can be sorted in a worker's memory."""
    days = (period.end - period.start).days + 1
    return -(-max(read.transactions, read.auth_logs, 1) // (days * _SLOT_ROWS))


@contextmanager
def published(
    settings: Settings,
    asked: Request,
    clear: bool,
    read: Read,
    totals: Totals,
    target: Path,
    progress: Progress,
) -> Iterator[result.Draft]:
    """A draft for the files of the result, published when the block ends well.

    Raises BalanceError where the books do not hold what was read.
    """
    require_all(read, totals.books)
    progress("writing", totals.books.consolidated + totals.books.divergences)
    target.mkdir(parents=True, exist_ok=True)
    with result.drafted(target) as draft:
        yield draft
        draft.finish(
            {
                "merchant": asked.merchant,
                "merchant_name": settings.merchants[asked.merchant],
                "period": asdict(asked.period),
                "rule": asdict(asked.rule),
                "clear": clear,
                "extracted_at": read.extracted_at,
                **totals.plain(),
            }
        )
