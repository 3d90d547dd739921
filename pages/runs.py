"""Execuções: the recorded runs, their trend, and their kept reports."""

import streamlit as st

from lib.ui import page, runs
from lib.ui.i18n import t

site, admission = page.enter("runs")
page.announce(site)
runs.banner(site, admission)
recorded = runs.read(site, admission)
if not recorded:
    st.info(t("Nenhuma execução registrada ainda."))
    st.stop()
runs.trend(recorded)
selected = runs.table(recorded, site.settings.zone)
if selected is not None:
    runs.detail(selected, site, admission)
