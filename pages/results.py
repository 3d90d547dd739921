"""Resultados: an engine's stored result for a period too large for memory."""

from lib.engines import result_tables
from lib.ui import page, results, tabs
from lib.ui.i18n import t

site, admission = page.enter("results")
result = results.choose(site, admission)
tab = tabs.show(
    "parte",
    {
        "resumo": t("Resumo"),
        result_tables.DIVERGENCES: t("Divergências"),
        result_tables.CONSOLIDATED: t("Transações consolidadas"),
        result_tables.WITHOUT_LOG: t("Transações sem log"),
        result_tables.DUPLICATES: t("Duplicatas removidas"),
    },
    {name: result.rows(name) for name in result_tables.NAMES},
)
with tab.container:
    results.show(site, result, tab.name)
