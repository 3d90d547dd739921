"""Measure the dashboard under load: ``python -m benchmarks.load --rows N --sessions S``.

A real server over N + N records and S websocket sessions, each sending its next request as soon as
it has an answer: pages of the table, with ``--mix`` searches, orders and other periods as well.
The least Streamlit page of as many rows (`benchmarks/bare_page.py`) is measured in turns with it;
the dashboard's share of its reruns is printed. With ``--export`` the load is repeated while a
workbook of all records is written. The last line is the result.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks import data
from benchmarks.sessions import Session
from lib.config.loader import FILE_VARIABLE, ROOT

PAGE: Final = "consolidated"
_ROWS_A_PAGE: Final = 50
_BARE_PAGER: Final = "pagina"
_TURNS: Final = 3
_START_SECONDS: Final = 60
# Searches, orders and periods per hundred changes of a mix; the others are pages.
_MIX: Final = {"search": 6, "sort": 6, "period": 1}
_WORDS: Final = ("senha", "aprovada", "4000", "51", "limite")
_ORDERS: Final = ("Valor ▲", "Valor ▼", "Cartão ▲", "Diferença ▼", "Mais recentes primeiro")
# The exporting session is excluded from the figures, which measure the others.
_EXPORT: Final = "Exportar Excel"
_DONE: Final = "Baixar de novo"


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument(
        "--mix", action="store_true", help="also search, sort and change the period"
    )
    parser.add_argument("--export", action="store_true", help="repeat while all rows are exported")
    options = parser.parse_args()

    dataset = data.prepare(options.rows)
    with _dashboard(dataset) as ours, _server("benchmarks/bare_page.py", _bare(options)) as bare:
        asyncio.run(_measure(ours, bare, options))


@dataclass(frozen=True)
class Server:
    """A Streamlit server on a loopback port."""

    port: int
    process: int

    def cpu_seconds(self) -> float:
        """Processor seconds of the server so far."""
        times = psutil.Process(self.process).cpu_times()
        return times.user + times.system


async def _measure(ours: Server, bare: Server, options: argparse.Namespace) -> None:
    pages = max(options.rows * 9 // 10 // _ROWS_A_PAGE, 1)
    sessions = [
        Session(ours.port, PAGE, _query(), pager=f"{PAGE}_pagina") for _ in range(options.sessions)
    ]
    began = time.perf_counter()
    await asyncio.gather(*(session.open() for session in sessions))
    print(
        f"all {options.sessions} sessions see the table after {time.perf_counter() - began:.1f} s"
    )
    least = [Session(bare.port, "", "", pager=_BARE_PAGER) for _ in range(options.sessions)]
    await asyncio.gather(*(session.open() for session in least))
    quiet, spent, bare_load, bare_spent = await _in_turns(
        (ours, sessions, options.mix), (bare, least, False), pages, options.seconds
    )
    print(f"the server's processor for a rerun: {spent * 1e3:.1f} ms")
    share = _rate(quiet) / _rate(bare_load)
    print(
        f"the bare page {_figures(bare_load)}, processor {bare_spent * 1e3:.1f} ms; "
        f"share of its reruns {share:.2f}, of its processor {bare_spent / spent:.2f}"
    )
    line = _figures(quiet)
    if options.export:
        print(f"without export {line}", flush=True)
        during, seconds = await _load_during_export(ours.port, sessions, pages, options.mix)
        print(f"while exporting, {seconds:.1f} s, {_figures(during)}")
        print(
            f"p95 while exporting / without {_percentile(during, 95) / _percentile(quiet, 95):.2f}"
        )
    failures = sum(session.exceptions for session in [*sessions, *least])
    if failures:
        sys.exit(f"{failures} exceptions on the pages")
    await asyncio.gather(*(session.close() for session in [*sessions, *least]))
    print(f"{line} peak_rss_mb {_peak_mb(ours.process):.0f}")


async def _in_turns(
    first: tuple[Server, list[Session], bool],
    second: tuple[Server, list[Session], bool],
    pages: int,
    seconds: float,
) -> tuple[tuple[float, list[float]], float, tuple[float, list[float]], float]:
    """Load two servers in turns; return for each its answers and its processor for a rerun."""
    figures: list[list[Any]] = [[0.0, [], 0.0], [0.0, [], 0.0]]
    for _ in range(_TURNS):
        for (server, sessions, mix), of in zip((first, second), figures, strict=True):
            await _load(sessions, pages, 1, mix)
            before = server.cpu_seconds()
            duration, took = await _load(sessions, pages, seconds / _TURNS, mix)
            of[0] += duration
            of[1] = sorted([*of[1], *took])
            of[2] += server.cpu_seconds() - before
    (a, b, spent), (c, d, least) = figures
    return (a, b), spent / len(b), (c, d), least / len(d)


async def _load(
    sessions: list[Session], pages: int, seconds: float, mix: bool
) -> tuple[float, list[float]]:
    """Load every session for this many seconds; return the duration and each answer's seconds."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    return await _until(over, sessions, pages, mix)


