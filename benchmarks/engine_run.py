"""One run of one engine in a process of its own: what `benchmarks.engines` starts.

Prints one JSON object: seconds (in memory: reading and matching; others: also the Parquet result),
processor seconds and peak memory of this process and of its largest worker, counts and digests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import threading
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
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

    # Spark's workers load it by themselves.
    os.environ[config.FILE_VARIABLE] = str(options.config)
    table = tomllib.loads(options.config.read_text())["aggregator"]
    engine = {
        "memory_limit": options.memory_limit,
        "workers": options.workers,
        "staging_dir": str(options.folder / "staging"),
    }
    settings = config.from_values(table | {"engine": engine}, str(options.config), {})
    with _Family() as family:
        began = time.perf_counter()
        counts, pieces = _run(options.engine, settings, options.rule, options.folder)
        seconds = time.perf_counter() - began
    own = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "seconds": seconds,
        "cpu_seconds": own.ru_utime + own.ru_stime + sum(family.cpu.values()),
        "driver_mb": own.ru_maxrss / 1024,
        "worker_mb": max(family.peak_mb.values(), default=0.0),
        "counts": counts,
        "digests": {name: digests.of(found) for name, found in pieces.items()},
    }
    print(json.dumps(told))


class _Family:
    """Watches the processes below this one: processor seconds and peak memory of each.

    The system keeps each one's peak; only what happens in its last tenth of a second is missed.
    """

    def __init__(self) -> None:
        self.cpu: dict[int, float] = {}
        self.peak_mb: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Family:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            with suppress(psutil.Error):
                for process in me.children(recursive=True):
                    self._look(process)

    def _look(self, process: psutil.Process) -> None:
        with suppress(psutil.Error, OSError):
            times = process.cpu_times()
            self.cpu[process.pid] = times.user + times.system
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            if peak:
                self.peak_mb[process.pid] = int(peak[1]) / 1024


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
