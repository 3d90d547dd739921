"""Tables: pages, orders, searches, downloads, and what a row opens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lib.ui import record_details, tables
from tests.browser.conftest import Opened
from tests.support.scenario import BULK, DECLINED, LONELY, PHYSICAL, TWICE, UNKNOWN, masked, today
from tests.support.sentences import says

pytestmark = pytest.mark.browser


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


def test_tabs_for_transactions_without_log_and_removed_duplicates(visit: Opened) -> None:
    seen = visit("/divergences")
    for tab, card in ((1, LONELY), (2, TWICE)):
        seen.page.get_by_role("tab").nth(tab).click()
        seen.settle()
        assert seen.cells("num_cartao") == [masked(card)]
    assert "aba=duplicatas" in seen.page.url
