"""Accessibility: axe finds nothing on any page, in both themes and both languages."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

from tests.browser.conftest import Opened

pytestmark = pytest.mark.browser

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PAGES = (
    "/overview",
    "/consolidated",
    "/divergences",
    "/charts",
    "/customers",
    "/runs",
    "/cases",
    "/merchants",
)


def findings(page: Any) -> list[str]:
    """The rules that the page breaks, each with the elements that break it."""
    page.evaluate(AXE)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:200]}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("locale", ["pt-BR", "en-US"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing(visit: Opened, address: str, scheme: str, locale: str) -> None:
    seen = visit(address, color_scheme=scheme, locale=locale)
    assert seen.page.locator("html").get_attribute("lang") == {"en-US": "en"}.get(locale, locale)
    assert findings(seen.page) == []
