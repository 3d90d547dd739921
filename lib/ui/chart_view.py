"""Show charts on a page: figure, finding, numbers, and the reaction to a click on a day.

Owns the reader's `Language` for `lib.charts`. Decides nothing about a chart's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st
from babel import Locale

from lib.charts.layout import Chart, Language
from lib.ui import day, formatting, guard, html_table, i18n, tables
from lib.ui.html_table import Column
from lib.ui.i18n import n, t

CLICK_HINT: Final = (
    "Clique em um dia de um gráfico para ver só esse dia, hora a hora, em todas as páginas."
)

_COLUMNS: Final = 2
_COLUMN_WIDTH: Final = 340
# A chart selects the point that the pointer was last over, and a finger hovers over none.
_TAPS: Final = """<script>
if (!window.chartsHearTaps) {
  window.chartsHearTaps = true;
  document.addEventListener("touchstart", (event) => {
    if (!event.target.closest(".js-plotly-plot")) return;
    const { clientX, clientY } = event.touches[0];
    event.target.dispatchEvent(new MouseEvent("mousemove", { bubbles: true, clientX, clientY }));
  }, { capture: true, passive: true });
}
</script>"""


def language() -> Language:
    """Translations and formats of charts for this session's reader."""
    locale = i18n.language()
    portuguese = locale == i18n.PORTUGUESE
    weekdays = Locale.parse(locale).days["stand-alone"]
    return Language(
        t=t,
        n=n,
        number=formatting.number,
        money=formatting.money,
        percent=formatting.percent,
        day=formatting.day,
        separators=",." if portuguese else ".,",
        day_format="%d/%m/%Y" if portuguese else "%b %-d, %Y",
        axis_day_format="%d/%m" if portuguese else "%b %-d",
        weekdays=[weekdays["wide"][day] for day in range(7)],
        short_weekdays=[weekdays["abbreviated"][day] for day in range(7)],
    )


def show(charts: Mapping[str, Chart]) -> None:
    """Draw the charts by key, two in a row where the screen has room."""
    clickable = any(chart.days for chart in charts.values())
    if clickable:
        st.caption(t(CLICK_HINT))
    grid = st.grid(_COLUMNS, min_column_width=_COLUMN_WIDTH)
    for number, (key, chart) in enumerate(charts.items(), 1):
        alone = number == len(charts) and number % _COLUMNS == 1
        cell = grid.cell(column_span="all") if alone else grid
        with cell.container(border=True, height="stretch"):
            _show(key, chart)
    if clickable:
        st.html(_TAPS, unsafe_allow_javascript=True)


def _show(key: str, chart: Chart) -> None:
    st.plotly_chart(
        chart.figure,
        key=key,
        on_select=partial(_narrow, key, chart.days) if chart.days else "ignore",
        selection_mode="points",
        config={"displayModeBar": False},
        alt=chart.finding,
    )
    st.caption(formatting.plain(chart.finding))
    # Most readers open none, and a table that nobody sees still loads the client's grid.
    numbers = st.expander(t("Números do gráfico"), key=f"{key}_numeros", on_change="rerun")
    if numbers.open:
        with numbers:
            st.fragment(_numbers)(key, chart)


def _numbers(key: str, chart: Chart) -> None:
    """Draw a page of the chart's numbers."""
    guard.recheck()  # another page runs only this fragment again
    rows = max(len(values) for values, _ in chart.columns.values())
    number = tables.turn_pages(f"{key}_numeros_pagina", rows, n(*tables.ROWS, rows))
    shown = slice((number - 1) * tables.PAGE_ROWS, number * tables.PAGE_ROWS)
    texts = [
        [formatting.NO_VALUE if pd.isna(value) else write(value) for value in list(values)[shown]]
        for values, write in chart.columns.values()
    ]
    columns = [
        Column(heading, heading, style="right" if place else "")
        for place, heading in enumerate(chart.columns)
    ]
    html_table.draw(columns, list(zip(*texts, strict=True)), f"{key}_numeros_tabela")


def _narrow(key: str, days: tuple[date, ...]) -> None:
    # A point's own x is the middle of its bar, which beside another bar lies in the day before.
    points = st.session_state[key].selection.points
    if points:
        day.choose(days[points[0]["point_index"]])
