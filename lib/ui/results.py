"""Show stored results of the engines: figures, charts, pages of rows.

Reads the manifest, the counted columns and the visible rows. Does not offer results in clear, of
other merchants, or of a site with row-level security.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st

from lib.analysis import time_series
from lib.analysis.overview import Overview, daily
from lib.charts import period as charts
from lib.domain import columns as c
from lib.domain.errors import AggregatorError, ReportError
from lib.domain.requests import Request
from lib.engines import parquet_result, result_index, result_query, result_tables
from lib.ui import (
    chart_view,
    file_export,
    formatting,
    guard,
    overview,
    query_params,
    row_downloads,
    table_cells,
    table_filters,
    tables,
)
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from pyarrow.compute import Expression

    from lib.engines.parquet_result import Result
    from lib.engines.result_query import Filters
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

NO_RESULT: Final = "Nenhum resultado de período grande para mostrar."
REPLACED: Final = "Este resultado acaba de ser substituído; recarregue a página."
UNREADABLE: Final = "Não foi possível ler os arquivos deste resultado; confira as permissões."
BAD_RESULT: Final = (
    "O endereço tem um resultado que não existe, ou que você não pode ver; esta página mostra o "
    "mais recente."
)

_CHOSEN: Final = "resultado"
_FILTERED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    result_tables.DIVERGENCES: {c.MOTIVO: c.MOTIVOS, c.COD_RESPOSTA: ()},
    result_tables.CONSOLIDATED: {c.TIPO_MATCH: (c.FISICO, c.VIRTUAL), c.COD_RESPOSTA: ()},
    result_tables.WITHOUT_LOG: {c.MOTIVO: c.WITHOUT_LOG_REASONS},
    result_tables.DUPLICATES: {c.POR_QUE: c.DUPLICATE_REASONS},
}

_UNREADABLE: Final = (OSError, ValueError, KeyError, pa.ArrowException)


def choose(site: Site, admission: Admission) -> Result:
    """Return the result that the reader selects among those they may see; without any, stop."""
    results = {result.version: result for result in _readable(site, admission)}
    if not results:
        st.info(t(NO_RESULT))
        st.stop()
    query_params.restore_one(_CHOSEN, results)
    if st.session_state.get(_CHOSEN) not in results:
        st.session_state[_CHOSEN] = next(iter(results))
    if query_params.refused(_CHOSEN):
        st.warning(t(BAD_RESULT))
    with st.sidebar:
        st.selectbox(
            t("Resultado a mostrar"),
            list(results),
            format_func=lambda version: _title(results[version]),
            key=_CHOSEN,
            persist_state="session",
        )
    chosen = results[st.session_state[_CHOSEN]]
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


def show(site: Site, result: Result, part: str) -> None:
    """Draw the summary of a result, or one of its tables."""
    if part in result_tables.NAMES:
        st.fragment(_table)(site, result, part)
    else:
        with _reading():
            _summary(site, result)


def _summary(site: Site, result: Result) -> None:
    """Draw the figures, the books and the charts by day."""
    guard.note_result(site, result, "", "", "")
    figures = Overview(
        **daily(result.days, result.period),
        motivos=result.motivos,
        latest_transaction=None,
        latest_log=None,
        days_without_transactions=(),
        days_without_logs=(),
    )
    overview.metrics(figures, result.books)
    overview.balance(result.books)
    language, timeline = chart_view.language(), _timeline(str(result.folder), result.version)
    drawn = {
        "purchases": charts.purchases(timeline, language),
        "amount": charts.amount(timeline, language),
        "rate": charts.rate(timeline, language),
        "joins": charts.joins(timeline, language),
        "response_codes": charts.response_codes(
            result.codes.to_pandas(), result.rule.approved_codes, language
        ),
    }
    # A click on a day would read that day from the databases.
    chart_view.show({f"resultado_{key}": replace(chart, days=()) for key, chart in drawn.items()})


def _table(site: Site, result: Result, name: str) -> None:
    """Draw one table, fifty rows at a time, with its search, filters and download."""
    guard.recheck()  # a filter or another page runs only this fragment again
    key = table_filters.Keys(f"resultado_{name}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = table_filters.search_field(key, result_tables.schema(name))
        chosen = _filters(result, name)
    filters = "; ".join(f"{k}={','.join(v)}" for k, v in chosen)
    guard.note_result(site, result, name, search, filters)
    with _reading():
        counts = _counts(str(result.folder), result.version, name, search, chosen)
    rows, of = sum(counts), result.rows(name)
    total = n(*tables.ROWS, rows)
    if search or chosen:
        total = t(tables.OF_ALL_ROWS, count=total, of=formatting.whole(of))
    condition = result_query.condition(name, search, chosen)
    offer = partial(
        row_downloads.Offer,
        table=name,
        request=Request(result.merchant, result.period, result.rule),
        merchant_name=result.merchant_name,
        extracted_at=result.extracted_at,
        rows=rows,
        of=of,
        parts=partial(_parts, result, name, condition),
        search=search,
        filters=row_downloads.filters_in_words([(_screen_name(name, k), v) for k, v in chosen]),
        order=t(table_filters.NEWEST_FIRST),
        asked={"page": "results", "table": name, "filters": filters},
    )
    download = partial(row_downloads.show, key["baixar"], rows, offer)
    number = tables.turn_pages(key["pagina"], rows, total, download)
    file_export.follow(row_downloads.SLOT)
    if not rows:
        st.info(t(tables.NO_MATCH))
        return
    undated = sum(
        count for piece, count in zip(result.pieces[name], counts, strict=True) if piece.day is None
    )

    def read(start: int, count: int) -> pa.Table:
        if condition is not None:
            return result.filtered(name, condition, start, count, counts)
        return result.page(name, start, count)

    with _reading():
        page = _newest_first(read, rows - undated, (number - 1) * tables.PAGE_ROWS)
    table_cells.draw(_as_on_screen(name, page).to_pydict(), key["linhas"])


def _parts(result: Result, name: str, condition: Expression | None) -> Iterator[pa.Table]:
    """Yield the rows to download, in the order shown. Raises ReportError."""
    try:
        for part in result.newest_first(name, condition):
            yield _as_on_screen(name, part)
    except FileNotFoundError as problem:
        raise ReportError(REPLACED) from problem
    except _UNREADABLE as problem:
        raise ReportError(UNREADABLE) from problem


def _as_on_screen(name: str, table: pa.Table) -> pa.Table:
    return table.rename_columns([_screen_name(name, column) for column in table.column_names])


def _newest_first(read: Callable[[int, int], pa.Table], dated: int, start: int) -> pa.Table:
    """Read the page at ``start`` of the reversed order of the sheet, rows without a date last."""
    some = max(0, min(tables.PAGE_ROWS, dated - start))
    page = read(dated - start - some, some)
    page = page.take(np.arange(len(page))[::-1])
    rest = read(max(start, dated), tables.PAGE_ROWS - some)
    return pa.concat_tables([page, rest.cast(page.schema)]) if len(rest) else page


@contextmanager
def _reading() -> Iterator[None]:
    """Stop the page with a sentence where the files were replaced or cannot be read."""
    try:
        yield
    except FileNotFoundError:
        st.info(t(REPLACED))
        st.stop()
    except _UNREADABLE:
        st.error(t(UNREADABLE))
        st.stop()


def _filters(result: Result, name: str) -> Filters:
    """Draw the table's filters and return the chosen values by column."""
    chosen = []
    for column, choices in _FILTERED[name].items():
        known = choices or tuple(result.codes["code"].to_pylist())
        key = f"resultado_{name}_{column}"
        picked = table_filters.choose_values(_screen_name(name, column), known, key, 240)
        if picked:
            chosen.append((column, tuple(sorted(picked))))
    return tuple(chosen)


