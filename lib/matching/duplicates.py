"""Copies of one transaction, and the visible values that order rows.

Copies are equal on `columns.DUPLICATE_KEY`, NULLs being equal; CPF and card compare by token.
Knows no log and no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.matching import sorting

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.domain.column_arrays import Ints


@dataclass(frozen=True)
class Copies:
    """The rows of all transactions with copies; rows with one ``purchase`` number are copies."""

    rows: Ints
    purchase: Ints


def copies(transactions: pa.Table, instants: column_arrays.Instants) -> Copies:
    """Group the transactions that are copies of each other, sorted by purchase."""
    parts: list[Ints] = [column_arrays.cents(transactions, c.VLR_TOTAL), instants.sheet_order]
    for name in (c.TOKEN_CARTAO, c.TOKEN_CPF):
        value, present = column_arrays.token(transactions, name)
        parts += [value, present.astype(np.int64)]

    # A hash of the key selects the few candidates; their values then decide.
    mixed = np.zeros(len(transactions), dtype=np.uint64)
    for part in parts:
        mixed = (mixed ^ part.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    by_hash = np.argsort(mixed)
    same = np.flatnonzero(np.diff(mixed[by_hash]) == 0)
    rows = column_arrays.distinct(by_hash[np.concatenate([same, same + 1])])

    values = [part[rows] for part in parts]
    order = np.lexsort(values)
    starts = np.zeros(len(rows), dtype=np.bool_)
    for value in values:
        starts[1:] |= value[order][1:] != value[order][:-1]
    return Copies(rows[order], np.cumsum(starts))


def first_of_each(copies: Copies, order: Ints, transactions: int) -> Ints:
    """Return each transaction's survivor: its first copy in ``order``, or itself without copies.

    ``order`` sorts the copies by purchase, the preferred one first.
    """
    survivor = np.arange(transactions)
    purchase = copies.purchase[order]
    first = np.flatnonzero(np.diff(purchase, prepend=-1))
    rows = copies.rows[order]
    survivor[rows] = rows[first][purchase]
    return survivor


def preference(transactions: pa.Table) -> list[sorting.Key]:
    """Return the keys that order copies: those with a virtual number first, then by values."""
    _, has_number = column_arrays.token(transactions, c.TOKEN_VIRTUAL)
    return [lambda rows: ~has_number[rows], *visible(transactions)]


def visible(transactions: pa.Table) -> list[sorting.Key]:
    """Return keys by the visible values other than date and time, in sheet order."""
    return [
        *texts(transactions, c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL),
        lambda rows: column_arrays.cents(transactions, c.VLR_TOTAL)[rows],
        *texts(transactions, c.DES_CNPJ_REDUZIDO),
    ]


def texts(table: pa.Table, *names: str, through: Ints | None = None) -> list[sorting.Key]:
    """Return keys by the text of each column; ``through`` maps rows to rows of ``table``."""

    def by(name: str) -> sorting.Key:
        return lambda rows: column_arrays.text_rank(
            table, name, rows if through is None else through[rows]
        )

    return [by(name) for name in names]
