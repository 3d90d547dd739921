"""Plot time by rows for product and baseline: ``python -m benchmarks.plot``.

Reads the first table of RESULTS.md, whose first columns are rows, baseline and ours (seconds), and
writes `results.svg` beside it; both axes are logarithmic. Omits rows without a measurement.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 420, 70, 30, 60
COLOURS = {"baseline": "#D55E00", "ours": "#0072B2"}
_ROW = re.compile(r"^\| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|", re.MULTILINE)


def main() -> None:
    """Write the picture."""
    cells = _ROW.findall((HERE / "RESULTS.md").read_text(encoding="utf-8"))
    rows = [int(number.replace(",", "")) for number, _, _ in cells]
    seconds = {
        "baseline": [float(value) for _, value, _ in cells],
        "ours": [float(value) for _, _, value in cells],
    }
    (HERE / "results.svg").write_text(_picture(rows, seconds), encoding="utf-8")


def _picture(rows: list[int], seconds: dict[str, list[float]]) -> str:
    every = [value for values in seconds.values() for value in values]
    across = (math.floor(math.log10(min(rows))), math.ceil(math.log10(max(rows))))
    up = (math.floor(math.log10(min(every))), math.ceil(math.log10(max(every))))

    def x(value: float) -> float:
        share = (math.log10(value) - across[0]) / (across[1] - across[0])
        return LEFT + share * (WIDTH - LEFT - 90)

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
        parts.append(_line(LEFT, height, WIDTH - 90, height))
        parts.append(_text(LEFT - 8, height + 4, f"{10**power:g} s", "end"))
    for name, values in seconds.items():
        points = [(x(r), y(s)) for r, s in zip(rows, values, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        colour = COLOURS[name]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in points]
        parts.append(_text(points[-1][0] + 10, points[-1][1] + 4, name, "start", colour))
    parts.append(_text((LEFT + WIDTH - 90) / 2, HEIGHT - 12, "rows a side", "middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>{"".join(parts)}</svg>\n'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#D0D7DE"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#1B2733") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


if __name__ == "__main__":
    main()
