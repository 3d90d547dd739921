"""Figures of the marketing view, compared with as many whole days before. Shows sums, no person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from babel import numbers

from lib.analysis import periods
from lib.dashboard import dataset_parts, view_cache
from lib.dashboard.dataset_store import Dataset
from lib.ui import formatting, i18n
from lib.ui.formatting import money, percent, whole
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.analysis.customers import Figures, Marketing
    from lib.domain.errors import AggregatorError
    from lib.domain.requests import Period
    from lib.ui.page import View

COMPARED: Final = "Comparação e gráficos: {now}, ao lado de {earlier}; só dias completos."
NOT_READ: Final = "Sem comparação: o período anterior ({period}) não pôde ser lido. {reason}"
NO_PURCHASES: Final = (
    "Sem comparação: o período anterior ({period}) não tem transações consolidadas."
)
BEFORE: Final = "antes: {old}"
FROM_TO: Final = "Nos dias completos: de {old} para {new}."
NO_WHOLE_DAY: Final = "Sem comparação: o dia de hoje ainda não terminou."

_COLUMNS: Final = 4
_VISIBLE: Final = 0.0005


@dataclass(frozen=True)
class Comparison:
    """The figures of the whole days on show, and of as many whole days some weeks earlier."""

    now: Marketing
    earlier: Marketing
    of_part: bool
    """True where the days on show are not all whole."""


def compare(view: View) -> Comparison | None:
    """Read the days to compare with; without them show a sentence and return None."""
    shown = view.dataset.outcome.reconciliation.period
    days, past = periods.whole(shown), periods.compared(shown)
    if days is None or past is None:
        st.info(t(NO_WHOLE_DAY))
        return None
    name = formatting.span(past.start, past.end)
    dataset = _read(view, days, past)
    if not isinstance(dataset, Dataset):
        st.warning(formatting.plain(t(NOT_READ, period=name, reason=i18n.sentence(dataset))))
        return None
    earlier = view_cache.marketing_of(dataset)
    if not earlier.figures.purchases:
        st.info(t(NO_PURCHASES, period=name))
        return None
    st.caption(t(COMPARED, now=formatting.span(days.start, days.end), earlier=name))
    now = view_cache.marketing_of(dataset_parts.part(view.dataset, days.start, days.end))
    return Comparison(now, earlier, days != shown)


def _read(view: View, days: Period, past: Period) -> Dataset | AggregatorError:
    """Read the past days as the days on show were: alone, or as a day of a longer period."""
    if view.dataset is view.whole:
        return view.beside(past.start, past.end)
    period = periods.shifted(view.request.period, (days.start - past.start).days // 7)
    whole = view.beside(period.start, period.end)
    if not isinstance(whole, Dataset):
        return whole
    return dataset_parts.part(whole, past.start, past.end)


def metrics(current: Figures, comparison: Comparison | None) -> None:
    """Draw the figures, each with its change between the whole days that are compared."""
    now = comparison.now.figures if comparison else None
    earlier = comparison.earlier.figures if comparison else None
    partial = comparison is not None and comparison.of_part

    def show(label: str, name: str, write: Callable[[Any], str], meaning: str) -> None:
        value, points = getattr(current, name), write is percent
        new, old = getattr(now, name, None), getattr(earlier, name, None)
        known = new is not None and old is not None
        change = _change(new, old, points) if known else None
        help_text, before = meaning, ""
        if known:
            before = t(BEFORE, old=write(old))
        if known and partial:
            # Today is in the figure, but in no comparison.
            # The card is too narrow for two amounts with R$.
            short: Callable[[Any], str] = _decimal if write is money else write
            before = f"{short(old)} → {short(new)}"
            help_text += " " + t(FROM_TO, old=write(old), new=write(new))
        st.metric(
            label,
            formatting.NO_VALUE if value is None else write(value),
            delta=None if change is None else _written(change, points),
            delta_color="off",
            delta_arrow="auto" if change and abs(change) >= _VISIBLE else "off",
            delta_description=before if known else None,
            help=help_text,
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
