"""The charts of the marketing view, compared with the preceding period if that was read.

Draws the small frames of `lib.analysis.customers` and computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lib.analysis.customers import MOST_PURCHASES
from lib.charts import layout
from lib.charts.layout import (
    Chart,
    Columns,
    Formatter,
    Language,
    draw,
    percent_axis,
    rate_line,
    reliable,
)

_MOST_LABELS: Final = 8

Previous = pd.DataFrame | None
"""The same frame for the preceding period; None if that period was not read."""


def approval_by_hour(hours: pd.DataFrame, previous: Previous, language: Language) -> Chart:
    """Draw `customers.approval` by hour of the day."""
    t = language.t
    labels = [f"{hour}h" for hour in hours["hour"]]
    return _approval(
        hours, previous, labels, language, t("Taxa de aprovação por hora"), t("Hora do dia (h)")
    )


def approval_by_weekday(days: pd.DataFrame, previous: Previous, language: Language) -> Chart:
    """Draw `customers.approval` by weekday."""
    t = language.t
    return _approval(
        days,
        previous,
        language.short_weekdays,
        language,
        t("Taxa de aprovação por dia da semana"),
        t("Dia da semana"),
    )


def frequency(customers: pd.DataFrame, previous: Previous, language: Language) -> Chart:
    """Draw `customers.by_frequency`."""
    t = language.t
    finding = t("Nenhum cliente identificado no período.")
    if customers["customers"].any():
        once = language.percent(customers["share"].iloc[0])
        finding = t("Compraram uma só vez: {share} dos clientes.", share=once)
    labels = [str(n) if n < MOST_PURCHASES else f"{n}+" for n in customers["purchases"]]
    return _shares(
        customers,
        previous,
        (t("Compras de cada cliente"), labels),
        (t("Clientes"), "customers", language.number),
        language,
        finding=finding,
        title=t("Clientes por número de compras"),
        y=t("Clientes (%)"),
    )


def deciles(spent: pd.DataFrame, previous: Previous, language: Language) -> Chart:
    """Draw `customers.by_decile`."""
    t = language.t
    finding = t("Nenhum valor de clientes identificados no período.")
    if spent["share"].notna().any():
        finding = t(
            "O décimo que mais gastou responde por {top} do valor; os cinco que menos, por {rest}.",
            top=language.percent(spent["share"].iloc[0]),
            rest=language.percent(spent["share"].iloc[5:].sum()),
        )
    labels = [t("{n}º", n=n) for n in spent["decile"]]
    return _shares(
        spent,
        previous,
        (t("Décimo dos clientes (1º: maior gasto)"), labels),
        (t("Valor"), "amount", language.money),
        language,
        finding=finding,
        title=t("Valor por décimo dos clientes"),
        y=t("Valor (%)"),
    )


def _approval(
    rates: pd.DataFrame,
    previous: Previous,
    labels: Sequence[str],
    language: Language,
    title: str,
    x: str,
) -> Chart:
    t = language.t
    finding = t("Nenhum log no período.")
    if rates["logs"].any():
        reliable_rates = reliable(rates["rate"], rates["logs"])
        worst, best = int(reliable_rates.argmin()), int(reliable_rates.argmax())
        finding = t(
            "Onde há movimento, de {low} ({worst}) a {high} ({best}); no período todo, {total}.",
            low=language.percent(rates["rate"].iloc[worst]),
            worst=labels[worst],
            high=language.percent(rates["rate"].iloc[best]),
            best=labels[best],
            total=language.percent(rates["approved"].sum() / rates["logs"].sum()),
        )
    traces: list[Any] = []
    columns: Columns = {x: (labels, str)}
    for frame, name, color in _periods(rates, previous, language):
        parts = (frame["rate"], frame["approved"], frame["logs"])
        dash = "dot" if frame is previous else "solid"
        traces.append(
            rate_line(labels, parts, language, name=name, line={"color": color, "dash": dash})
        )
        columns[t("Taxa: {period}", period=name)] = (frame["rate"], language.percent)
        columns[t("Logs: {period}", period=name)] = (frame["logs"], language.number)
    axis = percent_axis(np.concatenate([trace.y for trace in traces]), t("Logs aprovados (%)"))
    ticks = _category_axis(x) | {"dtick": -(-len(labels) // _MOST_LABELS), "tickangle": 0}
    return Chart(draw(traces, language, title, ticks, axis), finding, columns)


def _shares(
    frame: pd.DataFrame,
    previous: Previous,
    axis: tuple[str, Sequence[str]],
    counted: tuple[str, str, Formatter],
    language: Language,
    *,
    finding: str,
    title: str,
    y: str,
) -> Chart:
    """Draw bars of the shares; hover and table also show ``counted`` (heading, column, format)."""
    x, labels = axis
    heading, column, write = counted
    traces: list[Any] = []
    columns: Columns = {x: (labels, str)}
    for part, name, color in _periods(frame, previous, language):
        traces.append(
            go.Bar(
                x=labels,
                y=part["share"],
                name=name,
                marker_color=color,
                customdata=[write(value) for value in part[column]],
                hovertemplate="%{y:.1%} (%{customdata})",
            )
        )
        columns[f"{heading}: {name}"] = (part[column].astype(float), write)
        columns[f"%: {name}"] = (part["share"], language.percent)
    y_axis = {"title": {"text": y}, "tickformat": ".0%"}
    return Chart(draw(traces, language, title, _category_axis(x), y_axis), finding, columns)


def _periods(
    frame: pd.DataFrame, previous: Previous, language: Language
) -> list[tuple[pd.DataFrame, str, str]]:
    """Return each period's frame, name and colour, the current one first."""
    periods = [(frame, language.t("Este período"), layout.CONSOLIDATED)]
    if previous is not None:
        periods.append((previous, language.t("Período anterior"), layout.PREVIOUS))
    return periods


def _category_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "type": "category"}
