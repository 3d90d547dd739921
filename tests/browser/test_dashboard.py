"""The pages in Chromium: addresses, tables, charts, filters, and reads under way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lib.config import loader
from lib.database.error_translation import NOT_CONNECTED
from lib.ui import chart_view, extraction_status, period, record_details, refresh, tables
from lib.ui.navigation import titles
from tests.browser.conftest import Opened
from tests.support import scenario
from tests.support.command import gate, gated_query, with_query
from tests.support.driving import Server, Visit
from tests.support.scenario import BULK, DECLINED, LONELY, PHYSICAL, TWICE, UNKNOWN, masked, today
from tests.support.sentences import says
from tests.support.servers import Databases, Servers

pytestmark = pytest.mark.browser

PAGES = {
    "/": "overview",
    "/overview": "overview",
    "/consolidated": "consolidated",
    "/divergences": "divergences",
    "/charts": "charts",
    "/customers": "customers",
}
_CHECKED_WITHIN_A_SECOND = """async () => {
  for (const end = performance.now() + 1000; performance.now() < end;) {
    if (document.querySelector("[data-testid=stExpanderIconCheck]")) return true;
    await new Promise((done) => setTimeout(done, 10));
  }
  return false;
}"""
_KEEP_MENUS = """
  window.menus = new Set();
  new MutationObserver(() => {
    const links = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")];
    if (links.length) window.menus.add(links.map((link) => link.innerText.trim()).join(", "));
  }).observe(document, {subtree: true, childList: true, characterData: true});
