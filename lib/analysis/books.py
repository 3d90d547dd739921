"""Counts and the balance of the books, in total and by day, from a reconciliation.

Returns small tables and frozen values; renderers read these and compute nothing themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import BalanceError
from lib.domain.outcomes import Books
from lib.domain.reconciliation import EPOCH
from lib.domain.requests import days_of

if TYPE_CHECKING:
    from lib.domain.column_arrays import Ints
    from lib.domain.reconciliation import Reconciliation, Rows

AMOUNTS_DIFFER: Final = "transactions: os valores não fecham; nada foi publicado."
RECORDS_MISPLACED: Final = (
    "{side}: a conta não fecha: de {total} registros, {lost} sem lugar e {doubled} em "
    "mais de um lugar; nada foi publicado."
)
DAY_DIFFERS: Final = "A conta do dia {day} não fecha; nada foi publicado."


DAYS: Final = pa.schema(
    {"day": pa.date32()}
    | {
        field.name: pa.decimal128(19, 2) if field.name.startswith("amount") else pa.int64()
        for field in fields(Books)
    }
)
"""The columns of `balance_by_day`: the day, and the counts and amounts of `Books`."""
CODES: Final = pa.schema({"code": pa.string(), "matched": pa.int64(), "divergences": pa.int64()})
"""The columns of `by_response_code`."""


def books(result: Reconciliation) -> Books:
    """Return the balance. Raises BalanceError where a record is lost or counted twice."""
    log_parts = [result.matched_log_rows, result.divergent_rows]
    _require_partition("auth_logs", result.log_rows, log_parts)
    parts = [result.consolidated_rows, result.without_log_rows, result.duplicate_rows]
    _require_partition("transactions", result.transaction_rows, parts)

    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    amounts = [column_arrays.total(cents[rows]) for rows in parts]
    total = column_arrays.total(cents[result.transaction_rows])
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


def balance_by_day(result: Reconciliation) -> pa.Table:
    """Return one row per day in the columns of `DAYS`.

    A last row, whose day is NULL, counts the records outside the period (a site's own query may
    return them); it is absent without such records. Raises BalanceError where a day does not
    balance.
    """
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)
    cents = np.where(cents == column_arrays.MISSING, 0, cents)
    dates = days_of(result.period.start, result.period.end)
    first, outside = (dates[0] - EPOCH).days, len(dates)
    columns: dict[str, Ints] = {}

    def slots(table: pa.Table, name: str) -> Ints:
        number = column_arrays.days(table, name) - first
        return np.where((number >= 0) & (number < outside), number, outside)

    log_slots = slots(result.auth_logs, c.DATA)
    transaction_slots = slots(result.transactions, c.DATA_TRANSA)

    for name, rows in (
        ("logs", result.log_rows),
        ("logs_matched", result.matched_log_rows),
        ("divergences", result.divergent_rows),
    ):
        columns[name] = np.bincount(log_slots[rows], minlength=outside + 1)
    for name, rows in (
        ("transactions", result.transaction_rows),
        ("consolidated", result.consolidated_rows),
        ("without_log", result.without_log_rows),
        ("duplicates", result.duplicate_rows),
    ):
        of_rows = transaction_slots[rows]
        columns[name] = np.bincount(of_rows, minlength=outside + 1)
        amount = "amount" if name == "transactions" else f"amount_{name}"
        columns[amount] = np.zeros(outside + 1, dtype=np.int64)
        np.add.at(columns[amount], of_rows, cents[rows])
    _require_balanced_days(dates, columns)
    table = pa.table(
        {"day": [*dates, None]}
        | {
            name: column_arrays.decimals(values) if name.startswith("amount") else values
            for name, values in columns.items()
        },
        schema=DAYS,
    )
    return table if columns["logs"][-1] or columns["transactions"][-1] else table.slice(0, outside)


@dataclass(frozen=True)
class Coverage:
    """Latest instant of each source (local; None without one) and its days without records."""

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
        present = set(column_arrays.distinct(instants.day[rows]).tolist())
        days = days_of(result.period.start, result.period.end)
        return tuple(day for day in days if (day - EPOCH).days not in present)

    return Coverage(
        latest(bought, result.transaction_rows),
        latest(logged, result.log_rows),
        empty(bought, result.transaction_rows),
        empty(logged, result.log_rows),
    )


def by_response_code(result: Reconciliation) -> pa.Table:
    """Count logs by response code in the columns of `CODES`, most frequent first.

    NULL and empty codes are counted together, in a row with an empty code.
    """
    codes = column_arrays.column(result.auth_logs, c.COD_RESPOSTA)
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    labels = codes.dictionary.to_pylist()
    labels += [] if "" in labels else [""]
    index = codes.indices.fill_null(labels.index("")).to_numpy(zero_copy_only=False)
    matched, divergences = (
        np.bincount(index[rows], minlength=len(labels))
        for rows in (result.matched_log_rows, result.divergent_rows)
    )
    total = matched + divergences
    order = sorted(np.flatnonzero(total), key=lambda code: (-total[code], labels[code]))
    codes = [labels[code] for code in order]
    return pa.table([codes, matched[order], divergences[order]], schema=CODES)


def by_motivo(result: Reconciliation) -> dict[str, int]:
    """Count the divergences of each motivo, the approved ones without transaction first."""
    counts = np.bincount(result.motivo, minlength=len(c.MOTIVOS))
    return {name: int(n) for name, n in reversed(list(zip(c.MOTIVOS, counts, strict=True)))}


def _require_partition(side: str, rows: Rows, parts: list[Rows]) -> None:
    """Raise BalanceError unless the parts together hold exactly these rows, each once."""
    assigned = np.concatenate(parts)
    size = max(rows.max(initial=-1), assigned.max(initial=-1)) + 1
    times, expected = np.bincount(assigned, minlength=size), np.bincount(rows, minlength=size)
    lost, doubled = int((times < expected).sum()), int((times > expected).sum())
    if lost or doubled:
        raise BalanceError(
            RECORDS_MISPLACED, side=side, total=len(rows), lost=lost, doubled=doubled
        )


def _require_balanced_days(dates: list[date], days: dict[str, Ints]) -> None:
    """Raise BalanceError unless the counts and amounts of every day add up."""
    parts = days["amount_consolidated"] + days["amount_without_log"] + days["amount_duplicates"]
    unbalanced = (
        (days["logs"] != days["logs_matched"] + days["divergences"])
        | (days["transactions"] != days["consolidated"] + days["without_log"] + days["duplicates"])
        | (days["amount"] != parts)
    )
    if unbalanced.any():
        day = [*dates, None][int(np.argmax(unbalanced))]
        raise BalanceError(DAY_DIFFERS, day=f"{day:%d/%m/%Y}" if day else "sem data")
