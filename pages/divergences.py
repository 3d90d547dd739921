"""Divergências: logs without transaction, transactions without log, removed duplicates."""

import streamlit as st

from lib.analysis import table_schemas
from lib.dashboard import view_cache
from lib.domain import columns as c
from lib.domain.requests import CARD
from lib.ui import case_columns, page, record_details, tables, tabs
from lib.ui.formatting import whole
from lib.ui.i18n import t

view = page.open_page("divergences")
books = view.dataset.outcome.books
counts = view_cache.overview_of(view.dataset).motivos
if view.request.rule.name == CARD:
    counts = {name: count for name, count in counts.items() if name != c.FORA_DA_TOLERANCIA}
with st.grid(len(counts)):
    for motivo, count in counts.items():
        st.metric(t(motivo), whole(count), border=True, help=record_details.meaning(motivo))

tab = tabs.show(
    "aba",
    {
        "divergencias": t("Divergências"),
        "sem-log": t("Transações sem log"),
        "duplicatas": t("Duplicatas removidas"),
    },
    {
        "divergencias": books.divergences,
        "sem-log": books.without_log,
        "duplicatas": books.duplicates,
    },
)
table, filtered, detail = {
    "divergencias": (
        table_schemas.divergences(view.request.rule),
        (c.MOTIVO, c.COD_RESPOSTA),
        record_details.divergence,
    ),
    "sem-log": (
        table_schemas.WITHOUT_LOG,
        (c.MOTIVO_SEM_LOG,),
        record_details.without_log,
    ),
    "duplicatas": (table_schemas.DUPLICATES, (c.MANTIDA,), record_details.duplicate),
}[tab.name]
with tab.container:
    tables.show(view.dataset, table, filtered, detail, case_columns.of_table(view, table))
