"""Show a running extraction, or its failure.

An expected failure is shown as one sentence and a button; any other as a general sentence, with a
traceback in the server's log.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as StillRunning
from typing import TYPE_CHECKING, Final, NoReturn

import streamlit as st

from lib.domain.errors import AggregatorError
from lib.domain.requests import SIDES
from lib.ui import app_state
from lib.ui.formatting import plain
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lib.dashboard.dataset_store import Dataset, Key, Loading
    from lib.domain.requests import Side
    from lib.ui.app_state import Site

RETRY: Final = "tentar_de_novo"
TRANSACTIONS: Final = "Transações (banco A)"
AUTH_LOGS: Final = "Logs de autenticação (banco B)"
CONNECTING: Final = "{side}: conectando…"
READ: Final = ("{side}: {count} lido", "{side}: {count} lidos")
MATCHING: Final = ("Conciliando {count} registro…", "Conciliando {count} registros…")
UNEXPECTED: Final = (
    "Algo inesperado impediu a leitura dos dados; o registro do servidor diz o quê. "
    "Tente de novo e, se persistir, avise o suporte."
)

_POLL_SECONDS: Final = 0.1


def site() -> Site:
    """Return the site, prepared under a spinner if necessary; stop the page on failure."""
    current = app_state.find()
    if current is not None:
        return current
    placeholder = st.empty()
    try:
        with placeholder.container(), st.spinner(t("Preparando os dados…"), show_time=True):
            return app_state.prepare()
    except AggregatorError as problem:
        failure(problem)
    finally:
        placeholder.empty()


def watch(site: Site, key: Key) -> Dataset:
    """Show the stages of an extraction until it ends; stops the page on failure."""
    loading = site.store.load(site.settings, key)
    placeholder = st.empty()
    while not _has_ended(loading.future):
        # Not used as a context: its exit marks a status as complete.
        status = placeholder.status(t("Lendo os dados"), expanded=True)
        for line in lines(loading):
            status.markdown(line)
    placeholder.empty()
    problem = loading.future.exception()
    if problem is not None:
        failure(problem, site)
    return loading.future.result()


def side_names() -> dict[Side, str]:
    """Both sides in words."""
    return {"transactions": t(TRANSACTIONS), "auth_logs": t(AUTH_LOGS)}


def lines(loading: Loading) -> list[str]:
    """The stages of a running extraction with their rows, one per line."""
    rows, names = loading.stages, side_names()
    reading = "matching" not in rows
    shown = []
    for name in SIDES:
        if name not in rows:
            shown.append(t(CONNECTING, side=names[name]))
        elif reading:
            shown.append(_read(names[name], rows[name]))
        else:
            shown.append(f"{_read(names[name], rows[name])} ✓")
    if not reading:
        matched = rows["matching"]
        shown.append(n(*MATCHING, matched))
    return shown


def _read(side: str, rows: int) -> str:
    return n(*READ, rows, side=side)


def explanation(problem: BaseException) -> str:
    """One sentence for any failure."""
    if isinstance(problem, AggregatorError):
        return sentence(problem)
    return t(UNEXPECTED)


def failure(problem: BaseException, site: Site | None = None) -> NoReturn:
    """Show the error screen: a sentence, and a button that tries again. Stops the page."""
    st.error(plain(explanation(problem)))
    # The demonstration's servers may be gone; they start with its site.
    retry = app_state.forget if site and site.demo else None
    st.button(t("Tentar de novo"), key=RETRY, type="primary", on_click=retry)
    st.stop()


def _has_ended(future: Future[Dataset]) -> bool:
    try:
        future.exception(timeout=_POLL_SECONDS)
    except StillRunning:
        return False
    return True
