"""The pages of the dashboard: titles, addresses, and the dispatch to the requested page.

If a session opens a page's address first, Streamlit runs that file of the `pages` folder without
the entry script, unless `lib.ui.server_lifecycle` has disabled that. `ensure_entered` then runs the
entry script instead.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from lib.config.settings import ROOT
from lib.engines import result_index
from lib.ui import app_state, guard
from lib.ui.i18n import t

NAME: Final = "Marketing Data Aggregator"
ICON: Final = "💳"
# Two overlapping cards, inline as nothing is fetched; the blue suits light and dark themes.
LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 286 32" height="32">'
    '<rect x="1" y="9" width="26" height="18" rx="3" fill="#E69F00"/>'
    '<rect x="9" y="4" width="26" height="18" rx="3" fill="#3A8FC4"/>'
    '<rect x="9" y="8.500" width="26" height="3.500" fill="#11181F" opacity=".55"/>'
    '<text x="44" y="21" font-family="sans-serif" font-size="16.500" font-weight="600" '
    'fill="#3A8FC4">Marketing Data Aggregator</text></svg>'
)

_LANDING: Final = "overview"
_ENTERED: Final = "_entered"
_SENT_BACK: Final = "_sent_back"
_GUESSED: Final = "_guessed"


def run() -> None:
    """Declare the pages and run the requested one. The entry script calls only this."""
    st.session_state[_ENTERED] = True
    st.session_state.pop(_SENT_BACK, None)
    page = _declare()
    if page.url_path == _LANDING:
        # The hidden page of that name has no entry in the menu to mark.
        parameters = {name: st.query_params.get_all(name) for name in st.query_params}
        st.switch_page(path(_LANDING), query_params=parameters)
    try:
        page.run()
    finally:
        # The first page of a server reads the configuration, which decides what the menu offers.
        # Not within the page: its widgets would take other identities than in its next run.
        if st.session_state.pop(_GUESSED, None) not in (None, _offered()):
            _declare()


def ensure_entered() -> None:
    """Run the entry script if it did not run; only once, as some test runners have none."""
    if st.session_state.pop(_ENTERED, False) or st.session_state.get(_SENT_BACK):
        return
    st.session_state[_SENT_BACK] = True
    _declare()
    st.rerun()


def titles() -> dict[str, str]:
    """The title of each page, by file name, the landing page first."""
    return {
        "overview": t("Resumo"),
        "consolidated": t("Transações consolidadas"),
        "divergences": t("Divergências"),
        "cases": t("Acompanhamento"),
        "charts": t("Gráficos"),
        "customers": t("Clientes"),
        "results": t("Resultados"),
        "merchants": t("Estabelecimentos"),
        "runs": t("Execuções"),
        "audit": t("Auditoria"),
        "setup": t("Seus bancos"),
    }


def path(name: str) -> str:
    """The path of a page's file, for links to it."""
    return str(ROOT / "pages" / f"{name}.py")


def _offered() -> list[str]:
    """The names of the pages in the menu.

    The audit for auditors only (the page itself refuses others), results where there are any, the
    merchants for readers of more than one, or before the server knows its readers, and the way to
    one's own databases in the demonstration.
    """
    site = app_state.find()
    hidden = {
        "setup": not (site and site.demo),
        "results": not (site and result_index.folders(site.settings)),
        "merchants": site is not None and guard.merchants() < 2,
        "audit": not guard.is_auditor(),
    }
    return [name for name in titles() if not hidden.get(name)]


def _declare() -> st.Page:
    guessed, offered = app_state.find() is None, _offered()
    st.session_state[_GUESSED] = offered if guessed else None
    landing, *others = titles().items()
    return st.navigation(
        [
            # The landing page, at the root address; the hidden page below has its named address.
            st.Page(path(landing[0]), title=landing[1], url_path="inicio", default=True),
            *(
                st.Page(
                    path(name),
                    title=title,
                    url_path=name,
                    visibility="visible" if name in offered else "hidden",
                )
                for name, title in others
            ),
            st.Page(path(landing[0]), title=landing[1], url_path=landing[0], visibility="hidden"),
        ]
    )
