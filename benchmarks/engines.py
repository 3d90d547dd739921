"""Compare the engines on the same databases: ``python -m benchmarks.engines --rows N``.

Each run is a new process, measured from its start until the result exists as Parquet files; the
engines run in turn. Fails unless all give the same digest of every column of every table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import data, measure

ENGINES = ("memory", "chunked", "spark")


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--hot", action="store_true", help="half the records on 1 %% of the cards")
    parser.add_argument("--rule", default="card", choices=("card", "card_time"))
    parser.add_argument("--runs", type=int, default=1, help="report the median of this many runs")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES[:2])
    parser.add_argument("--memory-limit", default="1600 MB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--master", default="local[*]", help="of Spark")
    options = parser.parse_args()

    dataset = data.prepare(options.rows, hot=options.hot)
    arguments = ["--config", str(dataset.config), "--rule", options.rule]
    arguments += ["--memory-limit", options.memory_limit, "--workers", str(options.workers)]
    arguments += ["--master", options.master]
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in options.engines}
    for number in range(options.runs):
        for engine in options.engines:
            runs[engine].append(_run(engine, arguments))
            print(f"{engine} {number + 1}/{options.runs}: {_figures(runs[engine][-1])}", flush=True)
    answers = {json.dumps(run["digests"]) for done in runs.values() for run in done}
    if len(answers) != 1:
        sys.exit("the engines do not agree")
    median = {e: statistics.median(run["seconds"] for run in done) for e, done in runs.items()}
    peaks = {e: max(run["worker_mb"] for run in done) for e, done in runs.items()}
    base = median.get("memory", float("nan"))
    print(
        f"rows {options.rows} rule {options.rule} same answer "
        + " ".join(f"{engine} {value:.1f} s" for engine, value in median.items())
        + " to_memory "
        + " ".join(f"{engine} {value / base:.2f}" for engine, value in median.items())
        + " worker_mb "
        + " ".join(f"{engine} {value:.0f}" for engine, value in peaks.items())
    )


def _run(engine: str, arguments: list[str]) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="engines-", dir=data.FOLDER))
    try:
        cost = measure.python(
            "-m", "benchmarks.engine_run", engine, *arguments, "--folder", str(folder)
        )
    finally:
        shutil.rmtree(folder)
    run: dict[str, Any] = json.loads(cost.output)
    return run


def _figures(run: dict[str, Any]) -> str:
    return (
        f"{run['seconds']:.1f} s (matched after {run['matched_seconds']:.1f} s,"
        f" cpu {run['cpu_seconds']:.1f} s) driver_mb {run['driver_mb']:.0f}"
        f" worker_mb {run['worker_mb']:.0f} {run['counts']} {run['digests']}"
    )


if __name__ == "__main__":
    main()
