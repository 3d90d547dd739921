"""The pairing of logs with transactions: the result of either matching rule, before sorting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Bools, Ints

MAX_DISTANCE: Final = np.int64(2**62)
"""Larger than any distance between two known instants."""


@dataclass(frozen=True)
class Pairing:
    """Arrays by row of the two tables.

    By transaction row: ``log`` is the row of the paired log (-1 for none; valid for survivors
    only), ``virtual`` whether the virtual card joined them, ``survivor`` the row that represents
    its copies, ``reason`` an index into `columns.WITHOUT_LOG_REASONS`. By log row: ``matched``,
    ``known`` (some transaction has the log's card) and ``nearest``, the row of the transaction
    nearest in time (-1 where none has a time).
    """

    log: Ints
    virtual: Bools
    survivor: Ints
    reason: NDArray[np.int8]
    matched: Bools
    known: Bools
    nearest: Ints
