"""Start a dashboard server and Chromium, and read pages once they have settled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request

from lib.config import loader
from lib.config.settings import ROOT
from tests.support.ports import free_port

NOT_FOUND: Final = "Chromium was not found: no browser test ran"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
# Limits of waits for a state; far above what any machine needs.
_PATIENCE_SECONDS: Final = 120.0
_ACTION_SECONDS: Final = 120.0
_QUIET_MILLISECONDS: Final = 700
_WATCH_MOVES: Final = """
  window.lastMove = performance.now();
  new MutationObserver(() => { window.lastMove = performance.now(); })
    .observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
# Streamlit's client requests these below the page's address first and then at the root, where the
# server answers. No setting changes the order, and the server's 404 is intended.
_PROBES: Final = ("_stcore/health", "_stcore/host-config")
_NOT_THERE: Final = "Failed to load resource: the server responded with a status of 404 (Not Found)"


def chromium() -> str | None:
    """The path of the browser: the variable CHROMIUM, else the first known name on the path."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """A headless browser that contacts no service of its vendor."""
    return playwright.chromium.launch(
        executable_path=chromium(), headless=True, args=list(ARGUMENTS)
    )


class Server:
    """A running `streamlit run`, on a free port and with this configuration."""

    def __init__(
        self,
        folder: Path,
        configuration: Path | None,
        *words: str,
        port: int | None = None,
        address: str = "127.0.0.1",
        script: str = "streamlit_app.py",
    ) -> None:
        port = port or free_port()
        self.url = f"http://{address}:{port}"
        self._log = folder / "server.log"
        environment = {
            k: v for k, v in os.environ.items() if not k.upper().startswith("AGGREGATOR")
        }
        if configuration is not None:
            environment[loader.FILE_VARIABLE] = str(configuration)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", script]
                + ["--server.address", address, "--server.port", str(port), *words],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log())
            time.sleep(0.1)

    def log(self) -> str:
        """The server's output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Terminate the server and wait for its end."""
        self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _healthy(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health") as answer:  # noqa: S310
            return bool(answer.status == 200)
        return False


@dataclass
class Visit:
    """A page in a browser profile of its own, its console errors and its requests elsewhere."""

    page: Page
    server: Server
    # The base address in the browser, where it is not the server's own.
    by: str = ""
    errors: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    probes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.by = self.by or self.server.url
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda problem: self.errors.append(str(problem)))
        self.page.on("request", self._watch)

    def go(self, address: str = "/") -> Visit:
        """Navigate to a path of the server, or to a full URL."""
        self.page.goto(address if address.startswith("http") else self.by + address)
        return self

    def open(self, address: str = "/") -> Visit:
        """Navigate and wait until the page has settled."""
        return self.go(address).settle()

    def settle(self) -> Visit:
        """Wait until the script has ended and the page has not changed for a while."""
        self.page.evaluate("window.lastMove = performance.now()")
        self.page.wait_for_function(
            f"""() => document.querySelector("[data-testid=stApp]")
                        ?.getAttribute("data-test-script-state") === "notRunning"
                   && document.querySelector("h1")
                   && !document.querySelector("[data-testid=stSkeleton], [data-stale=true]")
                   && performance.now() - window.lastMove > {_QUIET_MILLISECONDS}""",
            timeout=_PATIENCE_SECONDS * 1000,
        )
        return self

    def table(self, number: int = 0) -> Locator:
        """The table of this number, once it is drawn."""
        table = self.page.locator("[data-testid^=stBidiComponent] table").nth(number)
        table.locator("th").first.wait_for()
        return table

    def cells(self, column: str, number: int = 0) -> list[str]:
        """The cells of a column."""
        table = self.table(number)
        names = [th.get_attribute("data-column") for th in table.locator("th").all()]
        texts = table.locator("tbody td").all_text_contents()
        return texts[names.index(column) :: len(names)]

    def open_row(self, row: int) -> Visit:
        """Click a row of the first table."""
        self.table().locator("tbody tr").nth(row).click()
        return self.settle()

    def sort_by(self, column: str) -> Visit:
        """Click a heading of the first table."""
        self.table().locator(f"th[data-column={column}] button").click()
        return self.settle()

    def button(self, key: str) -> Locator:
        """The buttons or pills of the widget with this key."""
        return self.page.locator(f".st-key-{key} button")

    def field(self, key: str) -> Locator:
        """The text field of the widget with this key."""
        return self.page.locator(f".st-key-{key}").locator("input, textarea")

    def link(self, name: str) -> Locator:
        """The menu's link to this page."""
        return self.page.locator(f'[data-testid=stSidebarNavLink][href*="/{name}"]')

    def heading(self) -> str:
        """The title of the page."""
        return self.page.get_by_role("heading", level=1).inner_text()

    def search(self, table: str, text: str) -> Visit:
        """Search a table."""
        self.field(f"{table}_busca").fill(text)
        self.page.keyboard.press("Enter")
        return self.settle()

    def text(self) -> str:
        """The visible text of the page, without the joiners that keep addresses no links."""
        return self.page.get_by_test_id("stApp").inner_text().replace("\u2060", "")

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        address = str(message.location.get("url", ""))
        if message.text == _NOT_THERE and address in self._probes:
            self.probes.append(address)
        else:
            self.errors.append(f"{message.text} {address}")

    @property
    def _probes(self) -> list[str]:
        page = urlsplit(self.page.url).path.strip("/")
        return [f"{self.by}/{page}/{probe}" for probe in _PROBES if page]

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((self.by, "data:", "blob:")):
            self.elsewhere.add(request.url)


def new_page(browser: Browser, **options: Any) -> Page:
    """A page of a fresh profile with a Brazilian analyst's language, time zone and screen."""
    usual = {
        "locale": "pt-BR",
        "timezone_id": "America/Sao_Paulo",
        "accept_downloads": True,
        "viewport": {"width": 1280, "height": 900},
    }
    page = browser.new_context(**{**usual, **options}).new_page()
    page.add_init_script(_WATCH_MOVES)
    page.set_default_timeout(_ACTION_SECONDS * 1000)
    return page
