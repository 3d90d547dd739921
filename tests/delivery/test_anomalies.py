"""Anomalies: figures far from the usual ones, by the robust z-score."""

from __future__ import annotations

import pytest

from lib.delivery import anomalies

STEADY = [1000.0, 1010.0, 990.0, 1005.0, 995.0, 1002.0]


def findings(value: float, past: list[float], name: str = "logs") -> list[anomalies.Finding]:
    return anomalies.findings({name: value}, [{name: number} for number in past])


@pytest.mark.parametrize(
    ("value", "past", "anomaly"),
    [
        (1000, STEADY, False),
        (1100, STEADY, False),
        (1300, STEADY, True),
        (700, STEADY, True),
        (0, STEADY, True),
        (1100, [1000] * 6, False),
        (1300, [1000] * 6, True),
        (0, [0] * 6, False),
        (5, [0] * 6, True),
        (9000, STEADY[:4], False),
        (1300, [100, 5000, 900, 2500, 700, 1800], False),
        # One outlier does not hide the next one, as it would with a mean.
        (10_000, [*STEADY, 100_000], True),
    ],
)
def test_a_figure_is_an_anomaly_beyond_three_and_a_half_robust_deviations(
    value: float, past: list[float], anomaly: bool
) -> None:
    assert bool(findings(value, past)) is anomaly


def test_a_finding_holds_the_figure_the_usual_one_and_the_distance() -> None:
    [finding] = findings(700, STEADY)
    assert (finding.figure, finding.value, finding.usual, finding.runs) == ("logs", 700, 1001, 6)
    assert finding.score == pytest.approx((700 - 1001) / 50.05)


def test_rates_need_a_percentage_point_or_more_to_be_far() -> None:
    assert findings(0.08, [0.05] * 6, "divergence_rate") == []
    assert findings(0.09, [0.05] * 6, "divergence_rate") != []


def test_only_the_latest_runs_count() -> None:
    past = [*STEADY, *STEADY, *[50_000.0] * 50]
    assert findings(1000, past) == []
    assert findings(50_000, past)[0].usual == 1001
