"""Measure pages and an export in Chromium: ``python -m benchmarks.pages --rows N --runs R``.

Every run starts a server and a browser profile of its own over N + N records. A page is timed from
the request to its last change on the screen: on a server that has drawn nothing yet, again in a new
profile, and after the choice of another period. The export is timed from the click to the file.
Beside them stands the same for a Streamlit page that shows one title. The last line is the result.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from benchmarks import data
from tests.support.driving import Server, Visit, launch, new_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_EMPTY: Final = "import streamlit as st\n\nst.title('Vazia')\n"
_PAGES: Final = ("overview", "charts", "customers", "consolidated")
_PERIOD: Final = f"?periodo={data.START}&periodo={data.END}"
_OTHER_END: Final = data.END - timedelta(days=2)
_EXPORT: Final = "exportar"

Times = dict[str, list[float]]


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    dataset = data.prepare(options.rows)
    times: Times = {}
    access = "[aggregator.access]\nwithout_sign_in = true\n"
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = launch(playwright)
        empty = Path(folder) / "empty.py"
        empty.write_text(_EMPTY, encoding="utf-8")
        configuration = Path(folder) / "aggregator.toml"
        configuration.write_text(dataset.config.read_text() + access)
        configuration.chmod(0o600)
        for _ in range(options.runs):
            with _server(folder, None, script=str(empty)) as server:
                _time_page(browser, server, "empty", "/", times)
            for name in _PAGES:
                with _server(folder, configuration) as server:
                    _time_page(browser, server, name, f"/{name}{_PERIOD}", times)
        browser.close()
    figures = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in figures.items():
        print(f"{name}: {seconds:.2f} s", *(f"{single:.2f}" for single in times[name]))
    more = {
        way: figures[f"charts, {way}"] - figures[f"overview, {way}"]
        for way in ("first", "again", "other period")
    }
    print(
        "charts more than overview:",
        ", ".join(f"{way} {seconds:.2f} s" for way, seconds in more.items()),
        f"| export of {options.rows} rows: {figures['export']:.2f} s",
        f"| empty page: {figures['empty, first']:.2f} s",
    )


def _time_page(browser: Browser, server: Server, name: str, address: str, times: Times) -> None:
    for way in ("first", "again"):
        visit = Visit(new_page(browser), server).open(address)
        _note(times, f"{name}, {way}", visit.page.evaluate("window.lastMove") / 1000)
        if way == "again" and name != "empty":
            _time_other_period(visit, name, times)
            if name == "overview":
                _time_export(visit, times)
        visit.page.context.close()


def _time_other_period(visit: Visit, name: str, times: Times) -> None:
    # The last day of the period; leaving the field applies it.
    visit.page.locator(".st-key-periodo [role=spinbutton]").nth(3).click()
    visit.page.keyboard.type(f"{_OTHER_END:%d}")
    visit.page.keyboard.press("Escape")
    began = visit.page.evaluate("performance.now()")
    visit.page.get_by_role("heading", level=1).click()
    visit.page.wait_for_url(f"**periodo={data.START}&periodo={_OTHER_END}*")
    visit.settle()
    _note(times, f"{name}, other period", (visit.page.evaluate("window.lastMove") - began) / 1000)


def _time_export(visit: Visit, times: Times) -> None:
    began = time.perf_counter()
    with visit.page.expect_download() as download:
        visit.button(_EXPORT).click()
    download.value.path()
    _note(times, "export", time.perf_counter() - began)


def _note(times: Times, name: str, seconds: float) -> None:
    times.setdefault(name, []).append(seconds)


@contextmanager
def _server(folder: str, configuration: Path | None, **options: Any) -> Iterator[Server]:
    server = Server(Path(folder), configuration, **options)
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    main()
