"""Plot time by rows for the product and its peers: ``python -m benchmarks.plot``.

Reads the table of RESULTS.md that begins with rows and `peers.PROGRAMS` (seconds), and writes
`results.svg` beside it; both axes are logarithmic. A cell without a number is no point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import dropwhile, takewhile
from pathlib import Path

from benchmarks import peers

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 210, 30, 60
COLOURS = dict(zip(peers.PROGRAMS, ("#D55E00", "#009E73", "#CC79A7", "#0072B2"), strict=True))


def main() -> None:
    """Write the picture."""
    lines = iter((HERE / "RESULTS.md").read_text(encoding="utf-8").splitlines())
    heading = f"| rows a side | {' | '.join(peers.PROGRAMS)} |"
    table = [_cells(line) for line in takewhile(bool, dropwhile(heading.__ne__, lines))][2:]
    series = {
        name: [
            (float(row[0]), float(row[column]))
            for row in table
            if re.match(r"[\d.]+$", row[column])
        ]
        for column, name in enumerate(peers.PROGRAMS, 1)
    }
    (HERE / "results.svg").write_text(_picture(series), encoding="utf-8")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]


def _picture(series: dict[str, list[tuple[float, float]]]) -> str:
    rows, seconds = zip(*(point for points in series.values() for point in points), strict=True)
    across, up = _decades(rows), _decades(seconds)

    def x(value: float) -> float:
        share = (math.log10(value) - across[0]) / (across[1] - across[0])
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (math.log10(value) - up[0]) / (up[1] - up[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = []
    for power in range(across[0], across[1] + 1):
        column = x(10**power)
        parts.append(_line(column, TOP, column, HEIGHT - BOTTOM))
        parts.append(_text(column, HEIGHT - BOTTOM + 20, f"{10**power:,}", "middle"))
    for power in range(up[0], up[1] + 1):
        height = y(10**power)
        parts.append(_line(LEFT, height, WIDTH - RIGHT, height))
        parts.append(_text(LEFT - 8, height + 4, f"{10**power:g} s", "end"))
    for name, values in series.items():
        if not values:
            continue
        points = [(x(number), y(second)) for number, second in values]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        colour = COLOURS[name]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in points]
        parts.append(_text(points[-1][0] + 10, points[-1][1] + 4, name, "start", colour))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "rows a side", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>{"".join(parts)}</svg>\n'
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around the values, at least one decade."""
    low = math.floor(math.log10(min(values)))
    return low, max(math.ceil(math.log10(max(values))), low + 1)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#D0D7DE"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#1B2733") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


if __name__ == "__main__":
    main()
