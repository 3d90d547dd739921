"""Shows an extraction while it runs, and what to do where it failed.

Expected failures are one sentence and a button; anything else is a sentence here and a traceback
in the server's log.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as StillRunning
from typing import TYPE_CHECKING, Final, NoReturn

import streamlit as st

from lib.domain.errors import AggregatorError
from lib.ui import app_state as sites
from lib.ui.formatting import plain
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lib.dashboard.dataset_store import Dataset, Key, Loading
    from lib.ui.app_state import Site

_POLL_SECONDS: Final = 0.1
_READING: Final = ("transactions", "auth_logs")


def site() -> Site:
    """The configuration or the demonstration, prepared in sight; stops the page on failure."""
    found = sites.find()
    if found is not None:
        return found
    place = st.empty()
    try:
        with place.container(), st.spinner(t("Preparando os dados…"), show_time=True):
            return sites.prepare()
    except AggregatorError as problem:
        failure(problem)
    finally:
        place.empty()


def watch(site: Site, key: Key) -> Dataset:
    """Show the stages of an extraction until it is there; stops the page on failure."""
    loading = site.store.load(site.settings, key)
    place = st.empty()
    while not _done(loading.future):
        # Left as a context, a status turns into a finished one.
        status = place.status(t("Lendo os dados"), expanded=True)
        for line in lines(loading):
            status.markdown(line)
    place.empty()
    problem = loading.future.exception()
    if problem is not None:
        failure(problem, site)
    return loading.future.result()


def lines(loading: Loading) -> list[str]:
    """The stages of a running extraction with their rows, a line each."""
    rows = {stage.name: stage.rows for stage in loading.stages}
    names = {
        "transactions": t("Transações (banco A)"),
        "auth_logs": t("Logs de autenticação (banco B)"),
    }
    reading = "matching" not in rows
    shown = []
    for name in _READING:
        if name not in rows:
            shown.append(t("{side}: conectando…", side=names[name]))
        elif reading:
            shown.append(_read(names[name], rows[name]))
        else:
            shown.append(f"{_read(names[name], rows[name])} ✓")
    if not reading:
        matched = rows["matching"]
        shown.append(n("Conciliando {count} registro…", "Conciliando {count} registros…", matched))
    return shown


def _read(side: str, rows: int) -> str:
    return n("{side}: {count} lido", "{side}: {count} lidos", rows, side=side)


def explanation(problem: BaseException) -> str:
    """One sentence for any failure."""
    if isinstance(problem, AggregatorError):
        return sentence(problem)
    return t(
        "Algo inesperado impediu a leitura dos dados; o registro do servidor diz o quê. "
        "Tente de novo e, se persistir, avise o suporte."
    )


def failure(problem: BaseException, site: Site | None = None) -> NoReturn:
    """The error screen: a sentence, and a button that tries again."""
    st.error(plain(explanation(problem)))
    # The demonstration's servers may be gone; they start with its site.
    again = sites.forget if site and site.demo else None
    st.button(t("Tentar de novo"), type="primary", on_click=again)
    st.stop()


def _done(future: Future[Dataset]) -> bool:
    try:
        future.exception(timeout=_POLL_SECONDS)
    except StillRunning:
        return False
    return True
