"""Charts: clicks and taps on a day, the numbers behind a chart, legends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lib.ui import chart_view
from tests.browser.conftest import Opened
from tests.support.driving import Visit
from tests.support.scenario import BULK, today

pytestmark = pytest.mark.browser


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
