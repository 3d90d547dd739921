"""The cost of one run of one engine, measured from within its process.

Prints one JSON object: seconds from the start of this process to the Parquet result (which the
memory engine writes with the same functions) and to the end of the matching; processor seconds and
peak memory of this process and of its largest worker; counts and digests.
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
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa

from benchmarks import digests
from benchmarks.data import END, START
from lib import pipeline
from lib.config import defaults, loader
from lib.engines import parquet_result, partition, result_tables, result_writer, runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lib.config.settings import Settings
    from lib.domain.requests import Request
    from lib.engines.parquet_result import Result
    from lib.engines.sizing import Kind

_PIECE = 500_000


def measure(options: argparse.Namespace) -> None:
    """Run once and print the cost."""
    # Spark's workers load the configuration themselves.
    os.environ[loader.FILE_VARIABLE] = str(options.config)
    table = tomllib.loads(options.config.read_text())["aggregator"]
    engine = {
        "memory_limit": options.memory_limit,
        "workers": options.workers,
        "master": options.master,
        "staging_dir": str(options.folder / "staging"),
    }
    settings = loader.from_values(table | {"engine": engine}, str(options.config), {})
    request = defaults.request(
        settings, defaults.local_today(settings), start=START, end=END, rule=options.rule
    )
    with _Family() as family:
        if options.engine == "memory":
            matched, counts, pieces = _in_memory(settings, request, options.folder)
        else:
            matched, counts, pieces = _by_engine(options.engine, settings, request, options.folder)
        seconds = _since_start()
    own = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "seconds": seconds,
        "matched_seconds": matched,
        "cpu_seconds": own.ru_utime + own.ru_stime + sum(family.cpu.values()),
        "driver_mb": own.ru_maxrss / 1024,
        "worker_mb": max(family.peak_mb.values(), default=0.0),
        "counts": counts,
        "digests": {name: digests.of(tables) for name, tables in pieces.items()},
    }
    print(json.dumps(report))


class _Family:
    """Watch the child processes: processor seconds and peak memory of each.

    The system keeps each peak; only the last tenth of a second of a process is missed.
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
                    self._record(process)

    def _record(self, process: psutil.Process) -> None:
        with suppress(psutil.Error, OSError):
            times = process.cpu_times()
            self.cpu[process.pid] = times.user + times.system
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            if peak:
                self.peak_mb[process.pid] = int(peak[1]) / 1024


_Answer = tuple[float, dict[str, int], dict[str, "Iterator[pa.Table]"]]
"""Seconds to the end of the matching; the row count and the rows in pieces of each table."""


def _in_memory(settings: Settings, request: Request, folder: Path) -> _Answer:
    result = pipeline.run(settings, request).reconciliation
    matched = _since_start()
    whole = {name: result_tables.rows_of(result, name) for name in result_tables.NAMES}
    with result_writer.drafted(folder / "resultado") as draft:
        for name, table in whole.items():
            for slot, rows in partition.by_slot(name, table, 1):
                result_writer.write_piece(draft.path(name, slot, 1), rows)
    pieces = {name: iter(_cut(table)) for name, table in whole.items()}
    return matched, {name: len(table) for name, table in whole.items()}, pieces


def _by_engine(name: Kind, settings: Settings, request: Request, folder: Path) -> _Answer:
    with runner.matched(settings, request, name) as matching:
        matched = _since_start()
        target = folder / "resultado"
        with result_writer.sealed(matching, target, lambda stage, rows: None) as draft:
            draft.publish()
    opened = parquet_result.open_result(target)
    counts = {name: opened.rows(name) for name in result_tables.NAMES}
    return matched, counts, {name: _pages(opened, name) for name in result_tables.NAMES}


def _since_start() -> float:
    return time.time() - psutil.Process().create_time()


def _pages(opened: Result, name: str) -> Iterator[pa.Table]:
    return (opened.page(name, at, _PIECE) for at in range(0, opened.rows(name), _PIECE))


def _cut(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(at, _PIECE) for at in range(0, len(table), _PIECE))
