"""Resultados: what an engine left of a period too large for memory, straight from its files."""

from lib.engines import tables
from lib.ui import frame, results, tabs
from lib.ui.i18n import t

site, admission = frame.enter("results")
found = results.choose(site, admission)
tab = tabs.show(
    "parte",
    {
        "resumo": t("Resumo"),
        tables.DIVERGENCES: t("Divergências"),
        tables.CONSOLIDATED: t("Transações consolidadas"),
        tables.WITHOUT_LOG: t("Transações sem log"),
        tables.DUPLICATES: t("Duplicatas removidas"),
    },
)
with tab.container:
    results.show(site, found, tab.name)
