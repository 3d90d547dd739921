"""The charts of the marketing view, each period beside the one before it where that was read.

Pure: takes the small frames of `lib.analysis.customers` and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lib.analysis.customers import MANY
from lib.charts import layout
from lib.charts.layout import (
    Chart,
    Columns,
    Language,
    Write,
    draw,
    percent_axis,
    rate_line,
    reliable,
)

_LABELS: Final = 8

Before = pd.DataFrame | None
"""The same frame of the period before, None where it could not be read."""


def approval_by_hour(hours: pd.DataFrame, before: Before, language: Language) -> Chart:
    """The approval rate of `customers.approval` by hour of the day."""
    t = language.t
    labels = [f"{hour}h" for hour in hours["hour"]]
    return _approval(
        hours, before, labels, language, t("Taxa de aprovação por hora"), t("Hora do dia (h)")
    )


def approval_by_weekday(days: pd.DataFrame, before: Before, language: Language) -> Chart:
    """The approval rate of `customers.approval` by weekday."""
    t = language.t
    labels = language.short_weekdays
    return _approval(
        days, before, labels, language, t("Taxa de aprovação por dia da semana"), t("Dia da semana")
    )


def frequency(customers: pd.DataFrame, before: Before, language: Language) -> Chart:
    """How often the customers of `customers.by_frequency` bought."""
    t = language.t
    finding = t("Nenhum cliente identificado no período.")
    if customers["customers"].any():
        once = language.percent(customers["share"].iloc[0])
        finding = t("Compraram uma só vez: {share} dos clientes.", share=once)
    labels = [str(n) if n < MANY else f"{n}+" for n in customers["purchases"]]
    traces, columns = _shares(
        customers, before, labels, (t("Clientes"), "customers", language.number), language
    )
    x = t("Compras de cada cliente")
    figure = draw(
        traces,
        language,
        t("Clientes por número de compras"),
        _labels(x),
        _share_axis(t("Clientes (%)")),
    )
    return Chart(figure, finding, {x: (labels, str)} | columns)


def deciles(spent: pd.DataFrame, before: Before, language: Language) -> Chart:
    """What each tenth of the customers of `customers.by_decile` spent."""
    t = language.t
    finding = t("Nenhum valor de clientes identificados no período.")
    if spent["share"].notna().any():
        finding = t(
            "O décimo que mais gastou responde por {top} do valor; os cinco que menos, por {rest}.",
            top=language.percent(spent["share"].iloc[0]),
            rest=language.percent(spent["share"].iloc[5:].sum()),
        )
    labels = [t("{n}º", n=n) for n in spent["tenth"]]
    traces, columns = _shares(
        spent, before, labels, (t("Valor"), "amount", language.money), language
    )
    x = t("Décimo dos clientes (1º: quem mais gastou)")
    figure = draw(
        traces,
        language,
        t("Valor por décimo dos clientes"),
        _labels(x),
        _share_axis(t("Valor (%)")),
    )
    return Chart(figure, finding, {x: (labels, str)} | columns)


def _approval(
    rates: pd.DataFrame,
    before: Before,
    labels: Sequence[str],
    language: Language,
    title: str,
    x: str,
) -> Chart:
    t = language.t
    finding = t("Nenhum log no período.")
    if rates["logs"].any():
        told = reliable(rates["rate"], rates["logs"])
        worst, best = int(told.argmin()), int(told.argmax())
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
    for frame, name, color in _periods(rates, before, language):
        parts = (frame["rate"], frame["approved"], frame["logs"])
        dash = "dot" if frame is before else "solid"
        traces.append(
            rate_line(labels, parts, language, name=name, line={"color": color, "dash": dash})
        )
        columns[t("Taxa: {period}", period=name)] = (frame["rate"], language.percent)
        columns[t("Logs: {period}", period=name)] = (frame["logs"], language.number)
    every = np.concatenate([trace.y for trace in traces])
    axis = percent_axis(every, t("Logs aprovados (%)"))
    ticks = _labels(x) | {"dtick": -(-len(labels) // _LABELS), "tickangle": 0}
    return Chart(draw(traces, language, title, ticks, axis), finding, columns)


def _shares(
    frame: pd.DataFrame,
    before: Before,
    labels: Sequence[str],
    counted: tuple[str, str, Write],
    language: Language,
) -> tuple[list[Any], Columns]:
    """Bars of the shares, the counted column in hover and table."""
    heading, column, write = counted
    traces: list[Any] = []
    columns: Columns = {}
    for part, name, color in _periods(frame, before, language):
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
    return traces, columns


def _periods(
    frame: pd.DataFrame, before: Before, language: Language
) -> list[tuple[pd.DataFrame, str, str]]:
    """Each period's frame, name and colour, this one first."""
    found = [(frame, language.t("Este período"), layout.CONSOLIDATED)]
    if before is not None:
        found.append((before, language.t("Período anterior"), layout.PREVIOUS))
    return found


def _labels(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "type": "category"}


def _share_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "tickformat": ".0%"}
