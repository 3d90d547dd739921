"""Whether a run's figures are far from those of the last runs of the same weekday.

The method is the robust z-score (Iglewicz and Hoaglin, 1993): the distance from the median in
units of the median absolute deviation, made comparable to a standard deviation. Pure: numbers
in, findings out; knows no clock, no file and no screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

THRESHOLD: Final = 3.5
FEWEST: Final = 5
LATEST: Final = 12

_SIGMA: Final = 1.4826
"""Median absolute deviation to standard deviation, where the figures are normal."""
_LEAST_SPREAD: Final = 0.05
"""Runs that hardly differ would make any change a strong one: of the median, and of rates."""
_LEAST_RATE_SPREAD: Final = 0.01


@dataclass(frozen=True)
class Finding:
    """A figure that is far from the usual one; ``score`` is its robust z-score, signed."""

    figure: str
    value: float
    usual: float
    score: float
    runs: int


def findings(figures: Mapping[str, float], earlier: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Each figure whose robust z-score against the earlier ones is beyond 3.5.

    ``earlier`` are runs of the same weekday, the newest first; fewer than five say nothing. A
    figure named ``…_rate`` goes from 0 to 1.
    """
    found = []
    for name, value in figures.items():
        past = [run[name] for run in earlier[:LATEST] if name in run]
        if len(past) < FEWEST:
            continue
        usual = median(past)
        least = _LEAST_RATE_SPREAD if name.endswith("_rate") else _LEAST_SPREAD * abs(usual)
        spread = max(_SIGMA * median(abs(p - usual) for p in past), least, 1e-9)
        score = (value - usual) / spread
        if abs(score) > THRESHOLD:
            found.append(Finding(name, value, usual, score, len(past)))
    return found
