"""The colours of a chart are distinguishable by everyone, and contrast with both backgrounds.

Colour blindness as simulated by Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
"""

from __future__ import annotations

import tomllib
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lib.charts import layout
from lib.config.settings import ROOT
from tests.charts.test_period_charts import NAMES, every, of, spec

THEME: dict[str, Any] = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))[
    "theme"
]
PALETTE: list[str] = THEME["chartCategoricalColors"]
PLACEHOLDERS = (
    layout.CONSOLIDATED,
    layout.DIVERGENT,
    layout.FISICO,
    layout.VIRTUAL,
    layout.OUTLIER,
)
PAINTED = dict(zip(PLACEHOLDERS, PALETTE, strict=True))
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# CIE 1976: 2.3 is just noticeable side by side (Mahy and others, 1994); bars and their legend are
# apart, so more than ten times as much is required.
FAR_ENOUGH = 25.0
# WCAG 2.1, 1.4.11: graphical objects against adjacent colours.
STANDS_OUT = 3.0
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _TO_XYZ @ np.ones(3)

Triple = NDArray[np.float64]


def linear(color: str) -> Triple:
    coded = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def lab(rgb: Triple) -> Triple:
    ratio = _TO_XYZ @ rgb / _WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, vision: str) -> float:
    perceived = [lab(np.clip(VISIONS[vision] @ linear(color), 0, 1)) for color in (one, other)]
    return float(np.linalg.norm(perceived[0] - perceived[1]))


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(_TO_XYZ[1] @ linear(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def colors(name: str) -> list[str]:
    """Return the theme's colours of a chart's traces; a heat map has none."""
    traces = spec(every(of())[name])["data"]
    names = [(trace.get("line") or trace.get("marker") or {}).get("color") for trace in traces]
    return [PAINTED.get(color, color) for color in names if color]


def test_distance_and_contrast_have_their_published_values() -> None:
    assert distance("#FFFFFF", "#000000", "usual") == pytest.approx(100, abs=0.1)
    assert distance("#FF0000", "#00FF00", "usual") == pytest.approx(170.6, abs=0.1)
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    # Red and green of equal lightness are similar under protanopia.
    assert (
        distance("#B5651D", "#6B8E23", "usual") > 40 > distance("#B5651D", "#6B8E23", "protanopia")
    )


def test_a_chart_of_two_series_has_two_colours() -> None:
    assert {name for name in NAMES if len(set(colors(name))) == 2} == {
        *("purchases", "joins", "response_codes", "frequency", "deciles"),
        *("approval_by_hour", "approval_by_weekday"),
    }


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_colours_of_one_chart_are_distinguishable(name: str, vision: str) -> None:
    near = {
        pair: difference
        for pair in combinations(colors(name), 2)
        if (difference := distance(*pair, vision)) < FAR_ENOUGH
    }
    assert near == {}


@pytest.mark.parametrize("vision", VISIONS)
def test_the_ends_of_the_time_axis_are_distinguishable_from_the_middle(vision: str) -> None:
    assert distance(PAINTED[layout.FISICO], PAINTED[layout.OUTLIER], vision) >= FAR_ENOUGH


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("color", [*PALETTE, layout.PREVIOUS])
def test_every_colour_contrasts_with_the_background(color: str, scheme: str) -> None:
    assert contrast(color, THEME[scheme]["backgroundColor"]) >= STANDS_OUT
