"""The pages of the dashboard, their titles and addresses, and the one way to run them.

On a freshly started server Streamlit runs a page of the `pages` folder without the entry when its
address is opened first. A page finds that out by `entered` and has the entry run instead.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from lib.config import ROOT
from lib.ui.i18n import t

NAME: Final = "Marketing Data Aggregator"
ICON: Final = "💳"

_ENTERED: Final = "_entered"
_SENT_BACK: Final = "_sent_back"


def run() -> None:
    """What the entry does: declare the pages and run the one that is asked for."""
    st.session_state[_ENTERED] = True
    st.session_state.pop(_SENT_BACK, None)
    _declare().run()


def ensure_entered() -> None:
    """Have the entry run where it did not; once, as some test runners have no entry at all."""
    if st.session_state.pop(_ENTERED, False) or st.session_state.get(_SENT_BACK):
        return
    st.session_state[_SENT_BACK] = True
    _declare()
    st.rerun()


def titles() -> dict[str, str]:
    """The title of each page by its file's name, the landing page first."""
    return {
        "overview": t("Resumo"),
        "consolidated": t("Transações consolidadas"),
        "divergences": t("Divergências"),
        "charts": t("Gráficos"),
        "customers": t("Clientes"),
    }


def path(name: str) -> str:
    """The file of a page, for links to it."""
    return str(ROOT / "pages" / f"{name}.py")


def _declare() -> st.Page:
    names = titles()
    pages = [
        st.Page(path(name), title=title, url_path=name, default=number == 0)
        for number, (name, title) in enumerate(names.items())
    ]
    # The landing page's own name leads to it as well.
    landing = next(iter(names))
    alias = st.Page(path(landing), title=names[landing], url_path=landing, visibility="hidden")
    return st.navigation([*pages, alias])
