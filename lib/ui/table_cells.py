"""Format rows as text in the reader's language, with headings in words and their tooltips.

A tooltip ends with the column's name in the report, which the workbook keeps as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from lib.domain import columns as c
from lib.domain import response_codes
from lib.ui import formatting, html_table
from lib.ui.html_table import Column
from lib.ui.i18n import catalogue, language, t


@lru_cache(maxsize=1024)
def _response(code: str, spoken: str) -> str:
    """The code with its meaning, if it has one: 51 · saldo ou limite insuficiente."""
    meaning = response_codes.MEANINGS.get(code)
    return f"{code} · {catalogue(spoken).gettext(meaning)}" if meaning else code


def _clock(value: Any, _: str) -> str:
    return formatting.clock(value)


def _word(value: str, spoken: str) -> str:
    return catalogue(spoken).gettext(value)


# A page has hundreds of values, so the language is looked up once a column.
_WRITTEN: Final[dict[str, Callable[[Any, str], str]]] = {
    c.DATA_TRANSA: formatting.day,
    c.DATA: formatting.day,
    c.HORA_TRANSA: _clock,
    c.HORA: _clock,
    c.VLR_TOTAL: formatting.money,
    c.DIF_SEGUNDOS: lambda value, _: formatting.seconds(int(value)),
    c.DES_CNPJ_REDUZIDO: lambda value, _: formatting.cnpj(value),
    c.COD_RESPOSTA: _response,
    # The screen translates the contract's words; files and stored values keep them.
    c.TIPO_MATCH: _word,
    c.MOTIVO: _word,
    c.MOTIVO_SEM_LOG: _word,
    c.MANTIDA: _word,
    c.POR_QUE: _word,
}
_STYLES: Final[dict[str, Literal["right", "short", "long"]]] = {
    c.VLR_TOTAL: "right",
    c.DIF_SEGUNDOS: "right",
    c.COD_RESPOSTA: "short",
    c.POR_QUE: "short",
    c.DES_LOG: "long",
}
# Long columns, and those with one value, come last: a narrow screen cuts them off.
_AT_THE_END: Final = (c.DES_LOG, c.DES_CNPJ_REDUZIDO)
_SHORT: Final = 500


def draw(
    rows: Mapping[str, Sequence[Any]],
    key: str | None = None,
    sort: str = "",
    *,
    beside: tuple[list[Column], list[list[str]]] | None = None,
    **events: Any,
) -> None:
    """Draw a few rows, their values by column, as a table.

    ``sort`` is the column that the rows are sorted by, with a leading minus if they descend.
    ``beside`` are other columns and their texts, drawn before the last columns. ``events`` are
    those of `html_table.draw`.
    """
    names, spoken = on_screen(list(rows)), language()
    columns = list(_columns(tuple(names), sort, spoken))
    texts = [_texts(name, rows[name], spoken) for name in names]
    if beside is not None:
        at = next((i for i, name in enumerate(names) if name in _AT_THE_END), len(names))
        columns[at:at], texts[at:at] = beside[0], map(list, zip(*beside[1], strict=True))
    html_table.draw(columns, list(zip(*texts, strict=True)), key, **events)


def _texts(name: str, values: Sequence[Any], spoken: str) -> list[str]:
    """Format a column's values as text, None as a blank."""
    write = _WRITTEN.get(name, _plain)
    return ["" if v is None else write(v, spoken)[:_SHORT] for v in values]


def _plain(value: Any, _: str) -> str:
    return str(value)


def written(name: str, value: Any) -> str:
    """One value of this column as text."""
    if value is None:
        return ""
    return _WRITTEN.get(name, _plain)(value, language())[:_SHORT]


def choice(name: str, value: str) -> str:
    """A value of this column among those to choose from, where a blank has a name too."""
    return written(name, value) or t("(em branco)")


def label(name: str) -> str:
    """The heading of a column in words."""
    return _labels(language()).get(name, name)


def tooltip(name: str) -> str:
    """The explanation of a column, with its name in the report."""
    explanation = _explanations(language()).get(name, "")
    return f"{explanation} ({name})".strip()


def on_screen(names: Sequence[str]) -> list[str]:
    """Sort the columns into the order of the screen."""
    ending = [name for name in _AT_THE_END if name in names]
    return [name for name in names if name not in ending] + ending


@lru_cache(maxsize=256)
def _columns(names: tuple[str, ...], sort: str, _: str) -> tuple[Column, ...]:
    """The columns with their headings, cached by language."""
    columns = [Column(name, label(name), tooltip(name), _STYLES.get(name, "")) for name in names]
    return tuple(html_table.sorted_by(columns, sort))


@lru_cache(maxsize=4)
def _labels(_: str) -> dict[str, str]:
    """The headings, cached by language."""
    return {
        c.NUM_CPF: t("CPF"),
        c.NUM_CARTAO: t("Cartão"),
        c.NUM_CARTAO_VIRTUAL: t("Cartão virtual"),
        c.DATA_TRANSA: t("Data"),
        c.HORA_TRANSA: t("Hora"),
        c.VLR_TOTAL: t("Valor"),
        c.DES_CNPJ_REDUZIDO: t("CNPJ"),
        c.DATA: t("Data"),
        c.HORA: t("Hora"),
        c.COD_RESPOSTA: t("Resposta"),
        c.DES_LOG: t("Mensagem"),
        c.TIPO_MATCH: t("Encontrado por"),
        c.DIF_SEGUNDOS: t("Diferença"),
        c.MOTIVO: t("Motivo"),
        c.MOTIVO_SEM_LOG: t("Motivo"),
        c.VIRTUAL_MANTIDO: t("Virtual da mantida"),
        c.MANTIDA: t("Situação da mantida"),
        c.POR_QUE: t("Por que a outra ficou"),
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
