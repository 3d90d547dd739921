"""Addresses: pages on a fresh server, links to a view, back and forward, periods."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lib.config import loader
from lib.ui import period, tables
from lib.ui.navigation import titles
from tests.browser.conftest import Opened, rows
from tests.support.driving import Server
from tests.support.scenario import BULK, today
from tests.support.sentences import says

pytestmark = pytest.mark.browser

PAGES = {
    "/": "overview",
    "/overview": "overview",
    "/consolidated": "consolidated",
    "/divergences": "divergences",
    "/charts": "charts",
    "/customers": "customers",
}
_KEEP_MENUS = """
  window.menus = new Set();
  new MutationObserver(() => {
    const links = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")];
    if (links.length) window.menus.add(links.map((link) => link.innerText.trim()).join(", "));
  }).observe(document, {subtree: true, childList: true, characterData: true});
"""


@pytest.mark.parametrize("address", PAGES)
def test_a_deep_link_opens_its_page_on_a_fresh_server(
    fresh: Callable[[Path], Server], configuration: Path, visit: Opened, address: str
) -> None:
    seen = visit(address, at=fresh(configuration))
    assert seen.heading() == titles()[PAGES[address]]
    marked = seen.page.locator("[data-testid=stSidebarNavLink][aria-current=page]")
    assert marked.all_inner_texts() == [titles()[PAGES[address]]]
    # The filters come from the page frame, the titles from the entry: both ran.
    assert seen.page.locator(".st-key-estabelecimento").count() > 0
    assert seen.link("divergences").inner_text() == titles()["divergences"]
    assert "Traceback" not in seen.server.log()


def test_a_fresh_server_never_lists_page_files_in_its_menu(
    fresh: Callable[[Path], Server], configuration: Path, visit: Opened
) -> None:
    seen = visit("/_stcore/health", at=fresh(configuration), settled=False)
    seen.page.add_init_script(_KEEP_MENUS)
    seen.open("/divergences")
    offered = [
        title for name, title in titles().items() if name not in ("results", "audit", "setup")
    ]
    assert seen.page.evaluate("[...window.menus]") == [", ".join(offered)]


@pytest.mark.skipif(loader.DEFAULT_FILE.exists(), reason="there is a configuration")
@pytest.mark.parametrize("address", ["/", "/runs"])
def test_the_first_page_of_the_demonstration_offers_the_way_to_ones_own_databases(
    fresh: Callable[[None], Server], visit: Opened, address: str
) -> None:
    seen = visit(address, at=fresh(None))
    links = seen.page.locator("[data-testid=stSidebarNavLink]")
    assert titles()["setup"] in [link.inner_text() for link in links.all()]
    marked = seen.page.locator("[data-testid=stSidebarNavLink][aria-current=page]")
    assert marked.all_inner_texts() == [seen.heading()]


@pytest.mark.parametrize("address", PAGES)
def test_no_request_leaves_the_machine_and_the_console_has_no_errors(
    visit: Opened, address: str
) -> None:
    # All other tests have the light theme, and `visit` checks the same of them.
    seen = visit(address, color_scheme="dark")
    seen.page.wait_for_timeout(1_000)
    assert seen.elsewhere == set()
    assert seen.errors == []
    # Each probe of the client may fail once below the page's address, and never at the root.
    below = [f"{seen.server.url}{address}/_stcore/{name}" for name in ("health", "host-config")]
    assert sorted(seen.probes) == (below if address != "/" else [])


def test_a_preset_and_a_typed_range_change_the_period(visit: Opened) -> None:
    seen = visit("/consolidated")
    assert rows(BULK + 3) in seen.text()
    seen.button("atalho").filter(has_text="Ontem").click()
    seen.settle()
    assert rows(3) in seen.text()
    assert f"periodo={today() - timedelta(days=1)}" in seen.page.url

    day = today() - timedelta(days=2)
    parts = seen.page.get_by_test_id("stDateInput").get_by_role("spinbutton")
    for first in (0, 3):
        parts.nth(first).click()
        seen.page.keyboard.type(f"{day:%d%m%Y}")
    seen.page.keyboard.press("Escape")
    seen.settle()
    assert rows(BULK) in seen.text()
    assert seen.page.url.count(f"periodo={day}") == 2


def test_a_shared_link_opens_the_same_view_in_another_browser(visit: Opened) -> None:
    first = visit("/consolidated")
    first.search("consolidated", "simples")
    first.page.get_by_role("button", name="Page 2").click()
    first.settle()
    second = visit(first.page.url)
    assert second.page.url == first.page.url
    assert second.cells("num_cartao") == first.cells("num_cartao")
    assert tables.OF_ALL_ROWS.format(count=rows(BULK), of=BULK + 3) in second.text()


def test_back_and_forward_go_through_the_views(visit: Opened) -> None:
    seen = visit("/consolidated")
    first = seen.cells("num_cartao")
    seen.page.get_by_role("button", name="Page 3").click()
    seen.settle()
    third = seen.cells("num_cartao")
    assert third != first
    seen.page.go_back()
    seen.settle()
    assert seen.cells("num_cartao") == first
    seen.page.go_forward()
    seen.settle()
    assert seen.cells("num_cartao") == third


def test_back_and_forward_go_through_what_was_seen_and_nothing_else(visit: Opened) -> None:
    """A landing and a menu click complete the address themselves, which adds no entry."""
    seen = visit("/")
    entries = seen.page.evaluate("history.length")
    assert entries == 2  # the browser's empty page, and this one
    states = [(seen.page.url, seen.heading())]

    def step(act: Callable[[], None]) -> None:
        act()
        seen.settle()
        states.append((seen.page.url, seen.heading()))

    assert "periodo=" in seen.page.url
    step(lambda: seen.link("divergences").click())
    step(seen.button("atalho").filter(has_text="Ontem").click)
    step(lambda: seen.link("charts").click())
    assert seen.page.evaluate("history.length") == entries + 3
    for url, heading in states[-2::-1]:
        seen.page.go_back()
        seen.settle()
        assert (seen.page.url, seen.heading()) == (url, heading)
    for url, heading in states[1:]:
        seen.page.go_forward()
        seen.settle()
        assert (seen.page.url, seen.heading()) == (url, heading)


def test_a_half_picked_range_keeps_the_figures_and_says_what_it_waits_for(visit: Opened) -> None:
    seen = visit("/divergences")
    url = seen.page.url
    seen.page.get_by_test_id("stDateInput").locator("button").last.click()
    seen.page.get_by_role("gridcell").nth(8).click()
    seen.settle()
    assert says(seen.text(), period.NO_END)
    assert seen.page.url == url


def test_the_filters_stay_when_the_page_changes(visit: Opened) -> None:
    seen = visit("/overview?regra=card_time&tolerancia=9")
    seen.link("divergences").click()
    seen.settle()
    assert seen.heading() == titles()["divergences"]
    assert "regra=card_time" in seen.page.url
    assert "tolerancia=9" in seen.page.url
