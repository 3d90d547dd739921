"""Compare the product's extraction with pandas and psql: ``python -m benchmarks.extract --rows N``.

The lower limit is psql, which copies both sides to nowhere in parallel: with the product's own
statements (the time that this program could reach) and with the default queries, without masks.
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
    for reader in WAYS:
        arguments = [reader, "--config", str(dataset.config), "--psql", str(dataset.psql)]
        costs = measure.repeated(reader, options.runs, "-m", "benchmarks.readers", *arguments)
        readings = [float(cost.output) for cost in costs]
        seconds[reader] = statistics.median(readings)
        peaks[reader] = measure.median(costs, lambda cost: cost.peak_mb)
        print(f"{reader} {seconds[reader]:.3f} s ({', '.join(f'{s:.3f}' for s in readings)})")
    figures = " ".join(f"{reader} {value:.3f} s" for reader, value in seconds.items())
    product = seconds["product"]
    ratios = " ".join(
        f"{reader} {product / seconds[reader]:.2f}" for reader in WAYS if reader != "product"
    )
    memory = " ".join(f"{reader} {peaks[reader]:.0f}" for reader in ("product", "read_sql"))
    print(f"rows {options.rows} {figures} product_to {ratios} rss_mb {memory}")


if __name__ == "__main__":
    main()