async def _until(
    over: asyncio.Event, sessions: list[Session], pages: int, mix: bool
) -> tuple[float, list[float]]:
    began = time.perf_counter()
    took = await asyncio.gather(
        *(_drive(s, random.Random(n), over, pages, mix) for n, s in enumerate(sessions))
    )
    return time.perf_counter() - began, sorted(second for each in took for second in each)


async def _drive(
    session: Session, dice: random.Random, over: asyncio.Event, pages: int, mix: bool
) -> list[float]:
    took = []
    while not over.is_set():
        kind = _kind(dice) if mix else "page"
        took.append(await _change(session, dice, kind, pages))
    return took


def _kind(dice: random.Random) -> str:
    pages = 100 - sum(_MIX.values())
    return dice.choices([*_MIX, "page"], [*_MIX.values(), pages])[0]


async def _change(session: Session, dice: random.Random, kind: str, pages: int) -> float:
    if kind == "search":
        words = "" if session.values.get(f"{PAGE}_busca") else dice.choice(_WORDS)
        return await session.change(f"{PAGE}_busca", words)
    if kind == "sort":
        return await session.change(f"{PAGE}_ordem", dice.choice(_ORDERS))
    if kind == "period":
        end = data.END - timedelta(days=dice.randrange(2))
        return await session.change("periodo", [_day(data.START), _day(end)])
    return await session.change(session.pager, dice.randrange(1, pages + 1))


async def _load_during_export(
    port: int, sessions: list[Session], pages: int, mix: bool
) -> tuple[tuple[float, list[float]], float]:
    """Load the sessions while another one exports, from the click on its button to its file."""
    over, exporter = asyncio.Event(), Session(port, PAGE, _query(), pager="")
    await exporter.open()

    async def export() -> float:
        began = time.perf_counter()
        button = next(k for k, w in exporter.labels.items() if w == _EXPORT)
        await exporter.rerun(pressed=button)
        while not any(w.startswith(_DONE) for w in exporter.labels.values()):
            await asyncio.sleep(0.3)
            await exporter.rerun()
        over.set()
        return time.perf_counter() - began

    exporting = asyncio.create_task(export())
    during = await _until(over, sessions, pages, mix)
    return during, await exporting


def _rate(measured: tuple[float, list[float]]) -> float:
    seconds, took = measured
    return len(took) / seconds


def _figures(measured: tuple[float, list[float]]) -> str:
    _, took = measured
    return (
        f"reruns_per_s {_rate(measured):.0f} p50_ms {statistics.median(took) * 1e3:.0f} "
        f"p95_ms {_percentile(measured, 95) * 1e3:.0f}"
    )


def _percentile(measured: tuple[float, list[float]], share: int) -> float:
    took = measured[1]
    return took[min(len(took) * share // 100, len(took) - 1)]


def _query() -> str:
    return f"periodo={data.START}&periodo={data.END}"


def _day(day: date) -> str:
    return f"{day:%Y/%m/%d}"


def _peak_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def _bare(options: argparse.Namespace) -> dict[str, str]:
    return {"BARE_ROWS": str(options.rows)}


@contextmanager
def _dashboard(dataset: data.DataSet) -> Iterator[Server]:
    """Start the dashboard, open to this machine without a sign-in."""
    with tempfile.TemporaryDirectory(prefix="load-", dir=data.FOLDER) as folder:
        config = Path(folder) / "aggregator.toml"
        config.write_text(
            dataset.config.read_text() + "[aggregator.access]\nwithout_sign_in = true\n"
        )
        with _server("streamlit_app.py", {FILE_VARIABLE: str(config)}) as server:
            yield server


@contextmanager
def _server(script: str, environment: dict[str, str]) -> Iterator[Server]:
    """Start a script's server on a free loopback port, with the project's settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "streamlit", "run", script]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    with tempfile.TemporaryFile("w+", dir=data.FOLDER) as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
        )
        try:
            _wait_for(port)
            yield Server(port, process.pid)
            log.seek(0)
            print(log.read(), file=sys.stderr, end="")
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health"):
            return
        time.sleep(0.1)
    sys.exit("the server did not start")


if __name__ == "__main__":
    main()
