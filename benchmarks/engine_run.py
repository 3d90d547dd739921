"""One run of one engine in its own process, started by `benchmarks.engines`.

Imports little: the workers of the chunked engine import this module too.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    """Measure one run and print it as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("memory", "chunked", "spark"))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rule", default="card")
    parser.add_argument("--memory-limit", default="1600 MB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--master", default="local[*]")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    if options.engine == "chunked":
        from lib.engines import process_pool

        process_pool.prepare()
    from benchmarks import engine_work

    engine_work.measure(options)


if __name__ == "__main__":
    main()
