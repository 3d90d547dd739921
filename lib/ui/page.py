"""The common beginning of every page: set-up, guard, filters, and the requested data set.

A page calls `open_page` first and draws the view that it returns. Nothing is drawn, read or
computed for a reader whom the guard refuses. Failures and empty periods are shown here, not by the
pages.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.dashboard import dataset_parts
from lib.dashboard.dataset_store import Dataset, Key, Rights
from lib.delivery import diagnosis
from lib.domain.errors import AggregatorError
from lib.domain.requests import Period
from lib.ui import (
    clear_export,
    day,
    downloads,
    export,
    extraction_status,
    filters,
    formatting,
    garbage_collection,
    guard,
    navigation,
    query_params,
    refresh,
    runs,
)
from lib.ui import period as period_filter
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.domain.requests import Request
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

LATEST: Final = "ver_ultimo_periodo"
DEMONSTRATION: Final = (
    "Demonstração: dados fictícios, gerados neste computador. Para ver os seus, rode "
    "python aggregator.py init."
)
OWN: Final = "Usar seus próprios bancos"
NO_LOGS: Final = "O banco B não tem nenhum log de autenticação deste período."
NO_TRANSACTIONS: Final = "O banco A não tem nenhuma transação deste período."
NO_RECORDS_AT_ALL: Final = "Os dois bancos não têm nenhum registro deste estabelecimento até hoje."
NO_RECORDS: Final = "Nenhuma transação e nenhum log de {merchant} em {period}."

Admit = Callable[["Site"], "Admission"]
_STYLE: Final = """<style>
/* Streamlit's captions are too faint to read (4.0 : 1). */
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * { color: inherit; }
[data-testid="stCaptionContainer"] { opacity: 0.8; }
/* White on the dark theme's primary colour would be 2.3 : 1. */
[data-testid^="stBaseButton-primary"], [data-tag], [data-tag] * {
  color: light-dark(#FFFFFF, #11181F);
}
/* The mark of a sparkline's chosen point, before one is chosen: a picture without a name. */
.stMetric [class*="highlighted_points_marks"]:empty { display: none; }
.stMainBlockContainer { padding: 3rem clamp(1rem, 2vw, 3rem) 4rem; }
PRINT</style>""".replace("PRINT", Path(__file__).with_name("print.css").read_text("utf-8"))


@dataclass(frozen=True)
class View:
    """The data set of a page, with its site and the reader's rights.

    ``dataset`` has the chosen day only, if there is one; ``whole`` has the period.
    """

    dataset: Dataset
    whole: Dataset
    site: Site
    rights: Rights

    @property
    def request(self) -> Request:
        """The request of the whole period."""
        return self.whole.key.request

    def beside(self, start: date, end: date) -> Dataset | AggregatorError:
        """Read another period under a spinner; return its data set, or the error."""
        [read] = self.all_beside([(start, end)])
        return read

    def all_beside(self, spans: Sequence[tuple[date, date]]) -> list[Dataset | AggregatorError]:
        """Read other periods at once under a spinner; return the data set or error of each."""
        keys = [self._key_of(start, end) for start, end in spans]
        ready = {key: self.site.store.find(key) for key in keys}
        running = {
            key: self.site.store.load(self.site.settings, key).future
            for key, dataset in ready.items()
            if dataset is None
        }
        name = formatting.span(spans[-1][0], spans[0][1])
        with st.spinner(t("Lendo {period}…", period=name)) if running else nullcontext():
            wait(running.values())
        return [ready[key] or _result(running[key]) for key in keys]

    def _key_of(self, start: date, end: date) -> Key:
        period = Period(start, end, self.request.period.today)
        return Key(replace(self.request, period=period), self.rights)


def _result(read: Future[Dataset]) -> Dataset | AggregatorError:
    problem = read.exception()
    return problem if isinstance(problem, AggregatorError) else read.result()


def enter(name: str, admit: Admit = guard.admit_to_data) -> tuple[Site, Admission]:
    """Set up a page without a data set; stop it for a reader whom the guard refuses."""
    st.set_page_config(page_title=_title(name), page_icon=navigation.ICON, layout="wide")
    navigation.ensure_entered()
    query_params.arrive(name)
    garbage_collection.start()
    st.html(_STYLE)
    st.logo(navigation.LOGO, size="large")
    st.title(navigation.titles()[name], anchor=False)
    site = extraction_status.site()
    admission = admit(site)
    with st.sidebar:
        downloads.deliver()
    return site, admission


def open_page(name: str) -> View:
    """Set up the page and return its view; stop the page if there is nothing to show."""
    return view_for(name, *enter(name))


def view_for(name: str, site: Site, admission: Admission) -> View:
    """Return the view of a page that was entered; stop the page if there is nothing to show."""
    subtitle = st.empty()
    announce(site, admission.merchants)
    runs.banner(site, admission)
    try:
        with st.sidebar:
            request = filters.show(site.settings, admission.merchants, site.today)
    except AggregatorError as problem:
        extraction_status.failure(problem)
    if request.merchant not in admission.merchants:
        guard.refuse(site)
    filters.show_refused()
    subtitle.caption(_subject(admission.merchants[request.merchant], request))
    key = Key(request, admission.rights)
    dataset = site.store.find(key) or extraction_status.watch(site, key)
    with st.sidebar:
        refresh.show(site, dataset)
        export.show(site, dataset)
        clear_export.show(site, admission, request)
    guard.note_view(site, name, dataset)
    _report_emptiness(site, dataset)
    return View(_on_day(dataset), dataset, site, admission.rights)


def announce(site: Site, merchants: Container[str]) -> None:
    """Show the demonstration's banner, or the configuration's warnings about these merchants."""
    if site.demo:
        st.info(t(DEMONSTRATION))
        st.page_link(navigation.path("setup"), label=t(OWN), icon=":material/database:")
        return
    for warning in site.settings.warnings():
        # Other merchants' numbers are not the reader's to know.
        if "cnpj" not in warning.values or warning.values["cnpj"] in merchants:
            st.warning(formatting.sentence(warning))


def _title(name: str) -> str:
    return f"{navigation.titles()[name]} · {navigation.NAME}"


def _subject(merchant: str, request: Request) -> str:
    period = formatting.span(request.period.start, request.period.end)
    return f"{formatting.plain(merchant)} · CNPJ {formatting.cnpj(request.merchant)} · {period}"


def _on_day(dataset: Dataset) -> Dataset:
    """Return the data set of the chosen day, with its chip; without one, the whole data set."""
    whole = dataset.key.request.period
    chosen = day.restore(whole)
    day.show_refused()
    if chosen is None:
        return dataset
    day.chip(chosen, whole)
    return dataset_parts.part(dataset, chosen, chosen)


def _report_emptiness(site: Site, dataset: Dataset) -> None:
    books, period = dataset.outcome.books, dataset.key.request.period
    if books.transactions and books.logs:
        return
    if books.transactions:
        st.warning(t(NO_LOGS))
        return
    if books.logs:
        st.warning(t(NO_TRANSACTIONS))
        return
    st.info(
        t(
            NO_RECORDS,
            merchant=formatting.plain(dataset.outcome.merchant_name),
            period=formatting.span(period.start, period.end),
        )
    )
    _offer_latest(site, dataset)
    st.stop()


def _offer_latest(site: Site, dataset: Dataset) -> None:
    """Offer the period of the same length that ends on the latest day with records."""
    request, period = dataset.key.request, dataset.key.request.period
    first, user = period_filter.FIRST_DAY, dataset.key.rights.reader or None
    try:
        with st.spinner(t("Procurando o último período com dados…")):
            latest: date | None = dataset.derived.get(
                "latest day", lambda: diagnosis.latest_day(site.settings, request, first, user)
            )
    except AggregatorError as problem:
        st.caption(formatting.plain(extraction_status.explanation(problem)))
        return
    if latest is None:
        st.caption(t(NO_RECORDS_AT_ALL))
        return
    start = max(latest - (period.end - period.start), first)
    st.button(
        t("Ver {period}", period=formatting.span(start, latest)),
        key=LATEST,
        on_click=period_filter.narrow,
        args=(start, latest),
    )
