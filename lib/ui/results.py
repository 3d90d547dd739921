"""What screens show of the results that engines left as Parquet: figures, charts, pages of rows.

Read-only. Reads the manifest, and of the files the columns that are counted and the rows on show.
Results in clear, of other merchants or of a site whose databases keep rows apart stay closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, reduce
from operator import and_, or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import streamlit as st

from lib.analysis import time_series
from lib.analysis.overview import Overview
from lib.charts import period as charts
from lib.domain import columns as c
from lib.domain.errors import AggregatorError
from lib.engines import parquet_result as engine_results
from lib.engines import result_index, result_tables
from lib.ui import chart_view, formatting, guard, overview, query_params, table_cells
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.engines.parquet_result import Result
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

PAGE_ROWS: Final = 50
_ROW_PIXELS: Final = 35
_CHOSEN: Final = "resultado"
# Columns of the files that a screen calls otherwise.
_NAMES: Final = {
    result_tables.WITHOUT_LOG: {c.MOTIVO: c.MOTIVO_SEM_LOG},
    result_tables.DUPLICATES: {c.SOBREVIVENTE_VIRTUAL: c.VIRTUAL_MANTIDO},
}
_FILTERED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    result_tables.DIVERGENCES: {c.MOTIVO: c.MOTIVOS, c.COD_RESPOSTA: ()},
    result_tables.CONSOLIDATED: {c.TIPO_MATCH: (c.FISICO, c.VIRTUAL), c.COD_RESPOSTA: ()},
    result_tables.WITHOUT_LOG: {c.MOTIVO: c.WITHOUT_LOG_REASONS},
    result_tables.DUPLICATES: {c.POR_QUE: c.DUPLICATE_REASONS},
}

_Words = tuple[tuple[str, tuple[str, ...]], ...]


def choose(site: Site, admission: Admission) -> Result:
    """The result that the reader picks of those they may see; stops where there is none."""
    found = {result.version: result for result in _readable(site, admission)}
    if not found:
        st.info(t("Nenhum resultado de execução grande para mostrar."))
        st.stop()
    query_params.restore(_CHOSEN, _CHOSEN, lambda texts: texts[0] if texts[0] in found else None)
    if st.session_state.get(_CHOSEN) not in found:
        st.session_state[_CHOSEN] = next(iter(found))
    with st.sidebar:
        st.selectbox(
            t("Resultado a mostrar"),
            list(found),
            format_func=lambda version: _named(found[version]),
            key=_CHOSEN,
            persist_state="session",
        )
    chosen = found[st.session_state[_CHOSEN]]
    query_params.publish({_CHOSEN: chosen.version})
    st.caption(
        t(
            "{merchant} · CNPJ {cnpj} · {period} · regra {rule} · lido em {moment}",
            merchant=formatting.plain(chosen.merchant_name),
            cnpj=formatting.cnpj(chosen.merchant),
            period=formatting.span(chosen.period.start, chosen.period.end),
            rule=formatting.plain(chosen.rule.name),
            moment=formatting.instant(chosen.extracted_at),
        )
    )
    return chosen


def show(site: Site, found: Result, part: str) -> None:
    """The summary of a result, or one of its tables."""
    if part in result_tables.NAMES:
        st.fragment(_table)(site, found, part)
    else:
        with _in_place():
            _summary(site, found)


def _summary(site: Site, found: Result) -> None:
    """The figures, the books and the charts by day."""
    guard.note_result(site, found, "", "")
    days = found.days[found.days["day"].notna()]
    figures = Overview(
        transactions=tuple(map(int, days["transactions"])),
        consolidated=tuple(map(int, days["consolidated"])),
        divergences=tuple(map(int, days["divergences"])),
        amount=tuple(days["amount_consolidated"]),
        motivos=found.motivos,
        latest_transaction=None,
        latest_log=None,
        days_without_transactions=(),
        days_without_logs=(),
    )
    overview.metrics(figures, found.books)
    overview.balance(found.books)
    language, timeline = chart_view.language(), _timeline(str(found.folder), found.version)
    drawn = {
        "purchases": charts.purchases(timeline, language),
        "amount": charts.amount(timeline, language),
        "rate": charts.rate(timeline, language),
        "joins": charts.joins(timeline, language),
        "response_codes": charts.response_codes(found.codes, found.rule.approved_codes, language),
    }
    # A day's click would ask the databases for that day.
    chart_view.show({f"resultado_{key}": replace(chart, days=()) for key, chart in drawn.items()})


def _table(site: Site, found: Result, name: str) -> None:
    """One table, fifty rows at a time, with its filters."""
    guard.recheck()  # only this fragment runs again where somebody filters or turns a page
    wanted = _filters(found, name)
    guard.note_result(site, found, name, "; ".join(f"{k}={','.join(v)}" for k, v in wanted))
    with _in_place():
        counts = _counts(str(found.folder), found.version, name, wanted)
    rows = sum(counts)
    pages, key = max(1, -(-rows // PAGE_ROWS)), f"resultado_{name}_pagina"
    number = min(st.session_state.get(key, 1), pages)
    if number != st.session_state.get(key, 1):
        st.session_state[key] = number
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(n("{count} linha", "{count} linhas", rows))
        if pages > 1:
            st.pagination(pages, key=key, width=340, persist_state="session")
    if not rows:
        st.info(t("Nenhuma linha com esta busca e estes filtros."))
        return
    start = (number - 1) * PAGE_ROWS
    with _in_place():
        if wanted:
            page = found.found(name, _expression(wanted), start, PAGE_ROWS, counts)
        else:
            page = found.page(name, start, PAGE_ROWS)
    names = [_called(name, column) for column in page.column_names]
    shown = table_cells.formatted(page.rename_columns(names))
    st.dataframe(
        shown,
        key=f"resultado_{name}_linhas",
        hide_index=True,
        height=(len(shown) + 1) * _ROW_PIXELS + 3,
        row_height=_ROW_PIXELS,
        column_order=table_cells.order(names),
        column_config=table_cells.configuration(names, ""),
        placeholder="",
    )


@contextmanager
def _in_place() -> Iterator[None]:
    """Say so where a newer result took the place of the files being read, or they stay closed."""
    try:
        yield
    except FileNotFoundError:
        st.info(t("Este resultado acaba de ser substituído; recarregue a página."))
        st.stop()
    except OSError:
        st.error(t("Não foi possível ler os arquivos deste resultado; confira as permissões."))
        st.stop()


def _filters(found: Result, name: str) -> _Words:
    """Draw them; what is chosen, by column."""
    chosen = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for column, words in _FILTERED[name].items():
            known, called = words or tuple(found.codes["code"]), _called(name, column)
            said = {word: table_cells.written(called, word) or t("(em branco)") for word in known}
            picked = st.multiselect(
                table_cells.label(called),
                known,
                key=f"resultado_{name}_{column}",
                format_func=said.__getitem__,
                placeholder=t("Todos"),
                width=240,
                persist_state="session",
            )
            if picked:
                chosen.append((column, tuple(sorted(picked))))
    return tuple(chosen)


def _called(name: str, column: str) -> str:
    return _NAMES.get(name, {}).get(column, column)


def _expression(wanted: _Words) -> Any:
    """The rows that have one of the words in each column; a blank word is for NULL as well."""

    def either(name: str, words: tuple[str, ...]) -> Any:
        field = pc.field(name)
        return reduce(or_, [field == word if word else field.is_null() for word in words])

    return reduce(and_, [either(name, words) for name, words in wanted])


def _readable(site: Site, admission: Admission) -> list[Result]:
    if site.demo or site.settings.row_level_security:
        return []
    found = [_opened(folder, _stamp(folder)) for folder in result_index.folders(site.settings)]
    return [r for r in found if r and not r.clear and r.merchant in admission.merchants]


def _stamp(folder: Path) -> object:
    try:
        told = (folder / result_index.MANIFEST).stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_ino


@lru_cache(maxsize=result_index.MOST)
def _opened(folder: Path, stamp: object) -> Result | None:
    """The result of this manifest, None where it cannot be read."""
    try:
        return engine_results.open_result(folder)
    except AggregatorError:
        return None


def _named(found: Result) -> str:
    period = formatting.span(found.period.start, found.period.end)
    return f"{found.merchant_name} · {period} · {found.rule.name}"


@st.cache_data(max_entries=200, show_spinner=False)
def _counts(folder: str, version: str, name: str, wanted: _Words) -> tuple[int, ...]:
    found = _opened_again(folder, version)
    if wanted:
        return found.counts(name, _expression(wanted))
    return tuple(piece.rows for piece in found.pieces[name])


@st.cache_data(max_entries=50, show_spinner=False)
def _timeline(folder: str, version: str) -> pd.DataFrame:
    """As `series.timeline`, out of the manifest and two columns of the consolidated rows."""
    found = _opened_again(folder, version)
    days = found.days[found.days["day"].notna()].reset_index(drop=True)
    joins = found.joins()
    good, without = days["consolidated"].to_numpy(), days["without_log"].to_numpy()
    columns: dict[str, Any] = {
        "at": pd.to_datetime(days["day"]),
        "consolidated": good,
        "divergences": days["divergences"].to_numpy(),
        "without_log": without,
        "rate": time_series.share(good, good + without),
        "amount": days["amount_consolidated"],
    }
    for name, word in (("fisico", c.FISICO), ("virtual", c.VIRTUAL)):
        of_day = [joins.get((day, word), (0, 0)) for day in days["day"]]
        columns[name] = np.array([rows for rows, _ in of_day])
        columns[f"amount_{name}"] = pd.Series([amount for _, amount in of_day], dtype=object)
    return pd.DataFrame(columns)


def _opened_again(folder: str, version: str) -> Result:
    """Raises FileNotFoundError where another version is there by now."""
    found = engine_results.open_result(Path(folder))
    if found.version != version:
        raise FileNotFoundError
    return found
