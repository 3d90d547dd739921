"""Resumo, the landing page: what needs analysis and how complete the data are, then the figures."""

import streamlit as st

from lib.dashboard import view_cache
from lib.ui import cases_summary, overview, page, same_weekdays, source_check
from lib.ui.i18n import t

view = page.open_page("overview")
figures, outcome = view_cache.overview_of(view.dataset), view.dataset.outcome
whole = view.whole.outcome
overview.attention(figures, outcome.books, outcome.reconciliation)
cases_summary.show(view)
unusual = st.container()
overview.reach(view_cache.overview_of(view.whole), whole.reconciliation)
of_day = view.dataset is not view.whole
st.header(t("Resultado do dia") if of_day else t("Resultado do período"), anchor=False)
overview.metrics(figures, outcome.books)
overview.balance(outcome.books)
overview.by_day(whole.by_day, whole.books, outcome.request.period)
overview.why_longer_finds_more(view.request.rule)
source_check.check(view)
# Last, as the weeks before may have to be extracted.
with unusual:
    same_weekdays.show(view)
