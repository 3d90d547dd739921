"""Compare a whole run with the best programs of others: ``python -m benchmarks.peers --rows N``.

The same job in each program, each run a process of its own, all programs in turns, medians. Needs a
virtual environment with `requirements-peers.txt`, whose interpreter ``--python`` names. Prints the
rows of the tables in RESULTS.md. The servers' processor seconds stand beside the program's own,
because the product has masks and tokens computed there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks import data, measure

HAND: Final = "pandas, openpyxl"
OURS: Final = "ours"
PROGRAMS: Final = (HAND, "ADBC, polars, xlsxturbo", "DuckDB", OURS)
LACKS: Final = {
    HAND: "first pair instead of the nearest; no masks, tokens, reasons, audit, history, cases",
    "ADBC, polars, xlsxturbo": "no masks, tokens, reasons, audit, history, cases",
    "DuckDB": "no masks, tokens, reasons, audit, history, cases; a file for each sheet; no formats",
    OURS: "",
}


@dataclass(frozen=True)
class Run:
    """The cost of one run and the processor seconds of both servers meanwhile."""

    cost: measure.Cost
    server_seconds: float


def main() -> None:
    """Measure and print; the last lines are the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="default: 100000 and 1000000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--python", required=True, help="the interpreter with the peers' packages")
    parser.add_argument("--no-hand", action="store_true", help="leave out pandas and openpyxl")
    options = parser.parse_args()
    programs = [name for name in PROGRAMS if name != HAND or not options.no_hand]
    for rows in options.rows or [100_000, 1_000_000]:
        _print(rows, _measure(rows, options.runs, options.python, programs))


def _measure(rows: int, runs: int, python: str, programs: list[str]) -> dict[str, list[Run]]:
    dataset = data.prepare(rows)
    commands = _commands(dataset, python)
    done: dict[str, list[Run]] = {name: [] for name in programs}
    for turn in range(runs):
        for name in programs:
            load, before = os.getloadavg()[0], _server_seconds()
            cost = measure.run(commands[name])
            done[name].append(Run(cost, _server_seconds() - before))
            print(f"{name} {turn + 1}/{runs}: {cost}, load before {load:.1f}", flush=True)
    counts = {tuple(r.cost.output.split()) for n in programs if n != OURS for r in done[n]}
    if len(counts) > 1:
        sys.exit(f"the programs disagree: {sorted(counts)}")
    return done


def _commands(dataset: data.DataSet, python: str) -> dict[str, list[str]]:
    days = [data.START.isoformat(), data.END.isoformat()]
    config = str(dataset.config)
    output = {name: str(data.FOLDER / f"peer_{n}.xlsx") for n, name in enumerate(PROGRAMS)}
    scripts = (("-m", "benchmarks.baseline"), ("benchmarks/peer_polars.py",))
    scripts += (("benchmarks/peer_duckdb.py",),)
    commands = {
        name: [sys.executable if name == HAND else python, *script, config, *days, output[name]]
        for name, script in zip(PROGRAMS, scripts, strict=False)
    }
    ours = ["aggregator.py", "--config", config, "--start", days[0], "--end", days[1]]
    return commands | {OURS: [sys.executable, *ours, "--output", output[OURS]]}


def _server_seconds() -> float:
    """Processor seconds of the servers' sessions, ended and still open."""
    total = 0.0
    for side in ("transactions", "auth_logs"):
        server = psutil.Process(int((data.FOLDER / side / "postmaster.pid").read_text().split()[0]))
        ended = server.cpu_times()
        total += ended.children_user + ended.children_system
        for session in server.children():
            with suppress(psutil.NoSuchProcess):
                now = session.cpu_times()
                total += now.user + now.system
    return total


def _print(rows: int, done: dict[str, list[Run]]) -> None:
    seconds = {
        name: statistics.median(run.cost.seconds for run in runs) for name, runs in done.items()
    }
    print(f"| rows a side | {' | '.join(done)} |")
    print(f"| {rows:,} | {' | '.join(f'{value:.2f}' for value in seconds.values())} |\n")
    print("| program | seconds | least | its processor | servers' | peak MB | ratio | lacks |")
    for name, runs in done.items():
        costs = [run.cost for run in runs]
        print(
            f"| {name} | {seconds[name]:.2f} | {min(c.seconds for c in costs):.2f}"
            f" | {measure.median(costs, lambda c: c.cpu_seconds):.2f}"
            f" | {statistics.median(r.server_seconds for r in runs):.2f}"
            f" | {measure.median(costs, lambda c: c.peak_mb):,.0f}"
            f" | {seconds[name] / seconds[OURS]:.2f} | {LACKS[name]} |"
        )
    print(flush=True)


if __name__ == "__main__":
    main()
