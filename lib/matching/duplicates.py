"""Which transactions are copies of one purchase, and what a reader sees of each.

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
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """The transactions that have a twin: their rows, and which purchase (0, 1, ...) each is of."""

    rows: Ints
    purchase: Ints


def copies(transactions: pd.DataFrame, bought: column_arrays.Instants) -> Copies:
    """Group the transactions that are copies of each other, in no particular order."""
    parts: list[Ints] = [column_arrays.cents(transactions, c.VLR_TOTAL), bought.sheet_order]
    for name in (c.TOKEN_CARTAO, c.TOKEN_CPF):
        value, present = column_arrays.token(transactions, name)
        parts += [value, present.astype(np.int64)]

    # A mixed hash picks the few rows that can be twins; the real values then decide.
    mixed = np.zeros(len(transactions), dtype=np.uint64)
    for part in parts:
        mixed = (mixed ^ part.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    by_hash = np.argsort(mixed)
    twin = np.flatnonzero(np.diff(mixed[by_hash]) == 0)
    rows = np.unique(by_hash[np.concatenate([twin, twin + 1])])

    values = [part[rows] for part in parts]
    order = np.lexsort(values)
    fresh = np.zeros(len(rows), dtype=np.bool_)
    for value in values:
        fresh[1:] |= value[order][1:] != value[order][:-1]
    return Copies(rows[order], np.cumsum(fresh))


def first_of_each(copies: Copies, order: Ints, transactions: int) -> Ints:
    """For each transaction row its survivor: the first copy in ``order``, itself if no copy.

    ``order`` sorts the copies by purchase and then the better first.
    """
    survivor = np.arange(transactions)
    purchase = copies.purchase[order]
    first = np.flatnonzero(np.diff(purchase, prepend=-1))
    rows = copies.rows[order]
    survivor[rows] = rows[first][purchase]
    return survivor


def preference(transactions: pd.DataFrame) -> list[sorting.Key]:
    """What decides between two copies: one with a virtual number first, then what is visible."""
    _, has_number = column_arrays.token(transactions, c.TOKEN_VIRTUAL)
    return [lambda at: ~has_number[at], *visible(transactions)]


def visible(transactions: pd.DataFrame) -> list[sorting.Key]:
    """The values a reader sees, in sheet order, of rows that share their date and time."""
    return [
        *texts(transactions, c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL),
        lambda at: column_arrays.cents(transactions, c.VLR_TOTAL)[at],
        *texts(transactions, c.DES_CNPJ_REDUZIDO),
    ]


def texts(frame: pd.DataFrame, *names: str, through: Ints | None = None) -> list[sorting.Key]:
    """Keys by the text of each column, of the row itself or of the row it leads to."""

    def by(name: str) -> sorting.Key:
        if through is None:
            return lambda at: column_arrays.text_rank(frame, name, at)
        return lambda at: column_arrays.text_rank(frame, name, through[at])

    return [by(name) for name in names]
