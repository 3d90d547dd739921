"""Acompanhamento: the cases of a merchant across periods, by age and owner, and their marks.

Owns the board's filters, its selection and its pages. Every rerun checks the reader's rights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import streamlit as st

from lib.analysis import table_query
from lib.delivery import case_queries
from lib.delivery.case_filters import Filter
from lib.delivery.case_pages import Sort
from lib.delivery.case_queries import AGES
from lib.domain import cases
from lib.domain import columns as c
from lib.domain.errors import AggregatorError
from lib.ui import (
    case_details,
    case_form,
    case_words,
    filter_input,
    guard,
    html_table,
    query_params,
    record_details,
    tables,
)
from lib.ui.case_selection import Selection
from lib.ui.formatting import plain, whole
from lib.ui.html_table import Column
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from lib.delivery.case_queries import Case, Counts
    from lib.ui.case_scope import Scope

NO_CASES: Final = (
    "Nenhuma execução julgou casos deste estabelecimento ainda: eles aparecem depois do primeiro "
    "relatório gerado por aggregator.py run."
)
NONE_FOUND: Final = "Nenhum caso com esta busca e estes filtros."
SINCE: Final = "Último relatório: {moment}."
OWN_ROWS: Final = (
    "Com row_level_security, aparecem só os casos das suas linhas no período escolhido."
)
FLIPS: Final = (
    "Pela regra Cartão, um caso no começo do período pode fechar e voltar enquanto o período anda, "
    "se o par fica a vários dias."
)

OUTSIDE: Final = ("{count} fora da janela", "{count} fora da janela")

BOARD: Final = "casos"
SHOW: Final = "casos_mostrar"
AGE: Final = "casos_idade"
OWNER: Final = "casos_de"
MARK: Final = "casos_marca"
SEARCH: Final = "casos_busca"
ORDER: Final = "casos_ordem"
PAGE: Final = "casos_pagina"
OPENED: Final = "casos_aberto"
SELECTION: Final = Selection("casos")
_OF: Final = "casos_de_quem"
_ROW: Final = "um"

_STATES: Final = {
    "abertos": (cases.NEW, cases.OPEN),
    "novos": (cases.NEW,),
    "resolvidos": (cases.MATCHED, cases.MISSING),
}
_NOBODY: Final = "-"
_UNMARKED: Final = "-"
_UNSETTLED: Final = [_UNMARKED, cases.IN_ANALYSIS]
_SORTS: Final = get_args(Sort)


def show(scope: Scope) -> None:
    """Draw the merchant's figures, the filters and the found cases."""
    st.fragment(_draw)(scope)


def _draw(scope: Scope) -> None:
    guard.recheck()
    try:
        _board(scope)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))


def _board(scope: Scope) -> None:
    if st.session_state.get(_OF) != scope.merchant:
        _forget()
        st.session_state[_OF] = scope.merchant
    counts = case_queries.counts(scope.path, scope.merchant, scope.today, scope.zone, scope.keys)
    if counts.at is None:
        st.info(t(NO_CASES))
        return
    st.caption(t(SINCE, moment=plain(case_words.moment(counts.at, scope))))
    if scope.by_rows:
        st.caption(t(OWN_ROWS))
    _metrics(counts, scope)
    query = _filters(counts, scope)
    _found(scope, query, list(counts.owners))
    st.caption(t(FLIPS))


def _metrics(counts: Counts, scope: Scope) -> None:
    outside = n(*OUTSIDE, counts.outside) if counts.outside else None
    figures = (
        (t("Novos"), whole(counts.new), None),
        (t("Resolvidos sozinhos"), whole(counts.resolved), None),
        (t("Abertos"), whole(counts.open), outside),
        (t("O mais antigo"), case_words.oldest(counts, scope.site), None),
    )
    with st.grid(len(figures)):
        for label, value, below in figures:
            st.metric(
                label,
                value,
                below,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
            )


