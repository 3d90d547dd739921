"""Sort rows into an order that is independent of the order in which they arrive.

Rows are sorted by one integer key; only tied rows are compared by the next key, so that the costly
text columns are ranked for few rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Bools, Ints

Key = Callable[["Ints"], "NDArray[Any]"]
"""A sort key: a function from positions to their values, integers or booleans."""


def among(rows: Ints, keys: Iterable[Key]) -> list[Key]:
    """Turn keys by row of a table into keys by position in ``rows``."""

    def at_rows(key: Key) -> Key:
        return lambda positions: key(rows[positions])

    return [at_rows(key) for key in keys]


def by(*arrays: NDArray[Any]) -> list[Key]:
    """Return one key for each array."""
    return [array.__getitem__ for array in arrays]


def arrange(first: Ints, keys: Iterable[Key]) -> Ints:
    """Return the positions sorted by ``first``, ties by each further key in turn."""
    order = np.argsort(first)
    group = _groups(first[order])
    for key in keys:
        tied = _tied(group)
        if not tied.any():
            break
        positions = order[tied]
        values = key(positions)
        inner = np.lexsort((values, group[tied]))
        order[tied] = positions[inner]
        group[tied] = _split(group[tied], values[inner])
    return order


def _groups(values: Ints) -> Ints:
    """Return, for each sorted value, the start of its run of equal values."""
    starts = np.empty(len(values), dtype=np.bool_)
    starts[:1] = True
    np.not_equal(values[1:], values[:-1], out=starts[1:])
    return np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))


def _tied(group: Ints) -> Bools:
    tied = np.zeros(len(group), dtype=np.bool_)
    same = group[1:] == group[:-1]
    tied[1:] = same
    tied[:-1] |= same
    return tied


def _split(group: Ints, values: NDArray[Any]) -> Ints:
    """Split each group where its value changes; both arrays are in sorted order."""
    starts = np.ones(len(group), dtype=np.bool_)
    starts[1:] = (group[1:] != group[:-1]) | (values[1:] != values[:-1])
    start: Ints = np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))
    offset: Ints = start - _groups(group)
    return group + offset
