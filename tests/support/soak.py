"""Two hundred runs of the command line, each with a random fault: `python -m tests.support.soak`.

Every run must end in one of the expected ways, row-level security and the audit are on, and the
audit trail must be intact after all of them. The file under the report's name must then be a
complete report of the current data, or the unchanged previous file. Each report is copied to an
SFTP server: its copy must be right, or said to be missing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lib.cli import main as cli
from lib.delivery import history
from lib.demo import servers as demo
from lib.domain.columns import SHEET_CONSOLIDATED
from lib.reports import verification
from tests.support import command, copy_servers, faults, soak_notices
from tests.support.command import Completed
from tests.support.servers import Servers
from tests.support.soak_faults import EXPECTED, FAULTS, KILLED, KILLS, ROWS, Bench, Fault, finish


def judge(bench: Bench, fault: Fault, result: Completed, before: bytes) -> str:
    """The outcome of the run. Raises AssertionError if it is not an expected one."""
    assert result.code in EXPECTED[fault], (fault.__name__, result)
    now = bench.target.read_bytes()
    copied = judge_copy(bench, fault, result, now)
    if result.code == cli.DONE or now != before:
        assert result.code in (cli.DONE, KILLED) or copied == NO_COPY, result
        report = verification.verify(bench.target)
        assert report.problems == ()
        assert report.rows[SHEET_CONSOLIDATED] == bench.rows, (report.rows, bench.rows)
        if result.code == KILLED:
            return "killed, right report in place"
        return f"right report, {copied}"
    assert "Traceback" not in result.err, result
    if result.code == KILLED:
        return "killed, previous report intact"
    assert result.sentence, result
    return {cli.FAILED: "reported, previous report intact", cli.INTERRUPTED: "stopped, intact"}[
        result.code
    ]


RIGHT_COPY, NO_COPY = "right copy", "missing copy reported"


def judge_copy(bench: Bench, fault: Fault, result: Completed, report: bytes) -> str:
    """The outcome of the copy, empty without one. Raises AssertionError for a wrong one."""
    if result.code == KILLED:  # perhaps before it was recorded
        return ""
    [run] = bench.record.runs(1)
    copies = [sent for sent in run.dispatches if sent.kind == history.COPY]
    if not copies:
        assert result.code != cli.DONE, (fault.__name__, result, run)
        return ""
    [copy] = copies
    if copy.problem is not None:
        assert result.code == cli.FAILED, (fault.__name__, result)
        assert run.outcome == history.DONE, run
        assert not run.is_good
        return NO_COPY
    assert (bench.sftp.folder / bench.target.name).read_bytes() == report, fault.__name__
    names = os.listdir(bench.sftp.folder)
    assert names == [bench.target.name], (fault.__name__, names)
    return RIGHT_COPY


def main(runs: int, seed: int) -> None:
    """Draw faults, run, judge, and print the outcomes as a table."""
    outcomes: Counter[tuple[str, str]] = Counter()
    # A shell makes background jobs ignore Ctrl-C, and every run would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started_at = time.monotonic()
    # The hook has a chance of its own: what it draws depends on the moments of other processes.
    with (
        tempfile.TemporaryDirectory() as name,
        soak_notices.failing_hook(random.Random(seed)) as hook,
        copy_servers.sftp(Path(name) / "sftp") as sftp,
    ):
        servers = Servers()
        notices: Counter[str] = Counter()
        try:
            reports = Path(name) / "reports"
            bench = Bench(servers, servers.fresh(), reports, random.Random(seed), hook, sftp)
            bench.folder.mkdir()
            bench.target.write_bytes(command.PREVIOUS)
            faults.fill(bench.databases, ROWS)
            for side in demo.SIDES:
                grant = f"VALUES ('{demo.USER_BY_ROWS}', '{faults.MERCHANT}')"
                bench.databases.execute(side.name, f"INSERT INTO {side.access} {grant}")
            for number in range(1, runs + 1):
                fault = bench.random.choice(FAULTS)
                bench.grow()
                before = bench.target.read_bytes()
                since = max((run.id for run in bench.record.runs(1)), default=0)
                received = len(hook.received)
                result = fault(bench)
                notices[
                    soak_notices.judge(bench.record, hook, since, received, killed=fault in KILLS)
                ] += 1
                outcomes[fault.__name__, judge(bench, fault, result, before)] += 1
                print(number, fault.__name__, result.code, file=sys.stderr, flush=True)
            recorded = bench.record.runs(10 * runs)
            audited = command.start("audit", "verify", str(bench.trail))
            trail = finish(audited)
            assert trail.code == cli.DONE, trail
            locks = list(bench.folder.glob(".*.lock"))
        finally:
            servers.close()
    print("| fault | outcome | runs |\n|---|---|---|")
    for (fault_name, outcome), count in sorted(outcomes.items()):
        print(f"| {fault_name.replace('_', ' ')} | {outcome} | {count} |")
    print("\n| notices of a run | runs |\n|---|---|")
    for told, count in sorted(notices.items()):
        print(f"| {told} | {count} |")
    states = Counter(run.outcome for run in recorded)
    print(f"\n{sum(outcomes.values())} runs in {time.monotonic() - started_at:.0f} s, seed {seed}.")
    print("In the history: " + ", ".join(f"{n} {name}" for name, n in sorted(states.items())) + ".")
    print(f"Lock files left: {len(locks)}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    main(arguments.runs, arguments.seed)