def _filters(counts: Counts, scope: Scope) -> Filter:
    """Draw the filters and return the reader's question."""
    _restore(counts)
    again: dict[str, Any] = {"on_change": _to_first_page, "persist_state": "session"}
    ages = {
        str(index): f"{case_words.bucket(index)} ({whole(number)})"
        for index, number in enumerate(counts.by_age)
    }
    st.pills(t("Idade"), list(ages), key=AGE, format_func=ages.__getitem__, **again)
    shown = {
        "abertos": t("Abertos"),
        "novos": t("Novos"),
        "resolvidos": t("Resolvidos sozinhos"),
    }
    owners = {"": t("Todos"), _NOBODY: t("Sem responsável")}
    marks = {_UNMARKED: None, **{name: name for name in cases.STATUSES}}
    words = {value: case_words.status(name) for value, name in marks.items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            t("Buscar"),
            key=SEARCH,
            placeholder=t("Cartão, CPF, código, mensagem, responsável"),
            width=300,
            persist_state="session",
            on_change=_search,
        )
        st.selectbox(
            t("Mostrar"), list(shown), key=SHOW, format_func=shown.__getitem__, width=190, **again
        )
        st.selectbox(
            t("Responsável"),
            [*owners, *counts.owners],
            key=OWNER,
            format_func=lambda name: owners.get(name, name),
            width=220,
            **again,
        )
        filter_input.several(t("Marca"), words, MARK, 300, on_change=_to_first_page)
    _publish()
    state = st.session_state
    chosen = state[MARK]
    age, owner = state.get(AGE), state[OWNER]
    return Filter(
        states=_STATES[state[SHOW]],
        statuses=tuple(marks[value] for value in chosen) if chosen else None,
        owners=None if not owner else (None if owner == _NOBODY else owner,),
        first_seen=(
            (None, None)
            if age is None
            else case_queries.age_bounds(AGES[int(age)], scope.today, scope.zone)
        ),
        search=state[SEARCH],
        keys=scope.keys,
    )


def _restore(counts: Counts) -> None:
    state, known = st.session_state, {"", _NOBODY, *counts.owners}
    query_params.restore_one(SHOW, _STATES)
    query_params.restore_one(AGE, {str(index) for index in range(len(AGES))})
    query_params.restore_one(OWNER, known)
    query_params.restore_some(MARK, (_UNMARKED, *cases.STATUSES))
    query_params.restore(SEARCH, SEARCH, lambda texts: table_query.clean_search(texts[0]))
    state.setdefault(SHOW, "abertos")
    state.setdefault(MARK, list(_UNSETTLED))
    state.setdefault(SEARCH, "")
    if state.get(OWNER) not in known:
        state[OWNER] = ""
    if state.get(ORDER, "").removeprefix("-") not in _SORTS:
        state[ORDER] = "-moment"


def _publish() -> None:
    state = st.session_state
    query_params.publish(
        {
            SHOW: None if state[SHOW] == "abertos" else state[SHOW],
            AGE: state.get(AGE),
            OWNER: state[OWNER],
            MARK: None if state[MARK] == _UNSETTLED else state[MARK],
            SEARCH: state[SEARCH],
        }
    )


