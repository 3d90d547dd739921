"""Distinct and common values, held against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from lib.domain import column_arrays


@pytest.mark.parametrize("seed", range(20))
def test_distinct_and_common_values_are_those_of_numpy(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    left, right = (numbers.integers(-5, 5 * seed + 1, numbers.integers(0, 30)) for _ in range(2))
    assert column_arrays.distinct(left).tolist() == np.unique(left).tolist()
    assert column_arrays.common(left, right).tolist() == np.intersect1d(left, right).tolist()
