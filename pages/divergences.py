"""Divergências: logs without transaction, transactions without log, removed duplicates."""

import streamlit as st

from lib import cached, listings
from lib import columns as c
from lib.ui import details, frame, tables, tabs
from lib.ui.format import whole
from lib.ui.i18n import t

view = frame.open_page("divergences")
with st.grid(4):
    for motivo, count in cached.overview(view.dataset).motivos.items():
        if count or motivo != c.FORA_DA_TOLERANCIA:
            st.metric(motivo, whole(count), border=True, help=details.meaning(motivo))

tab = tabs.show(
    "aba",
    {
        "divergencias": t("Divergências"),
        "sem-log": t("Transações sem log"),
        "duplicatas": t("Duplicatas removidas"),
    },
)
table, filtered, detail = {
    "divergencias": (listings.DIVERGENCES, (c.MOTIVO, c.COD_RESPOSTA), details.divergence),
    "sem-log": (listings.WITHOUT_LOG, (listings.MOTIVO_SEM_LOG,), details.without_log),
    "duplicatas": (listings.DUPLICATES, (listings.MANTIDA,), details.duplicate),
}[tab.name]
with tab.container:
    tables.show(view.dataset, table, filtered, detail)