def _found(scope: Scope, query: Filter, owners: list[str]) -> None:
    order: str = st.session_state[ORDER]
    sort, descending = cast(Sort, order.removeprefix("-")), order.startswith("-")
    read = partial(
        case_queries.find, scope.path, scope.merchant, query, sort=sort, descending=descending
    )
    number = max(int(st.session_state.get(PAGE, 1)), 1)
    found = read(offset=(number - 1) * tables.PAGE_ROWS, limit=tables.PAGE_ROWS)
    shown = tables.turn_pages(PAGE, found.total, case_words.count(found.total))
    if shown != number:
        found = read(offset=(shown - 1) * tables.PAGE_ROWS, limit=tables.PAGE_ROWS)
    filters = "; ".join(
        f"{name} = {value}"
        for name, value in vars(replace(query, keys=None)).items()
        if value not in (None, "") and name != "search"
    )
    guard.note_cases(scope.site, "cases", scope.merchant, query.search, filters)
    find = partial(case_queries.versions, scope.path, scope.merchant, query)
    SELECTION.show(scope, found.total, find, owners)
    if not found.cases:
        st.info(t(NONE_FOUND))
        return
    seen = [(case.key, case.version) for case in found.cases]
    html_table.draw(
        _columns(order),
        [_row(case, scope) for case in found.cases],
        f"{BOARD}_linhas",
        label=t("Casos"),
        hint=t("Clique em uma linha, ou pressione Enter nela, para ver os detalhes."),
        selected=SELECTION.ticked([key for key, _ in seen]),
        on_open=lambda at: _open(found.cases[at].key),
        on_sort=_sort,
        on_select=partial(SELECTION.tick, seen) if scope.may_mark else None,
    )
    _opened(scope, owners)


def _opened(scope: Scope, owners: list[str]) -> None:
    """Draw the dialog of the opened case, if the reader may see it."""
    key: str | None = st.session_state.get(OPENED)
    if key is None or (scope.keys is not None and key not in scope.keys):
        return
    case = case_queries.by_key(scope.path, scope.merchant, [key]).get(key)
    if case is None:
        return
    names = {cases.LOG: t("Log"), cases.TRANSACTION: t("Transação")}
    draw = st.dialog(names[case.kind], width="large", on_dismiss=lambda: _open(None))(_dialog)
    draw(scope, case, owners)


def _dialog(scope: Scope, case: Case, owners: list[str]) -> None:
    guard.recheck()
    case = case_queries.by_key(scope.path, scope.merchant, [case.key]).get(case.key, case)
    record_details.values(
        {name: case_words.written(name, text) for name, text in case.values.items()}
    )
    case_details.show(f"{BOARD}_{_ROW}", scope, case, owners)


def _open(key: str | None) -> None:
    st.session_state[OPENED] = key
    case_form.close(f"{BOARD}_{_ROW}")


def _sort(name: str) -> None:
    if name in _SORTS:
        st.session_state[ORDER] = f"-{name}" if st.session_state[ORDER] == name else name
        _to_first_page()


def _search() -> None:
    st.session_state[SEARCH] = table_query.clean_search(st.session_state[SEARCH])
    _to_first_page()


def _to_first_page() -> None:
    st.session_state[PAGE] = 1
    SELECTION.clear()


def _forget() -> None:
    """Forget selection and dialogs, which are of another merchant."""
    st.session_state.pop(OPENED, None)
    SELECTION.clear()


def _columns(order: str) -> list[Column]:
    situation, age, owner = case_words.columns()
    columns = [
        replace(situation, name="status"),
        replace(age, name="first_seen"),
        replace(owner, name="owner"),
        Column("kind", t("Registro")),
        Column("moment", t("Data e hora")),
        Column("card", t("Cartão")),
        Column("amount", t("Valor"), style="right"),
        Column("reason", t("Motivo")),
        Column("text", t("Resposta e mensagem"), style="long"),
    ]
    return html_table.sorted_by(columns, order)


def _row(case: Case, scope: Scope) -> list[str]:
    def value(name: str) -> str:
        return case_words.written(name, case.values.get(name))

    is_log = case.kind == cases.LOG
    day, hour = (c.DATA, c.HORA) if is_log else (c.DATA_TRANSA, c.HORA_TRANSA)
    return [
        *case_words.cells(case, scope),
        t("Log") if is_log else t("Transação"),
        f"{value(day)} {value(hour)}".strip(),
        value(c.NUM_CARTAO),
        value(c.VLR_TOTAL),
        t(case.motivo) if case.motivo else "",
        " · ".join(filter(None, (value(c.COD_RESPOSTA), value(c.DES_LOG)))),
    ]
