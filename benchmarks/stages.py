"""Measure the product's run by stage, in a process started by `benchmarks.report`.

Prints one JSON object: for each stage its seconds and the peak memory so far, and the counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

from benchmarks.data import END, START
from lib import pipeline
from lib.config import defaults, loader


def main() -> None:
    """Extract, match and write once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rule", default="card")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    settings = loader.load(options.config)
    request = defaults.request(
        settings, defaults.local_today(settings), start=START, end=END, rule=options.rule
    )
    peaks: dict[str, float] = {"start": _peak_mb()}

    def reached(stage: str, rows: int) -> None:
        if stage in ("matching", "writing"):
            peaks["extract" if stage == "matching" else "match"] = _peak_mb()

    outcome = pipeline.run(settings, request, progress=reached)
    began = time.perf_counter()
    written = pipeline.publish(outcome, options.output, progress=reached)
    seconds = outcome.seconds | {"write": time.perf_counter() - began}
    peaks["write"] = _peak_mb()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peaks": peaks,
                "consolidated": outcome.books.consolidated,
                "divergences": outcome.books.divergences,
                "bytes": written.size_bytes,
            }
        )
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
