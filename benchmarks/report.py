"""Compare a whole run with the baseline: ``python -m benchmarks.report --rows N``.

Fills the databases, runs the baseline and the product's command line, each in its own process and
measured from that process's start, and prints the product's time by stage.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from benchmarks import data, measure

STAGES = ("start", "extract", "match", "write")


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rule", choices=("card", "card_time"), default="card")
    parser.add_argument("--hot", action="store_true", help="half the records on 1 %% of the cards")
    parser.add_argument("--runs", type=int, default=1, help="report the median of this many runs")
    parser.add_argument("--no-baseline", action="store_true")
    options = parser.parse_args()
    with_baseline = not (options.hot or options.no_baseline)

    dataset = data.prepare(options.rows, hot=options.hot)
    period = [data.START.isoformat(), data.END.isoformat()]
    config, output = str(dataset.config), str(data.FOLDER / "ours.xlsx")
    arguments = ["--config", config, "--rule", options.rule, "--output", output]
    dates = ["--start", period[0], "--end", period[1]]
    product = measure.repeated("ours", options.runs, "aggregator.py", *arguments, *dates)
    staged = measure.repeated("stages", options.runs, "-m", "benchmarks.stages", *arguments)
    reports = [json.loads(cost.output) for cost in staged]
    for cost, report in zip(staged, reports, strict=True):
        report["seconds"]["start"] = cost.seconds - sum(report["seconds"].values())
    for stage in STAGES:
        seconds = statistics.median(report["seconds"][stage] for report in reports)
        peak = statistics.median(report["peaks"][stage] for report in reports)
        print(f"stage {stage} {seconds:.2f} s rss_mb {peak:.0f}")
    print(f"workbook {reports[0]['bytes'] / 1e6:.1f} MB")

    seconds = measure.median(product, lambda c: c.seconds)
    peak = measure.median(product, lambda c: c.peak_mb)
    if not with_baseline:
        print(f"rows {options.rows} ours {seconds:.2f} s rss_mb ours {peak:.0f}")
        return
    written = str(data.FOLDER / "baseline.xlsx")
    baseline = measure.repeated(
        "baseline", options.runs, "-m", "benchmarks.baseline", config, *period, written
    )
    counts = [int(n) for n in baseline[0].output.split()]
    if options.rule == "card" and counts != [reports[0]["consolidated"], reports[0]["divergences"]]:
        sys.exit(f"the baseline has {counts} rows, the product has others: {reports[0]}")
    baseline_seconds = measure.median(baseline, lambda c: c.seconds)
    baseline_peak = measure.median(baseline, lambda c: c.peak_mb)
    ratio = baseline_seconds / seconds
    print(
        f"rows {options.rows} baseline {baseline_seconds:.2f} s ours {seconds:.2f} s "
        f"ratio {ratio:.1f} rss_mb baseline {baseline_peak:.0f} ours {peak:.0f}"
    )


if __name__ == "__main__":
    main()
