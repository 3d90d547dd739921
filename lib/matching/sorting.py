"""Puts rows into an order that never depends on how they arrived.

Rows are sorted by one integer key first; only rows that tie go on to the next key, so that the
costly text columns are ranked for the few rows that need them. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Key = Callable[["Ints"], "NDArray[Any]"]
"""Given positions, their values: integers or booleans that compare as the key does."""


def among(rows: Ints, then: Iterable[Key]) -> list[Key]:
    """Keys over frame rows as keys over positions in ``rows``."""

    def at_rows(key: Key) -> Key:
        return lambda at: key(rows[at])

    return [at_rows(key) for key in then]


def by(*values: NDArray[Any]) -> list[Key]:
    """Keys that read ready arrays."""
    return [array.__getitem__ for array in values]


def arrange(first: Ints, then: Iterable[Key]) -> Ints:
    """The positions 0..n-1 ordered by ``first``, ties by each further key in turn."""
    order = np.argsort(first)
    group = _groups(first[order])
    for key in then:
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
    """The start position of the run of equal values that each sorted value is in."""
    fresh = np.empty(len(values), dtype=np.bool_)
    fresh[:1] = True
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return np.maximum.accumulate(np.where(fresh, np.arange(len(values)), 0))


def _tied(group: Ints) -> NDArray[np.bool_]:
    tied = np.zeros(len(group), dtype=np.bool_)
    same = group[1:] == group[:-1]
    tied[1:] = same
    tied[:-1] |= same
    return tied


def _split(group: Ints, values: NDArray[Any]) -> Ints:
    """The groups cut further wherever the value changes inside one (both sorted alike)."""
    fresh = np.ones(len(group), dtype=np.bool_)
    fresh[1:] = (group[1:] != group[:-1]) | (values[1:] != values[:-1])
    start: Ints = np.maximum.accumulate(np.where(fresh, np.arange(len(group)), 0))
    offset: Ints = start - _groups(group)
    return group + offset
