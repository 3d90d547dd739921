"""Figures of the marketing view, compared with the preceding period. Shows sums, no person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from babel import numbers

from lib.analysis import customers
from lib.dashboard import view_cache
from lib.dashboard.dataset_store import Dataset
from lib.ui import formatting, i18n
from lib.ui.formatting import money, percent, whole
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.analysis.customers import Figures, Marketing
    from lib.ui.page import View

COMPARED: Final = "Ao lado do período anterior, {period}."
NOT_READ: Final = "Sem comparação: o período anterior ({period}) não pôde ser lido. {reason}"
NO_PURCHASES: Final = (
    "Sem comparação: o período anterior ({period}) não tem transações consolidadas."
)

_COLUMNS: Final = 4
_VISIBLE: Final = 0.0005


def before(view: View) -> Marketing | None:
    """Read the preceding period of the same length; on failure show a sentence, return None."""
    period = customers.preceding_period(view.request.period)
    name = formatting.span(period.start, period.end)
    dataset = view.beside(period.start, period.end)
    if not isinstance(dataset, Dataset):
        st.warning(formatting.plain(t(NOT_READ, period=name, reason=i18n.sentence(dataset))))
        return None
    marketing = view_cache.marketing_of(dataset)
    if not marketing.figures.purchases:
        st.info(t(NO_PURCHASES, period=name))
        return None
    st.caption(t(COMPARED, period=name))
    return marketing


def metrics(now: Figures, earlier: Figures | None) -> None:
    """Draw the figures, each with its change since the preceding period."""

    def show(label: str, name: str, write: Callable[[Any], str], meaning: str) -> None:
        value, old = getattr(now, name), getattr(earlier, name, None)
        known, points = value is not None and old is not None, write is percent
        change = _change(value, old, points) if known else None
        st.metric(
            label,
            formatting.NO_VALUE if value is None else write(value),
            delta=None if change is None else _written(change, points),
            delta_color="off",
            delta_arrow="auto" if change and abs(change) >= _VISIBLE else "off",
            delta_description=t("antes: {value}", value=write(old)) if known else None,
            help=meaning,
            border=True,
            height="stretch",
        )

    with st.grid(_COLUMNS):
        show(
            t("Clientes"),
            "customers",
            whole,
            t("CPFs diferentes entre as transações consolidadas."),
        )
        show(
            t("Tíquete médio"),
            "average_ticket",
            money,
            t("Valor consolidado dividido pelas transações que têm valor."),
        )
        show(
            t("Compras por cliente"),
            "purchases_per_customer",
            _decimal,
            t("Transações com CPF divididas pelos clientes."),
        )
        show(
            t("Com 2 ou mais compras"),
            "repeat_share",
            percent,
            t("Parte dos clientes com duas compras ou mais no período."),
        )
        show(
            t("Valor dos 10% maiores"),
            "top_decile_share",
            percent,
            t("Parte do valor dos clientes que vem dos 10% que mais gastaram no período."),
        )
        show(
            t("Físico por cliente"),
            "fisico_per_customer",
            _decimal,
            t("Compras de cada cliente, em média, pelo cartão físico."),
        )
        show(
            t("Virtual por cliente"),
            "virtual_per_customer",
            _decimal,
            t("Compras de cada cliente, em média, pelo cartão virtual."),
        )
        show(
            t("Sem CPF"),
            "anonymous",
            whole,
            t("Transações consolidadas de cartões sem titular conhecido; não contam em clientes."),
        )


def _change(now: Any, old: Any, points: bool) -> float | None:
    """The relative change since the old value, or the difference of two shares."""
    if points:
        return float(now - old)
    return float((now - old) / old) if old else None


def _written(change: float, points: bool) -> str:
    """Format a change for st.metric, which reads a minus as a decrease."""
    locale = i18n.language()
    if points:
        number = numbers.format_decimal(100 * change, "+#,##0.0;-#,##0.0", locale)
        return t("{number} p.p.", number=number)
    return numbers.format_percent(change, "+#,##0.0%;-#,##0.0%", locale)


def _decimal(value: float) -> str:
    return numbers.format_decimal(value, "#,##0.00", i18n.language())
