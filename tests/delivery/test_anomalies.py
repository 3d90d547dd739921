"""When a figure is far from the usual one, by the robust z-score."""

from __future__ import annotations

import pytest

from lib.delivery import anomalies

STEADY = [1000.0, 1010.0, 990.0, 1005.0, 995.0, 1002.0]


def judged(value: float, past: list[float], name: str = "logs") -> list[anomalies.Finding]:
    return anomalies.findings({name: value}, [{name: number} for number in past])


@pytest.mark.parametrize(
    ("value", "past", "strong"),
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
        # One night that went wrong does not hide the next one, as a mean would let it.
        (10_000, [*STEADY, 100_000], True),
    ],
)
def test_a_figure_is_strong_beyond_three_and_a_half_robust_deviations(
    value: float, past: list[float], strong: bool
) -> None:
    assert bool(judged(value, past)) is strong


def test_a_finding_says_how_far_and_from_what() -> None:
    [found] = judged(700, STEADY)
    assert (found.figure, found.value, found.usual, found.runs) == ("logs", 700, 1001, 6)
    assert found.score == pytest.approx((700 - 1001) / 50.05)


def test_rates_need_a_percentage_point_or_more_to_be_far() -> None:
    assert judged(0.08, [0.05] * 6, "divergence_rate") == []
    assert judged(0.09, [0.05] * 6, "divergence_rate") != []


def test_only_the_latest_runs_count() -> None:
    past = [*STEADY, *STEADY, *[50_000.0] * 50]
    assert judged(1000, past) == []
    assert judged(50_000, past)[0].usual == 1001
