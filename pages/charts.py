"""Gráficos: the period by day, weekday and hour, response code, join and time difference."""

import streamlit as st

from lib.analysis import time_series
from lib.charts import period
from lib.dashboard import view_cache
from lib.ui import chart_view, page
from lib.ui.i18n import t

view = page.open_page("charts")
series, language = view_cache.series_of(view.dataset), chart_view.language()
if not time_series.is_hourly(view.request.period):
    st.caption(t("Clique em um dia de um gráfico para ver só esse dia, hora a hora."))
chart_view.show(
    {
        "purchases": period.purchases(series.timeline, language),
        "amount": period.amount(series.timeline, language),
        "rate": period.rate(series.timeline, language),
        "joins": period.joins(series.timeline, language),
        "weekday_and_hour": period.weekday_and_hour(series.weekdays_and_hours, language),
        "response_codes": period.response_codes(
            series.response_codes, view.request.rule.approved_codes, language
        ),
        "time_difference": period.time_difference(
            series.time_difference, series.median_distance, language
        ),
    }
)
