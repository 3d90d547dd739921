"""Build extracted tables from plain records, and plain records from results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa

from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation


@dataclass(frozen=True)
class Transaction:
    """One transaction as extracted, its cards and CPF in clear."""

    cpf: str | None
    card: str | None
    virtual: str | None
    day: date | None
    time: time | None
    amount: Decimal | None
    merchant: str = "12345678000190"


@dataclass(frozen=True)
class Log:
    """One authentication log as extracted."""

    card: str | None
    day: date | None
    time: time | None
    code: str | None = "00"
    text: str | None = ""


def token(value: str | None) -> int | None:
    if not value:
        return None
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "big", signed=True)


def transactions_table(records: list[Transaction], *, dictionary: bool = True) -> pa.Table:
    text = pa.dictionary(pa.int32(), pa.string()) if dictionary else pa.string()
    return pa.table(
        {
            c.NUM_CPF: pa.array([r.cpf for r in records], pa.string()).cast(text),
            c.NUM_CARTAO: pa.array([r.card for r in records], pa.string()).cast(text),
            c.NUM_CARTAO_VIRTUAL: pa.array([r.virtual for r in records], pa.string()).cast(text),
            c.DATA_TRANSA: pa.array([r.day for r in records], pa.date32()),
            c.HORA_TRANSA: pa.array([r.time for r in records], pa.time32("s")),
            c.VLR_TOTAL: pa.array([r.amount for r in records], pa.decimal128(18, 2)),
            c.DES_CNPJ_REDUZIDO: pa.array([r.merchant for r in records], pa.string()).cast(text),
            c.TOKEN_CARTAO: pa.array([token(r.card) for r in records], pa.int64()),
            c.TOKEN_VIRTUAL: pa.array([token(r.virtual) for r in records], pa.int64()),
            c.TOKEN_CPF: pa.array([token(r.cpf) for r in records], pa.int64()),
        }
    )


def logs_table(records: list[Log], *, dictionary: bool = True) -> pa.Table:
    text = pa.dictionary(pa.int32(), pa.string()) if dictionary else pa.string()
    return pa.table(
        {
            c.NUM_CARTAO: pa.array([r.card for r in records], pa.string()).cast(text),
            c.DATA: pa.array([r.day for r in records], pa.date32()),
            c.HORA: pa.array([r.time for r in records], pa.time32("s")),
            c.COD_RESPOSTA: pa.array([r.code for r in records], pa.string()).cast(text),
            c.DES_LOG: pa.array([r.text for r in records], pa.string()).cast(text),
            c.TOKEN_CARTAO: pa.array([token(r.card) for r in records], pa.int64()),
        }
    )


def consolidated_rows(result: Reconciliation) -> list[tuple[object, ...]]:
    return _tuples(result.consolidated())


def divergence_rows(result: Reconciliation) -> list[tuple[object, ...]]:
    return _tuples(result.divergences())


def transaction_rows(result: Reconciliation, rows: object) -> list[tuple[object, ...]]:
    return _tuples(result.transactions.select(c.TRANSACTIONS_QUERY).take(rows))


def instant(day: date | None, at: time | None) -> datetime | None:
    return None if day is None or at is None else datetime.combine(day, at)


def _tuples(table: pa.Table) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]
