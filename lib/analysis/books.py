"""Counts and the balance of the books, in total and by day, from a reconciliation.

Returns small frames and frozen values; renderers read these and compute nothing themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import BalanceError
from lib.domain.outcomes import Books
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.reconciliation import Reconciliation, Rows

AMOUNTS_DIFFER: Final = "transactions: os valores não fecham; nada foi publicado."
RECORDS_MISPLACED: Final = (
    "{side}: a conta não fecha: de {total} registros, {lost} sem lugar e {doubled} em "
    "mais de um lugar; nada foi publicado."
)
DAY_DIFFERS: Final = "A conta do dia {day} não fecha; nada foi publicado."


def books(result: Reconciliation) -> Books:
    """Return the balance. Raises BalanceError where a record is lost or counted twice."""
    log_parts = [result.matched_log_rows, result.divergent_rows]
    _require_partition("auth_logs", result.log_rows, log_parts)
    parts = [result.consolidated_rows, result.without_log_rows, result.duplicate_rows]
    _require_partition("transactions", result.transaction_rows, parts)

    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    amounts = [_amount(cents[rows]) for rows in parts]
    total = _amount(cents[result.transaction_rows])
    if total != sum(amounts):
        raise BalanceError(AMOUNTS_DIFFER)
    return Books(
        logs=len(result.log_rows),
        logs_matched=len(result.matched_log_rows),
        divergences=len(result.divergent_rows),
        transactions=len(result.transaction_rows),
        consolidated=len(result.consolidated_rows),
        without_log=len(result.without_log_rows),
        duplicates=len(result.duplicate_rows),
        amount=total,
        amount_consolidated=amounts[0],
        amount_without_log=amounts[1],
        amount_duplicates=amounts[2],
    )


def balance_by_day(result: Reconciliation) -> pd.DataFrame:
    """Return one row per day: ``day`` and the fields of `Books`, amounts as exact decimals.

    Records outside every day of the period (a site's own query may return them) are in a last
    row whose day is None, present only if there are any. Raises BalanceError where a day does
    not balance.
    """
    transaction_day = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA).day
    log_day = column_arrays.instants(result.auth_logs, c.DATA, c.HORA).day
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    cents = np.where(cents == column_arrays.MISSING, 0, cents)
    dates = _dates(result)
    first, outside = (dates[0] - EPOCH).days, len(dates)

    def slot(day: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
        number = day[rows] - first
        return np.where((number >= 0) & (number < outside), number, outside)

    def count(day: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
        return np.bincount(slot(day, rows), minlength=outside + 1)

    def amount(rows: Rows) -> list[Decimal]:
        total = np.zeros(outside + 1, dtype=np.int64)
        np.add.at(total, slot(transaction_day, rows), cents[rows])
        return [Decimal(int(value)) / 100 for value in total]

    frame = pd.DataFrame(
        {
            "day": pd.Series([*dates, None], dtype=object),
            "logs": count(log_day, result.log_rows),
            "logs_matched": count(log_day, result.matched_log_rows),
            "divergences": count(log_day, result.divergent_rows),
            "transactions": count(transaction_day, result.transaction_rows),
            "consolidated": count(transaction_day, result.consolidated_rows),
            "without_log": count(transaction_day, result.without_log_rows),
            "duplicates": count(transaction_day, result.duplicate_rows),
            "amount": amount(result.transaction_rows),
            "amount_consolidated": amount(result.consolidated_rows),
            "amount_without_log": amount(result.without_log_rows),
            "amount_duplicates": amount(result.duplicate_rows),
        }
    )
    _require_balanced_days(frame)
    last = frame.iloc[-1]
    return frame if last["logs"] or last["transactions"] else frame.iloc[:-1]


@dataclass(frozen=True)
class Coverage:
    """The latest instant of each source (local, None if no record has one) and its empty days."""

    latest_transaction: datetime | None
    latest_log: datetime | None
    days_without_transactions: tuple[date, ...]
    days_without_logs: tuple[date, ...]


def coverage(result: Reconciliation) -> Coverage:
    """Return the coverage of the records inside the period."""
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA)

    def latest(instants: column_arrays.Instants, rows: Rows) -> datetime | None:
        seconds = instants.seconds[rows[instants.known[rows]]]
        if not len(seconds):
            return None
        return datetime.combine(EPOCH, time.min) + timedelta(seconds=int(seconds.max()))

    def empty(instants: column_arrays.Instants, rows: Rows) -> tuple[date, ...]:
        present = set(np.unique(instants.day[rows]).tolist())
        return tuple(day for day in _dates(result) if (day - EPOCH).days not in present)

    return Coverage(
        latest(bought, result.transaction_rows),
        latest(logged, result.log_rows),
        empty(bought, result.transaction_rows),
        empty(logged, result.log_rows),
    )


def by_response_code(result: Reconciliation) -> pd.DataFrame:
    """Count logs by response code: ``code, matched, divergences``, most frequent first.

    NULL and empty codes are one row with an empty code.
    """
    codes = column_arrays.column(result.auth_logs, c.COD_RESPOSTA)
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    labels = [*codes.dictionary.to_pylist(), ""]
    index = codes.indices.fill_null(len(labels) - 1).to_numpy(zero_copy_only=False)

    def count(rows: Rows) -> NDArray[np.int64]:
        return np.bincount(index[rows], minlength=len(labels))

    frame = pd.DataFrame(
        {
            "code": labels,
            "matched": count(result.matched_log_rows),
            "divergences": count(result.divergent_rows),
        }
    )
    frame = frame.groupby("code", as_index=False).sum()
    frame["total"] = frame["matched"] + frame["divergences"]
    frame = frame[frame["total"] > 0].sort_values(["total", "code"], ascending=[False, True])
    return frame.drop(columns="total").reset_index(drop=True)


def by_motivo(result: Reconciliation) -> dict[str, int]:
    """Count the divergences of each motivo, those that need a person first."""
    counts = np.bincount(result.motivo, minlength=len(c.MOTIVOS))
    return {name: int(n) for name, n in reversed(list(zip(c.MOTIVOS, counts, strict=True)))}


def _require_partition(side: str, rows: Rows, parts: list[Rows]) -> None:
    """Raise BalanceError unless the parts hold each of these rows exactly once, and no other."""
    assigned = np.concatenate(parts)
    size = max(rows.max(initial=-1), assigned.max(initial=-1)) + 1
    times, expected = np.bincount(assigned, minlength=size), np.bincount(rows, minlength=size)
    lost, doubled = int((times < expected).sum()), int((times > expected).sum())
    if lost or doubled:
        raise BalanceError(
            RECORDS_MISPLACED, side=side, total=len(rows), lost=lost, doubled=doubled
        )


def _require_balanced_days(days: pd.DataFrame) -> None:
    """Raise BalanceError unless the counts and amounts of every day add up."""
    parts = days["amount_consolidated"] + days["amount_without_log"] + days["amount_duplicates"]
    unbalanced = (
        (days["logs"] != days["logs_matched"] + days["divergences"])
        | (days["transactions"] != days["consolidated"] + days["without_log"] + days["duplicates"])
        | (days["amount"] != parts)
    )
    if unbalanced.any():
        day = days["day"][unbalanced].iloc[0]
        raise BalanceError(DAY_DIFFERS, day=f"{day:%d/%m/%Y}" if day else "sem data")


def _dates(result: Reconciliation) -> list[date]:
    days = (result.period.end - result.period.start).days + 1
    return [result.period.start + timedelta(days=n) for n in range(days)]


def _amount(cents: NDArray[np.int64]) -> Decimal:
    return Decimal(int(cents[cents != column_arrays.MISSING].sum())) / 100