"""


def rows(count: int) -> str:
    return tables.ROWS[1].format(count=count)


def read(count: int) -> str:
    return extraction_status.READ[1].format(side=extraction_status.TRANSACTIONS, count=count)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[Path | None], Server]]:
    """Start a server without any session yet."""
    running: list[Server] = []

    def start(configuration: Path | None) -> Server:
        running.append(Server(tmp_path, configuration))
        return running[-1]

    yield start
    for server in running:
        server.stop()


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


def test_the_document_says_its_language(visit: Opened) -> None:
    assert visit("/divergences").page.locator("html").get_attribute("lang") == "pt-BR"
    english = visit("/divergences", locale="en-US")
    assert english.page.locator("html").get_attribute("lang") == "en"


def test_the_filters_stay_when_the_page_changes(visit: Opened) -> None:
    seen = visit("/overview?regra=card_time&tolerancia=9")
    seen.link("divergences").click()
    seen.settle()
    assert seen.heading() == titles()["divergences"]
    assert "regra=card_time" in seen.page.url
    assert "tolerancia=9" in seen.page.url


def test_pages_of_fifty_rows(visit: Opened) -> None:
    seen = visit("/consolidated")
    first = seen.cells("num_cartao")
    seen.page.get_by_role("button", name="Next page").click()
    seen.settle()
    assert set(seen.cells("num_cartao")).isdisjoint(first)
    seen.page.get_by_role("button", name="Page 3").click()
    seen.settle()
    assert (first[0], len(seen.cells("num_cartao"))) == (masked(TWICE), BULK + 3 - 100)


def test_a_header_sorts_up_and_then_down(visit: Opened) -> None:
    seen = visit("/consolidated")
    seen.sort_by("num_cpf")
    assert "consolidated_ordem=num_cpf" in seen.page.url
    assert seen.cells("num_cpf")[0] == "***.222.333-**"
    seen.sort_by("num_cpf")
    assert "consolidated_ordem=-num_cpf" in seen.page.url
    seen.sort_by("num_cpf")
    assert "consolidated_ordem=num_cpf" in seen.page.url


def test_a_heading_sorts_on_the_server_moves_no_column_and_has_no_menu(visit: Opened) -> None:
    seen = visit("/consolidated").sort_by("vlr_total")
    cells = [cell.replace("\xa0", " ") for cell in seen.cells("vlr_total")]
    assert cells[:2] == ["R$ 0,50", "R$ 1,50"], "the smallest of all pages, as numbers"
    assert seen.page.locator("canvas").count() == 0, "a grid on a canvas has a menu of its own"
    seen.open("/divergences")
    headings = seen.table().locator("th")
    motivo = seen.table().locator("th[data-column=motivo]")
    before = [heading.bounding_box() for heading in headings.all()]
    for direction in ("ascending", "descending"):
        seen.sort_by("motivo")
        assert motivo.get_attribute("aria-sort") == direction
        assert [heading.bounding_box() for heading in headings.all()] == before


@pytest.mark.parametrize("column", [0, 3, 5, 9])
def test_a_click_anywhere_on_a_row_opens_it(visit: Opened, column: int) -> None:
    seen = visit("/consolidated?consolidated_busca=cartao+virtual")
    seen.table().locator("tbody td").nth(column).click()
    seen.settle()
    assert says(seen.page.get_by_role("dialog").inner_text(), record_details.PAIR)


def test_the_arrow_keys_go_from_row_to_row_and_enter_opens_one(visit: Opened) -> None:
    seen = visit("/divergences")
    rows = seen.table().locator("tbody tr")
    seen.table().locator("th button").last.focus()
    for key in ("Tab", "ArrowDown", "Home", "End"):
        seen.page.keyboard.press(key)
    assert seen.page.get_by_role("dialog").count() == 0
    assert rows.last.evaluate("row => row.getRootNode().activeElement === row")
    seen.page.keyboard.press("Enter")
    seen.settle()
    dialog = seen.page.get_by_role("dialog")
    assert masked(DECLINED) in dialog.inner_text()
    seen.page.keyboard.press("Escape")
    seen.settle()
    assert dialog.count() == 0


@pytest.mark.parametrize("address", ["/consolidated", "/divergences"])
def test_the_message_of_a_log_is_visible_on_a_small_screen(visit: Opened, address: str) -> None:
    table = visit(address).table()
    frame = table.evaluate("e => [e.scrollWidth, e.parentElement.clientWidth]")
    assert frame[0] <= frame[1], "the table needs no scrolling at 1280 pixels"
    box = table.locator("th[data-column=des_log]").bounding_box()
    assert box is not None
    assert box["width"] >= 120
    assert box["x"] + box["width"] <= 1280


def test_the_books_of_a_month_show_their_total_without_scrolling_inside(visit: Opened) -> None:
    days = [(today() - timedelta(days=n)).isoformat() for n in (40, 0)]
    seen = visit("/overview?" + "&".join(f"periodo={day}" for day in days))
    table = seen.table(1)
    assert table.locator("tbody tr").count() == 41
    frame = table.evaluate("e => [e.parentElement.scrollHeight, e.parentElement.clientHeight]")
    assert frame[0] == frame[1]
    assert table.locator("tfoot td").count() == 8


@pytest.mark.parametrize("kind", ["CSV", "Excel", "Parquet"])
def test_the_rows_on_show_are_downloaded_by_one_choice(visit: Opened, kind: str) -> None:
    seen = visit("/consolidated?consolidated_busca=cartao+virtual")
    seen.button("consolidated_baixar").click()
    with seen.page.expect_download() as waiting:
        seen.page.get_by_role("menuitem", name=kind).click()
    name = waiting.value.suggested_filename
    assert name.endswith({"CSV": ".csv", "Excel": ".xlsx", "Parquet": ".parquet"}[kind])
    assert waiting.value.path().stat().st_size > 300
    seen.settle()
    assert seen.cells("num_cartao") == [masked(PHYSICAL)]


def test_a_search_and_its_total(visit: Opened) -> None:
    seen = visit("/consolidated")
    seen.search("consolidated", "cartao virtual")
    assert seen.cells("num_cartao") == [masked(PHYSICAL)]
    one_of_all = tables.OF_ALL_ROWS.format(count=tables.ROWS[0].format(count=1), of=BULK + 3)
    total = tables.WITH_AMOUNT.format(count=one_of_all, amount="R$ 10,00")
    assert total in seen.text().replace("\xa0", " ")


def test_a_marked_match_opens_the_pair(visit: Opened) -> None:
    seen = visit("/consolidated?consolidated_busca=cartao+virtual")
    seen.open_row(0)
    dialog = seen.page.get_by_role("dialog")
    said = dialog.inner_text().replace("\xa0", " ")
    assert says(said, record_details.PAIR)
    assert " 3 s " in said
    assert masked(PHYSICAL) in said
    assert "R$ 10,00" in said
    assert record_details.OTHER_LOGS[1].format(count=2) in said
    seen.page.keyboard.press("Escape")
    seen.settle()
    assert dialog.count() == 0
    seen.open_row(0)
    assert says(dialog.inner_text(), record_details.PAIR)


def test_a_marked_divergence_says_whether_its_card_has_a_transaction(visit: Opened) -> None:
    seen = visit("/divergences?divergences_busca=sem+registro")
    assert seen.cells("num_cartao") == [masked(UNKNOWN)]
    seen.open_row(0)
    said = seen.page.get_by_role("dialog").inner_text()
    assert record_details.NO_TRANSACTION in said


def test_a_marked_divergence_by_time_shows_the_nearest_transaction(visit: Opened) -> None:
    seen = visit("/divergences?regra=card_time&divergences_busca=n%C3%A3o+autorizada")
    assert seen.cells("dif_segundos") == ["−30 min 0 s"]
    seen.open_row(0)
    said = seen.page.get_by_role("dialog").inner_text().replace("\xa0", " ")
    assert "R$ 1.234,56" in said
    assert says(said, record_details.NEAREST)
    assert " 30 min 0 s " in said


def test_a_click_on_a_charts_day_narrows_the_view_to_it(visit: Opened) -> None:
    seen = visit("/charts")
    middle = middle_of_the_bar_with_the_plain_purchases(seen)
    # A chart ignores a press before the pointer has moved in and its hover text is drawn.
    seen.page.mouse.move(middle[0], middle[1] - 3, steps=4)
    seen.page.get_by_test_id("stPlotlyChart").first.locator(".hoverlayer .legend").wait_for()
    seen.page.mouse.click(*middle)
    seen.page.wait_for_url(lambda url: f"dia={today() - timedelta(days=2)}" in url)
    seen.settle()
    assert chart_view.CLICK_HINT not in seen.text()
    assert f"periodo={today()}" in seen.page.url


def test_a_tap_on_a_charts_day_narrows_the_view_to_it(visit: Opened) -> None:
    seen = visit("/charts", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    seen.page.touchscreen.tap(*middle_of_the_bar_with_the_plain_purchases(seen))
    seen.page.wait_for_url(lambda url: f"dia={today() - timedelta(days=2)}" in url)


def middle_of_the_bar_with_the_plain_purchases(seen: Visit) -> tuple[float, float]:
    chart = seen.page.get_by_test_id("stPlotlyChart").first
    chart.scroll_into_view_if_needed()
    seen.settle()
    bar = chart.locator(".barlayer .trace").first.locator(".point path").nth(8)
    box = bar.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_chart_opens_its_numbers(visit: Opened) -> None:
    seen = visit("/charts")
    seen.page.get_by_test_id("stExpander").locator("summary").first.click()
    seen.settle()
    assert seen.cells("Consolidadas")[-3:] == [f"{BULK}", "3", "0"]


def test_tabs_for_transactions_without_log_and_removed_duplicates(visit: Opened) -> None:
    seen = visit("/divergences")
    for tab, card in ((1, LONELY), (2, TWICE)):
        seen.page.get_by_role("tab").nth(tab).click()
        seen.settle()
        assert seen.cells("num_cartao") == [masked(card)]
    assert "aba=duplicatas" in seen.page.url


def test_an_english_browser_reads_english(visit: Opened) -> None:
    seen = visit("/overview", locale="en-US")
    said = seen.text()
    assert seen.page.get_by_role("heading", level=1).inner_text() == "Overview"
    for word in ("Consolidated transactions", "Data available until", "R$8,474.56", "Last month"):
        assert word in said
    assert "Transações" not in said


def test_a_stopped_database_is_a_sentence_and_the_button_recovers(
    fresh: Callable[[Path], Server],
    visit: Opened,
    databases: Databases,
    servers: Servers,
    tmp_path: Path,
) -> None:
    scenario.fill(databases)
    server = fresh(scenario.site(tmp_path, databases.values))
    servers.stop("auth_logs")
    try:
        seen = visit("/divergences", at=server)
        alerts = seen.page.get_by_test_id("stAlert").all_inner_texts()
        assert says(alerts[-1], NOT_CONNECTED.replace("{side}", "auth_logs"))
        assert seen.page.locator("table").count() == 0
    finally:
        servers.start("auth_logs")
    seen.button(extraction_status.RETRY).click()
    seen.settle()
    assert seen.cells("num_cartao")[0] == masked(UNKNOWN)
    assert "Traceback" not in server.log()


def test_a_phone_can_read_and_mark(visit: Opened) -> None:
    seen = visit("/consolidated", viewport={"width": 390, "height": 844}, has_touch=True)
    assert rows(BULK + 3) in seen.text()
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    seen.open_row(0)
    assert says(seen.page.get_by_role("dialog").inner_text(), record_details.PAIR)


def test_stages_are_seen_while_the_data_are_read(
    fresh: Callable[[Path], Server], visit: Opened, databases: Databases, tmp_path: Path
) -> None:
    scenario.fill(databases)
    values = with_query(databases.values, "auth_logs", tmp_path, gated_query("auth_logs"))
    with gate(databases, "auth_logs"):
        seen = visit("/", at=fresh(scenario.site(tmp_path, values)), settled=False)
        seen.page.get_by_text(read(125)).wait_for()
        assert extraction_status.AUTH_LOGS in seen.text()
        assert seen.page.get_by_test_id("stExpanderIconSpinner").count() == 1
        assert not seen.page.evaluate(_CHECKED_WITHIN_A_SECOND)
    seen.page.get_by_test_id("stExpanderIconSpinner").wait_for(state="detached")
    seen.settle()
    assert re.search(r"126 \w+ = 124 \w+ \+ 2 \w+", seen.text())


def test_a_refresh_shows_new_records_without_hiding_the_old(
    fresh: Callable[[Path], Server], visit: Opened, databases: Databases, tmp_path: Path
) -> None:
    scenario.fill(databases)
    values = with_query(databases.values, "auth_logs", tmp_path, gated_query("auth_logs"))
    seen = visit("/consolidated", at=fresh(scenario.site(tmp_path, values)))
    card, day = "4000009999990000", today()
    databases.fill(
        transactions=[(card, day, None, scenario.MERCHANT, None, 1)],
        auth_logs=[(card, day, None, "00", "nova", scenario.FIELD)],
    )
    with gate(databases, "auth_logs"):
        seen.button(refresh.REFRESH).click()
        seen.page.get_by_text(read(126)).wait_for()
        assert rows(BULK + 3) in seen.text()
        assert len(seen.cells("num_cartao")) > 10
    seen.page.get_by_text(rows(BULK + 4)).wait_for()


def test_a_printed_page_has_charts_and_tables_whole_and_no_sidebar(visit: Opened) -> None:
    a4 = {"width": 703, "height": 1031}  # pixels between the margins
    for name, parts in (("charts", ".main-svg"), ("consolidated", "table")):
        seen = visit(f"/{name}", color_scheme="dark")
        seen.page.emulate_media(media="print", color_scheme="dark")
        seen.page.set_viewport_size(a4)
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert not seen.page.get_by_test_id("stSidebar").is_visible()
        boxes = [part.bounding_box() for part in seen.page.locator(parts).all()]
        assert boxes
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 703 for box in boxes)
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("locale", ["pt-BR", "en-US"])
def test_no_legend_covers_the_title_or_the_bars_of_its_chart(
    visit: Opened, width: int, locale: str
) -> None:
    for page in ("charts", "customers"):
        seen = visit(f"/{page}", locale=locale, viewport={"width": width, "height": 6000})
        spans = seen.page.get_by_test_id("stPlotlyChart").evaluate_all(
            """charts => charts.map(chart =>
                 ['.gtitle', '.infolayer > .legend', '.bglayer'].map(part => {
                   const box = chart.querySelector(part)?.getBoundingClientRect();
                   return box && [Math.round(box.top), Math.round(box.bottom)];
                 }))"""
        )
        with_legend = [(title, legend) for title, legend, _ in spans if legend]
        assert with_legend
        assert all(title[1] <= legend[0] for title, legend in with_legend), spans
