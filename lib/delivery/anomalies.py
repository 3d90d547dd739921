"""Detection of figures far from those of earlier runs, by the robust z-score.

The score is the distance from the median in units of the median absolute deviation, scaled to a
standard deviation (Iglewicz and Hoaglin, 1993). Pure: knows no clock, no file and no screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

THRESHOLD: Final = 3.5
MIN_RUNS: Final = 5
MAX_RUNS: Final = 12

_SIGMA: Final = 1.4826
"""Factor from median absolute deviation to standard deviation, for normal distributions."""
# Lower limits of the spread: among nearly equal runs, any change would be an anomaly.
_MIN_SPREAD: Final = 0.05
"""As a share of the median."""
_MIN_RATE_SPREAD: Final = 0.01


@dataclass(frozen=True)
class Finding:
    """A figure far from the usual value; ``score`` is its signed robust z-score."""

    figure: str
    value: float
    usual: float
    score: float
    runs: int


def findings(
    figures: Mapping[str, float],
    earlier: Sequence[Mapping[str, float]],
    *,
    least_runs: int = MIN_RUNS,
    least_spreads: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Each figure whose robust z-score against the earlier runs exceeds `THRESHOLD`.

    ``earlier`` are runs of the same weekday, newest first; with fewer than ``least_runs`` there are
    no findings. A figure named ``…_rate`` lies between 0 and 1. ``least_spreads`` are further lower
    limits of the spread, by figure.
    """
    results = []
    for name, value in figures.items():
        past = [run[name] for run in earlier[:MAX_RUNS] if name in run]
        if len(past) < least_runs:
            continue
        usual = median(past)
        least = _MIN_RATE_SPREAD if name.endswith("_rate") else _MIN_SPREAD * abs(usual)
        least = max(least, (least_spreads or {}).get(name, 0.0), 1e-9)
        spread = max(_SIGMA * median(abs(p - usual) for p in past), least)
        score = (value - usual) / spread
        if abs(score) > THRESHOLD:
            results.append(Finding(name, value, usual, score, len(past)))
    return results
