"""The product's extraction against pandas and the limit: ``python -m benchmarks.extract --rows N``.

The limit is psql copying both sides to nowhere in parallel: with the product's own statements (the
gain still possible in this program) and with the default queries, without masks and tokens.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks import data, measure

WAYS = ("plain", "masked", "product", "read_sql")


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=1, help="report the median of this many runs")
    options = parser.parse_args()

    dataset = data.prepare(options.rows)
    seconds, peaks = {}, {}
    for way in WAYS:
        arguments = [way, "--config", str(dataset.config), "--psql", str(dataset.psql)]
        costs = measure.repeated(way, options.runs, "-m", "benchmarks.readers", *arguments)
        readings = [float(cost.output) for cost in costs]
        seconds[way] = statistics.median(readings)
        peaks[way] = measure.median(costs, lambda cost: cost.peak_mb)
        print(f"{way} {seconds[way]:.3f} s ({', '.join(f'{s:.3f}' for s in readings)})")
    figures = " ".join(f"{way} {value:.3f} s" for way, value in seconds.items())
    ours = seconds["product"]
    ratios = " ".join(f"{way} {ours / s:.2f}" for way, s in seconds.items() if way != "product")
    memory = " ".join(f"{way} {peaks[way]:.0f}" for way in ("product", "read_sql"))
    print(f"rows {options.rows} {figures} product_to {ratios} rss_mb {memory}")


if __name__ == "__main__":
    main()
