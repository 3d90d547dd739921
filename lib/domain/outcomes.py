"""Results of a run: its books (counts and amounts), and the finished run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Request


@dataclass(frozen=True)
class Books:
    """Counts and amounts of a reconciliation; each extracted record is counted exactly once."""

    logs: int
    logs_matched: int
    divergences: int
    transactions: int
    consolidated: int
    without_log: int
    duplicates: int
    amount: Decimal
    amount_consolidated: Decimal
    amount_without_log: Decimal
    amount_duplicates: Decimal


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished, balanced run; its rows may be in memory or in files.

    ``by_day`` is `books.balance_by_day`; ``seconds`` are the durations of its stages.
    """

    request: Request
    merchant_name: str
    clear: bool
    extracted_at: datetime
    books: Books
    by_day: pa.Table
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome(Finished):
    """A finished run whose rows are in memory."""

    reconciliation: Reconciliation
