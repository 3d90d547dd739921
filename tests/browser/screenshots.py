"""Render every page of the demonstration, light and dark: `python -m tests.browser.screenshots`.

Pictures go to `docs/screenshots`: each page at 1280 pixels, the landing page at 1920 and on a
phone as well, and a selected row's details.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from lib.config.settings import ROOT
from tests.support.driving import NOT_FOUND, Server, Visit, chromium, launch, new_page

TARGET: Final = ROOT / "docs" / "screenshots"
_PAGES: Final = ("overview", "consolidated", "divergences", "cases", "charts", "customers", "runs")
_SCHEMES: Final = ("light", "dark")
_WIDE: Final = {"width": 1920, "height": 1080}
_PHONE: Final = {"width": 390, "height": 844}


def main() -> int:
    """Write all pictures; return 1 where there is no browser."""
    if chromium() is None:
        sys.stderr.write(f"{NOT_FOUND}\n")
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder), None)
        browser = launch(playwright)
        try:
            for scheme in _SCHEMES:
                _render(browser, server, scheme)
        finally:
            browser.close()
            server.stop()
    return 0


def _render(browser: Browser, server: Server, scheme: str) -> None:
    for name in _PAGES:
        _shoot(
            Visit(new_page(browser, color_scheme=scheme), server), f"/{name}", f"{name}-{scheme}"
        )
    for suffix, viewport in (("wide", _WIDE), ("phone", _PHONE)):
        page = new_page(browser, color_scheme=scheme, viewport=viewport)
        _shoot(Visit(page, server), "/", f"overview-{suffix}-{scheme}")
    seen = Visit(new_page(browser, color_scheme=scheme), server).open("/consolidated")
    seen.open_row(0).page.screenshot(path=TARGET / f"pair-{scheme}.png")
    seen.page.context.close()


def _shoot(seen: Visit, address: str, name: str) -> None:
    seen.open(address).page.screenshot(path=TARGET / f"{name}.png")
    seen.page.context.close()


if __name__ == "__main__":
    sys.exit(main())
