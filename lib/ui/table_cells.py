"""Format rows as text in the reader's language, with headers, widths and tooltips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from lib.domain import columns as c
from lib.ui import formatting
from lib.ui.i18n import language, t

ROW_PIXELS: Final = 35
# A page has hundreds of values, so the language is looked up once a column.
_WRITTEN: Final[dict[str, Callable[[Any, str], str]]] = {
    c.DATA_TRANSA: formatting.day,
    c.DATA: formatting.day,
    c.HORA_TRANSA: lambda value, _: formatting.clock(value),
    c.HORA: lambda value, _: formatting.clock(value),
    c.VLR_TOTAL: formatting.money,
    c.DIF_SEGUNDOS: lambda value, spoken: formatting.whole(int(value), spoken),
    c.DES_CNPJ_REDUZIDO: lambda value, _: formatting.cnpj(value),
    # Only words that no sheet has are translated.
    c.MOTIVO_SEM_LOG: lambda value, _: t(value),
    c.MANTIDA: lambda value, _: t(value),
    c.POR_QUE: lambda value, _: t(value),
}
_TO_THE_RIGHT: Final = (c.VLR_TOTAL, c.DIF_SEGUNDOS)
# Long columns, and those with one value, come last: a narrow screen cuts them off.
_AT_THE_END: Final = (c.DES_LOG, c.DES_CNPJ_REDUZIDO)
_WIDTHS: Final = {
    c.NUM_CPF: 100,
    c.NUM_CARTAO: 124,
    c.NUM_CARTAO_VIRTUAL: 134,
    c.DATA_TRANSA: 86,
    c.HORA_TRANSA: 86,
    c.VLR_TOTAL: 94,
    c.COD_RESPOSTA: 92,
    c.TIPO_MATCH: 82,
    c.DIF_SEGUNDOS: 96,
    c.POR_QUE: 275,
    c.MOTIVO: 160,
    c.DES_LOG: 250,
}
_ARROW_WIDTH: Final = 18
_SHORT: Final = 500


def draw(
    rows: pa.Table,
    key: str | None = None,
    sort: str = "",
    *,
    full_height: bool = False,
    **options: Any,
) -> Any:
    """Draw a few rows as a table and return its selection event.

    ``sort`` is the column that the rows are sorted by, with a leading minus if they descend.
    """
    names = rows.column_names
    if full_height:
        options |= {"height": height(len(rows)), "row_height": ROW_PIXELS}
    return st.dataframe(
        formatted(rows),
        key=key,
        hide_index=True,
        placeholder="",
        column_order=_order(names),
        column_config=_configuration(names, sort),
        **options,
    )


def height(rows: int) -> int:
    """The height in pixels of a table with this many rows, header and border included."""
    return (rows + 1) * ROW_PIXELS + 3


def formatted(rows: pa.Table) -> pa.Table:
    """Format the rows as text, NULL as a blank."""
    return pa.table({name: _texts(name, rows.column(name)) for name in rows.column_names})


def _texts(name: str, values: pa.ChunkedArray) -> pa.Array:
    write, spoken = _WRITTEN.get(name, _plain), language()
    return pa.array(
        ["" if value is None else write(value, spoken)[:_SHORT] for value in values.to_pylist()],
        pa.string(),
    )


def _plain(value: Any, _: str) -> str:
    return str(value)


def written(name: str, value: Any) -> str:
    """One value of this column as text."""
    if value is None:
        return ""
    return _WRITTEN.get(name, _plain)(value, language())[:_SHORT]


def label(name: str) -> str:
    """The heading of a column: its name, if a sheet of the report has it."""
    return _labels(language()).get(name, name)


@lru_cache(maxsize=4)
def _labels(_: str) -> dict[str, str]:
    """The headings, cached by language."""
    return {
        c.MOTIVO_SEM_LOG: t("motivo"),
        c.VIRTUAL_MANTIDO: t("num_cartao_virtual da mantida"),
        c.MANTIDA: t("situação da mantida"),
        c.POR_QUE: t("por que a outra ficou"),
    }


def _order(names: list[str]) -> list[str]:
    """Sort the columns into the order of the screen."""
    ending = [name for name in _AT_THE_END if name in names]
    return [name for name in names if name not in ending] + ending


def _configuration(names: Iterable[str], sort: str) -> dict[str, Any]:
    """Headings, widths, tooltips and alignment; an arrow marks the sorted column."""
    arrows = {sort: " ▲"} if not sort.startswith("-") else {sort[1:]: " ▼"}
    widths = {n: width + (_ARROW_WIDTH if n in arrows else 0) for n, width in _WIDTHS.items()}
    return {
        name: st.column_config.TextColumn(
            label(name) + arrows.get(name, ""),
            width=widths.get(name),
            help=_explanations(language()).get(name),
            alignment="right" if name in _TO_THE_RIGHT else None,
        )
        for name in names
    }


@lru_cache(maxsize=4)
def _explanations(_: str) -> dict[str, str]:
    """The columns' tooltips, cached by language."""
    return {
        c.NUM_CPF: t("CPF do titular; só os seis dígitos do meio aparecem."),
        c.NUM_CARTAO: t("Cartão; aparecem os seis primeiros e os quatro últimos dígitos."),
        c.NUM_CARTAO_VIRTUAL: t("Cartão virtual da compra, sem o prefixo."),
        c.DATA_TRANSA: t("Data da transação."),
        c.HORA_TRANSA: t("Hora da transação."),
        c.VLR_TOTAL: t("Valor da transação."),
        c.DES_CNPJ_REDUZIDO: t("CNPJ do estabelecimento."),
        c.DATA: t("Data do log."),
        c.HORA: t("Hora do log."),
        c.COD_RESPOSTA: t("Código de resposta da autenticação."),
        c.DES_LOG: t("Texto do log de autenticação."),
        c.TIPO_MATCH: t("Por qual cartão o log e a transação se encontraram."),
        c.DIF_SEGUNDOS: t(
            "Hora do log menos hora da transação, em segundos; numa divergência, da transação "
            "mais próxima do cartão."
        ),
        c.MOTIVO: t("Por que o log não tem transação."),
        c.MOTIVO_SEM_LOG: t("Por que a transação não tem log."),
        c.VIRTUAL_MANTIDO: t("Cartão virtual da transação que ficou no lugar desta."),
        c.MANTIDA: t("O que houve com a transação que ficou no lugar desta."),
        c.POR_QUE: t("O que a transação que ficou tem e esta não."),
    }
