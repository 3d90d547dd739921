"""One run of one engine in a process of its own: what `benchmarks.engines` starts.

Prints one JSON object: seconds (in memory: reading and matching; others: also the Parquet result),
processor seconds and peak memory of this process and of its largest worker, counts and digests.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks import digests
from benchmarks.data import END, START
from lib import config, pipeline
from lib.engines import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.engines.result import Result
    from lib.settings import Settings

_PIECE = 500_000


def main() -> None:
    """Run once and say what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("memory", "chunked", "spark"))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--rule", default="card")
    parser.add_argument("--memory-limit", default="1600 MB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()

    table = tomllib.loads(options.config.read_text())["aggregator"]
    engine = {
        "memory_limit": options.memory_limit,
        "workers": options.workers,
        "staging_dir": str(options.folder / "staging"),
    }
    settings = config.from_values(table | {"engine": engine}, str(options.config), {})
    began = time.perf_counter()
    counts, pieces = _run(options.engine, settings, options.rule, options.folder)
    seconds = time.perf_counter() - began
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(use.ru_utime + use.ru_stime for use in (own, children))
    told = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "driver_mb": own.ru_maxrss / 1024,
        "worker_mb": children.ru_maxrss / 1024,
        "counts": counts,
        "digests": {name: digests.of(found) for name, found in pieces.items()},
    }
    print(json.dumps(told))


def _run(
    engine: str, settings: Settings, rule: str, folder: Path
) -> tuple[dict[str, int], dict[str, Iterator[pa.Table]]]:
    asked = pipeline.request(
        settings, pipeline.local_today(settings), start=START, end=END, rule=rule
    )
    if engine == "memory":
        result = pipeline.run(settings, asked).reconciliation
        whole = {name: _table(tables.rows_of(result, name)) for name in tables.NAMES}
        found = {name: iter(_cut(table)) for name, table in whole.items()}
        return {name: len(table) for name, table in whole.items()}, found
    opened = _engine(engine).run(settings, asked, folder / "resultado")
    counts = {name: opened.rows(name) for name in tables.NAMES}
    return counts, {name: _pages(opened, name) for name in tables.NAMES}


def _pages(opened: Result, name: str) -> Iterator[pa.Table]:
    return (opened.page(name, at, _PIECE) for at in range(0, opened.rows(name), _PIECE))


def _engine(name: str) -> Any:
    if name == "chunked":
        from lib.engines import chunked

        return chunked
    from lib.engines import spark

    return spark


def _table(frame: Any) -> pa.Table:
    return pa.table({name: pa.chunked_array(pa.array(frame[name])) for name in frame.columns})


def _cut(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(at, _PIECE) for at in range(0, len(table), _PIECE))


if __name__ == "__main__":
    main()
