"""Divergências: logs without transaction, transactions without log, removed duplicates."""

import streamlit as st

from lib import cached, listings
from lib import columns as c
from lib.reconciliation import CARD
from lib.ui import details, frame, tables, tabs
from lib.ui.format import whole
from lib.ui.i18n import t

view = frame.open_page("divergences")
counts = cached.overview(view.dataset).motivos
if view.request.rule.name == CARD:
    counts = {name: count for name, count in counts.items() if name != c.FORA_DA_TOLERANCIA}
with st.grid(len(counts)):
    for motivo, count in counts.items():
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
    "divergencias": (
        listings.divergences(view.request.rule),
        (c.MOTIVO, c.COD_RESPOSTA),
        details.divergence,
    ),
    "sem-log": (listings.WITHOUT_LOG, (listings.MOTIVO_SEM_LOG,), details.without_log),
    "duplicatas": (listings.DUPLICATES, (listings.MANTIDA,), details.duplicate),
}[tab.name]
with tab.container:
    tables.show(view.dataset, table, filtered, detail)
