"""Clientes: the marketing view of the consolidated purchases, beside the period before."""

import streamlit as st

from lib import cached, customer_charts
from lib.ui import frame, marketing, plots
from lib.ui.i18n import t

view = frame.open_page("customers")
now, place = cached.marketing(view.dataset), st.empty()
# The figures are there at once; the period before may take as long as this one took.
with place.container():
    marketing.metrics(now.figures, None)
before = marketing.before(view)
if before is not None:
    with place.container():
        marketing.metrics(now.figures, before.figures)

language = plots.language()
plots.show(
    {
        "frequency": customer_charts.frequency(
            now.frequency, before and before.frequency, language
        ),
        "tenths": customer_charts.tenths(now.tenths, before and before.tenths, language),
        "approval_by_hour": customer_charts.approval_by_hour(
            now.hours, before and before.hours, language
        ),
        "approval_by_weekday": customer_charts.approval_by_weekday(
            now.weekdays, before and before.weekdays, language
        ),
    }
)
st.caption(
    t("A aprovação conta todos os logs do período, com ou sem transação, e todas as tentativas.")
)