def _screen_name(name: str, column: str) -> str:
    return result_tables.ON_SCREEN.get(name, {}).get(column, column)


def _readable(site: Site, admission: Admission) -> list[Result]:
    if site.demo or site.settings.row_level_security:
        return []
    results = [_opened(folder, _stamp(folder)) for folder in result_index.folders(site.settings)]
    return [r for r in results if r and not r.clear and r.merchant in admission.merchants]


def _stamp(folder: Path) -> object:
    try:
        status = (folder / result_index.MANIFEST).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=result_index.MOST)
def _opened(folder: Path, stamp: object) -> Result | None:
    """The result of this manifest, or None if it cannot be read."""
    try:
        return parquet_result.open_result(folder)
    except AggregatorError:
        return None


def _title(result: Result) -> str:
    period = formatting.span(result.period.start, result.period.end)
    return f"{result.merchant_name} · {period} · {result.rule.name}"


@st.cache_data(max_entries=200, show_spinner=False)
def _counts(folder: str, version: str, name: str, search: str, chosen: Filters) -> tuple[int, ...]:
    result = _reopened(folder, version)
    condition = result_query.condition(name, search, chosen)
    if condition is not None:
        return result.counts(name, condition)
    return tuple(piece.rows for piece in result.pieces[name])


@st.cache_data(max_entries=50, show_spinner=False)
def _timeline(folder: str, version: str) -> pd.DataFrame:
    """`time_series.timeline` from the manifest and two columns of the consolidated rows."""
    result = _reopened(folder, version)
    days = result.days.drop_null().to_pandas()
    joins = result.joins()
    consolidated, without_log = days["consolidated"].to_numpy(), days["without_log"].to_numpy()
    columns: dict[str, Any] = {
        "at": pd.to_datetime(days["day"]),
        "consolidated": consolidated,
        "divergences": days["divergences"].to_numpy(),
        "without_log": without_log,
        "rate": time_series.share(consolidated, consolidated + without_log),
        "amount": days["amount_consolidated"],
    }
    for name, join in (("fisico", c.FISICO), ("virtual", c.VIRTUAL)):
        of_day = [joins.get((day, join), (0, 0)) for day in days["day"]]
        columns[name] = np.array([rows for rows, _ in of_day])
        columns[f"amount_{name}"] = pd.Series([amount for _, amount in of_day], dtype=object)
    return time_series.condensed(pd.DataFrame(columns))


def _reopened(folder: str, version: str) -> Result:
    """The result. Raises FileNotFoundError where another version has replaced it."""
    result = parquet_result.open_result(Path(folder))
    if result.version != version:
        raise FileNotFoundError
    return result
