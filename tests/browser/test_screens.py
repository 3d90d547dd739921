"""Languages, a phone and paper."""

from __future__ import annotations

import pytest

from lib.ui import record_details
from tests.browser.conftest import Opened, rows
from tests.support.scenario import BULK
from tests.support.sentences import says

pytestmark = pytest.mark.browser


def test_the_document_says_its_language(visit: Opened) -> None:
    assert visit("/divergences").page.locator("html").get_attribute("lang") == "pt-BR"
    english = visit("/divergences", locale="en-US")
    assert english.page.locator("html").get_attribute("lang") == "en"


def test_an_english_browser_reads_english(visit: Opened) -> None:
    seen = visit("/overview", locale="en-US")
    said = seen.text()
    assert seen.page.get_by_role("heading", level=1).inner_text() == "Overview"
    for word in ("Consolidated transactions", "Data available until", "R$8,474.56", "Last month"):
        assert word in said
    assert "Transações" not in said


def test_a_phone_can_read_and_mark(visit: Opened) -> None:
    seen = visit("/consolidated", viewport={"width": 390, "height": 844}, has_touch=True)
    assert rows(BULK + 3) in seen.text()
    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    seen.open_row(0)
    assert says(seen.page.get_by_role("dialog").inner_text(), record_details.PAIR)


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
