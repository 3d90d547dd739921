"""Run one process and measure its cost: seconds, processor seconds, peak memory.

Independent of the measured program.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.config.loader import ROOT


@dataclass(frozen=True)
class Cost:
    """The cost of one process from its start to its end, and its standard output."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (cpu {self.cpu_seconds:.2f} s) rss_mb {self.peak_mb:.0f}"


def python(*arguments: str) -> Cost:
    """Run this interpreter with these arguments in the project's folder; exit if it fails."""
    return run([sys.executable, *arguments])


def run(command: Sequence[str]) -> Cost:
    """Run this command in the project's folder; exit if it fails.

    Linux counts the parent's memory as the child's until the child executes its own program: a peak
    below that of the benchmark itself is not visible.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as talk:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=output, stderr=talk
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (output, talk):
            stream.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{talk.read()}")
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(seconds, cpu, usage.ru_maxrss / 1024, output.read())


def _environment() -> dict[str, str]:
    """This process's environment, with compiled modules cached between runs."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def repeated(name: str, runs: int, *arguments: str) -> list[Cost]:
    """Run it this many times and print each cost."""
    costs = []
    for number in range(runs):
        load = os.getloadavg()[0]
        costs.append(python(*arguments))
        print(f"{name} {number + 1}/{runs}: {costs[-1]}, load before {load:.1f}", flush=True)
    return costs


def median(costs: Sequence[Cost], figure: Callable[[Cost], float]) -> float:
    """The median of one figure of several runs."""
    return statistics.median(map(figure, costs))
