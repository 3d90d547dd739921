"""Counts, series by day and the balance of the books, out of a reconciliation.

Pure: frames in, small frames and frozen values out. What a renderer shows, it reads from here;
it computes nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

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


def books(result: Reconciliation) -> Books:
    """The balance of a reconciliation. Raises BalanceError where a record is lost or doubled."""
    log_places = [result.matched_log_rows, result.divergent_rows]
    _require_partition("auth_logs", result.log_rows, log_places)
    places = [result.consolidated_rows, result.without_log_rows, result.duplicate_rows]
    _require_partition("transactions", result.transaction_rows, places)

    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    amounts = [_amount(cents[rows]) for rows in places]
    total = _amount(cents[result.transaction_rows])
    if total != sum(amounts):
        raise BalanceError("transactions: os valores não fecham; nada foi publicado.")
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


def by_day(result: Reconciliation) -> pd.DataFrame:
    """One row per day of the period: ``day, consolidated, divergences, without_log, amount``.

    Amounts are exact decimals of the consolidated transactions. Records without a date are in
    no day.
    """
    first = (result.period.start - EPOCH).days
    count = _days(result)
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA).day
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA).day
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    rows = result.consolidated_rows

    def counted(days: NDArray[np.int64]) -> NDArray[np.int64]:
        inside = (days >= first) & (days < first + count)
        return np.bincount(days[inside] - first, minlength=count)

    amount = np.zeros(count, dtype=np.int64)
    inside = (
        (bought[rows] >= first)
        & (bought[rows] < first + count)
        & (cents[rows] != column_arrays.NEVER)
    )
    np.add.at(amount, bought[rows][inside] - first, cents[rows][inside])
    return pd.DataFrame(
        {
            "day": [result.period.start + timedelta(days=i) for i in range(count)],
            "consolidated": counted(bought[rows]),
            "divergences": counted(logged[result.divergent_rows]),
            "without_log": counted(bought[result.without_log_rows]),
            "amount": [Decimal(int(a)) / 100 for a in amount],
        }
    )


def balance_by_day(result: Reconciliation) -> pd.DataFrame:
    """The books day by day: ``day`` and the counts and amounts of `Books`, exact decimals.

    Records of no day of the period (a site's query may return them) stand in a last row whose day
    is None, where there are any. Raises BalanceError where a day does not tie.
    """
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA).day
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA).day
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    first, days = (result.period.start - EPOCH).days, _days(result)

    def slot(day: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where((day >= first) & (day < first + days), day - first, days)

    def counted(day: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
        return np.bincount(slot(day[rows]), minlength=days + 1)

    def summed(rows: Rows) -> list[Decimal]:
        total = np.zeros(days + 1, dtype=np.int64)
        np.add.at(
            total, slot(bought[rows]), np.where(cents[rows] == column_arrays.NEVER, 0, cents[rows])
        )
        return [Decimal(int(amount)) / 100 for amount in total]

    dates = [result.period.start + timedelta(days=i) for i in range(days)]
    frame = pd.DataFrame(
        {
            "day": pd.Series([*dates, None], dtype=object),
            "logs": counted(logged, result.log_rows),
            "logs_matched": counted(logged, result.matched_log_rows),
            "divergences": counted(logged, result.divergent_rows),
            "transactions": counted(bought, result.transaction_rows),
            "consolidated": counted(bought, result.consolidated_rows),
            "without_log": counted(bought, result.without_log_rows),
            "duplicates": counted(bought, result.duplicate_rows),
            "amount": summed(result.transaction_rows),
            "amount_consolidated": summed(result.consolidated_rows),
            "amount_without_log": summed(result.without_log_rows),
            "amount_duplicates": summed(result.duplicate_rows),
        }
    )
    _require_ties(frame)
    undated = frame.iloc[-1]
    return frame if undated["logs"] or undated["transactions"] else frame.iloc[:-1]


@dataclass(frozen=True)
class Reach:
    """How far each source's records go: the latest instant, and the days without any record.

    Local clock readings; None where a source returned nothing with a time.
    """

    transactions: datetime | None
    auth_logs: datetime | None
    days_without_transactions: tuple[date, ...]
    days_without_logs: tuple[date, ...]


def reach(result: Reconciliation) -> Reach:
    """How far the records inside the period go, side by side."""
    bought = column_arrays.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    logged = column_arrays.instants(result.auth_logs, c.DATA, c.HORA)
    days = [result.period.start + timedelta(days=i) for i in range(_days(result))]

    def latest(instants: column_arrays.Instants, rows: Rows) -> datetime | None:
        known = rows[instants.known[rows]]
        if not len(known):
            return None
        return datetime.combine(EPOCH, time.min) + timedelta(
            seconds=int(instants.seconds[known].max())
        )

    def missing(instants: column_arrays.Instants, rows: Rows) -> tuple[date, ...]:
        present = {int(day) for day in np.unique(instants.day[rows])}
        return tuple(day for day in days if (day - EPOCH).days not in present)

    return Reach(
        latest(bought, result.transaction_rows),
        latest(logged, result.log_rows),
        missing(bought, result.transaction_rows),
        missing(logged, result.log_rows),
    )


def by_response_code(result: Reconciliation) -> pd.DataFrame:
    """The logs by response code: ``code, matched, divergences``, most frequent first, blank one."""
    codes = column_arrays.column(result.auth_logs, c.COD_RESPOSTA)
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    labels = [*codes.dictionary.to_pylist(), ""]
    index = codes.indices.fill_null(len(labels) - 1).to_numpy(zero_copy_only=False)

    def counted(rows: Rows) -> NDArray[np.int64]:
        return np.bincount(index[rows], minlength=len(labels))

    frame = pd.DataFrame(
        {
            "code": labels,
            "matched": counted(result.matched_log_rows),
            "divergences": counted(result.divergent_rows),
        }
    )
    frame = frame.groupby("code", as_index=False).sum()
    frame["total"] = frame["matched"] + frame["divergences"]
    frame = frame[frame["total"] > 0].sort_values(["total", "code"], ascending=[False, True])
    return frame.drop(columns="total").reset_index(drop=True)


def by_motivo(result: Reconciliation) -> dict[str, int]:
    """How many divergences each motivo has, those that need a person first."""
    counts = np.bincount(result.motivo, minlength=len(c.MOTIVOS))
    return {name: int(n) for name, n in reversed(list(zip(c.MOTIVOS, counts, strict=True)))}


def _require_partition(side: str, rows: Rows, places: list[Rows]) -> None:
    """Every one of these rows in exactly one of the places, and nothing else in any."""
    found = np.concatenate(places)
    size = max(rows.max(initial=-1), found.max(initial=-1)) + 1
    times, expected = np.bincount(found, minlength=size), np.bincount(rows, minlength=size)
    lost, doubled = int((times < expected).sum()), int((times > expected).sum())
    if lost or doubled:
        raise BalanceError(
            "{side}: a conta não fecha: de {total} registros, {lost} sem lugar e {doubled} em "
            "mais de um lugar; nada foi publicado.",
            side=side,
            total=len(rows),
            lost=lost,
            doubled=doubled,
        )


def _require_ties(days: pd.DataFrame) -> None:
    """Each day's records add up, by count and by amount."""
    untied = (
        (days["logs"] != days["logs_matched"] + days["divergences"])
        | (days["transactions"] != days["consolidated"] + days["without_log"] + days["duplicates"])
        | (
            days["amount"]
            != days["amount_consolidated"] + days["amount_without_log"] + days["amount_duplicates"]
        )
    )
    if untied.any():
        day = days["day"][untied].iloc[0]
        raise BalanceError(
            "A conta do dia {day} não fecha; nada foi publicado.",
            day=f"{day:%d/%m/%Y}" if day else "sem data",
        )


def _days(result: Reconciliation) -> int:
    return (result.period.end - result.period.start).days + 1


def _amount(cents: NDArray[np.int64]) -> Decimal:
    return Decimal(int(cents[cents != column_arrays.NEVER].sum())) / 100
