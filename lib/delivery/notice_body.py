"""What may be told of a run: counts and sentences, never a record.

Pure data; `lib.delivery.notice_text` renders it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from lib.delivery.case_store import Change
    from lib.domain.outcomes import Books


@dataclass(frozen=True)
class RunReport:
    """An ended run: its events with their sentences, and its counts if its books balanced.

    ``number`` is the run's in the history, None where it could not be written; ``failure`` says
    why there is no report.
    """

    number: int | None
    merchant: str
    name: str
    period: tuple[date, date]
    events: Mapping[str, tuple[str, ...]]
    failure: str | None = None
    books: Books | None = None
    cases: Change | None = None


@dataclass(frozen=True)
class Message:
    """A rendered notice, of its most serious event; it covers these events of these runs."""

    event: str
    covers: tuple[tuple[int | None, str], ...]
    title: str
    text: str
