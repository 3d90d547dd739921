"""Gráficos: the period by day, weekday and hour, response code, join and distance in time."""

import streamlit as st

from lib import cached, charts, series
from lib.ui import frame, plots
from lib.ui.i18n import t

view = frame.open_page("charts")
found, language = cached.series(view.dataset), plots.language()
if not series.hourly(view.request.period):
    st.caption(t("Clique em um dia de um gráfico para ver só esse dia, hora a hora."))
plots.show(
    {
        "purchases": charts.purchases(found.timeline, language),
        "amount": charts.amount(found.timeline, language),
        "rate": charts.rate(found.timeline, language),
        "joins": charts.joins(found.timeline, language),
        "weekday_and_hour": charts.weekday_and_hour(found.weekdays_and_hours, language),
        "response_codes": charts.response_codes(
            found.response_codes, view.request.rule.approved_codes, language
        ),
        "time_difference": charts.time_difference(
            found.time_difference, found.typical_distance, language
        ),
    }
)
