"""Clientes: the marketing view of the consolidated purchases, beside as many days before."""

import streamlit as st

from lib.charts import customers
from lib.dashboard import view_cache
from lib.ui import chart_view, declines, page
from lib.ui import customers as marketing
from lib.ui.i18n import t

view = page.open_page("customers")
current, placeholder = view_cache.marketing_of(view.dataset), st.empty()
# The figures are shown at once; the days to compare with may have to be extracted.
with placeholder.container():
    marketing.metrics(current.figures, None)
comparison = marketing.compare(view)
if comparison is not None:
    with placeholder.container():
        marketing.metrics(current.figures, comparison)
    current = comparison.now
previous = comparison and comparison.earlier

language = chart_view.language()
chart_view.show(
    {
        "frequency": customers.frequency(
            current.frequency, previous and previous.frequency, language
        ),
        "deciles": customers.deciles(current.deciles, previous and previous.deciles, language),
        "approval_by_hour": customers.approval_by_hour(
            current.hours, previous and previous.hours, language
        ),
        "approval_by_weekday": customers.approval_by_weekday(
            current.weekdays, previous and previous.weekdays, language
        ),
    }
)
st.caption(
    t("A aprovação conta todos os logs do período, com ou sem transação, e todas as tentativas.")
)
declines.show(view)
