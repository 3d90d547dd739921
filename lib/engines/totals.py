"""Add up the counts of all buckets and compare them with the records read. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from lib.domain import columns as c
from lib.domain.errors import BalanceError
from lib.domain.outcomes import Books

if TYPE_CHECKING:
    import pyarrow as pa

UNBALANCED: Final = (
    "{side}: a conta não fecha: lido {there}, conciliado {counted}; nada foi publicado."
)


@dataclass(frozen=True)
class Read:
    """Records and amount of both sides inside the period, counted while reading.

    ``newest`` is `reconcile.newest_instant` of all transactions.
    """

    transactions: int
    auth_logs: int
    cents: int
    newest: int
    extracted_at: str
    buckets: int


@dataclass(frozen=True)
class Counts:
    """Figures of a result or of a bucket: ``days`` and ``codes`` as in `lib.analysis.books`."""

    books: Books
    days: pa.Table
    codes: pa.Table
    motivos: dict[str, int]


@dataclass(frozen=True)
class Totals:
    """The sums over all buckets; ``days`` and ``codes`` are rows of plain values."""

    books: Books
    days: list[dict[str, Any]]
    codes: list[dict[str, Any]]
    motivos: dict[str, int]

    def plain(self) -> dict[str, Any]:
        """The totals as plain values, for a manifest."""
        return {
            "books": asdict(self.books),
            "days": self.days,
            "codes": self.codes,
            "motivos": self.motivos,
        }


def totals_of(parts: Iterable[Counts]) -> Totals:
    """Add up the parts, rows in the order of `lib.analysis.books`; the undated day comes last."""
    parts = list(parts)
    books = Books(
        **{f.name: sum(getattr(part.books, f.name) for part in parts) for f in fields(Books)}
    )
    days = _summed((part.days for part in parts), "day")
    codes = _summed((part.codes for part in parts), "code")
    return Totals(
        books=books,
        days=sorted(days, key=lambda row: (row["day"] is None, row["day"] or date.min)),
        codes=sorted(codes, key=lambda row: (-row["matched"] - row["divergences"], row["code"])),
        motivos={name: sum(part.motivos[name] for part in parts) for name in reversed(c.MOTIVOS)},
    )


def require_all(read: Read, books: Books) -> None:
    """Raise BalanceError unless every record read is in the books exactly once."""
    for side, total_read, counted in (
        ("transactions", read.transactions, books.transactions),
        ("auth_logs", read.auth_logs, books.logs),
        ("transactions", Decimal(read.cents) / 100, books.amount),
    ):
        if total_read != counted:
            raise BalanceError(UNBALANCED, side=side, there=total_read, counted=counted)


def _summed(tables: Iterable[pa.Table], key: str) -> list[dict[str, Any]]:
    """Sum the other columns by ``key``, in order of first appearance."""
    sums: dict[Any, dict[str, Any]] = {}
    for table in tables:
        for row in table.to_pylist():
            total = sums.setdefault(row[key], {key: row[key]})
            for name, value in row.items():
                if name != key:
                    total[name] = total.get(name, 0) + value
    return list(sums.values())
