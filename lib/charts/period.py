"""The charts of the period: title, figure and finding of each.

Draws the small frames of `lib.analysis.time_series` and `lib.analysis.books` and computes nothing
itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lib.analysis.time_series import HOURS
from lib.charts import layout
from lib.charts.layout import (
    Chart,
    Columns,
    Language,
    TimeAxis,
    draw,
    percent_axis,
    rate_line,
    reliable,
)

_MOST_CODES: Final = 10
_COUNTS: Final = ("matched", "divergences")


def purchases(timeline: pd.DataFrame, language: Language) -> Chart:
    """Draw consolidated transactions beside divergences, by day or hour."""
    t, number, time = language.t, language.number, TimeAxis.of(timeline["at"], language)
    consolidated, divergent = timeline["consolidated"], timeline["divergences"]
    finding = t("Nenhuma divergência no período.")
    if divergent.any():
        finding = t(
            "Mais divergências {when}: {count}, de um total de {total}.",
            when=time.when(int(divergent.argmax())),
            count=number(divergent.max()),
            total=number(divergent.sum()),
        )
    return time.chart(
        t("Consolidadas e divergências {by}", by=time.by),
        {"title": {"text": t("Registros")}},
        [
            time.bar(consolidated, t("Consolidadas"), layout.CONSOLIDATED),
            time.bar(divergent, t("Divergências"), layout.DIVERGENT),
        ],
        finding,
        {
            t("Consolidadas"): (consolidated, number),
            t("Divergências"): (divergent, number),
            t("Sem log"): (timeline["without_log"], number),
        },
    )


def amount(timeline: pd.DataFrame, language: Language) -> Chart:
    """Draw the amount of the consolidated transactions."""
    t, money, time = language.t, language.money, TimeAxis.of(timeline["at"], language)
    values = timeline["amount"].astype(float)
    finding = t("Nenhum valor consolidado no período.")
    if values.any():
        finding = t(
            "Maior valor {when}: {amount}, de um total de {total}.",
            when=time.when(int(values.argmax())),
            amount=money(values.max()),
            total=money(sum(timeline["amount"])),
        )
    name = t("Valor consolidado")
    return time.chart(
        t("Valor consolidado {by}", by=time.by),
        {"title": {"text": t("Valor (R$)")}},
        [time.bar(values, name, layout.CONSOLIDATED, "R$ %{y:,.2f}")],
        finding,
        {name: (values, money)},
    )


def rate(timeline: pd.DataFrame, language: Language) -> Chart:
    """Draw the consolidated share of the purchases."""
    t, number, time = language.t, language.number, TimeAxis.of(timeline["at"], language)
    rates, consolidated = timeline["rate"], timeline["consolidated"]
    purchases = consolidated + timeline["without_log"]
    finding = t("Nenhuma transação no período.")
    if purchases.any():
        reliable_rates = reliable(rates, purchases)
        finding = t(
            "Onde há movimento, menor taxa {when}: {rate}; no período todo, {total}.",
            when=time.when(int(reliable_rates.argmin())),
            rate=language.percent(reliable_rates.min()),
            total=language.percent(consolidated.sum() / purchases.sum()),
        )
    name = t("Taxa de consolidação")
    color = {"color": layout.CONSOLIDATED}
    line = rate_line(time.x, (rates, consolidated, purchases), language, name=name, line=color)
    return time.chart(
        t("Taxa de consolidação {by}", by=time.by),
        percent_axis(rates, t("Consolidadas / transações (%)")),
        [line],
        finding,
        {
            name: (rates, language.percent),
            t("Consolidadas"): (consolidated, number),
            t("Transações"): (purchases, number),
        },
    )


def joins(timeline: pd.DataFrame, language: Language) -> Chart:
    """Draw consolidated transactions by the card, physical or virtual, of their log."""
    t, number, time = language.t, language.number, TimeAxis.of(timeline["at"], language)
    fisico, virtual = timeline["fisico"], timeline["virtual"]
    total, amount = fisico.sum() + virtual.sum(), float(sum(timeline["amount"]))
    finding = t("Nenhuma transação consolidada no período.")
    if total:
        share = float(sum(timeline["amount_virtual"])) / amount if amount else 0.0
        finding = t(
            "Pelo cartão virtual: {count} das transações e {amount} do valor.",
            count=language.percent(virtual.sum() / total),
            amount=language.percent(share),
        )
    return time.chart(
        t("Físico e virtual {by}", by=time.by),
        {"title": {"text": t("Transações consolidadas")}},
        [
            time.bar(fisico, t("Físico"), layout.FISICO),
            time.bar(virtual, t("Virtual"), layout.VIRTUAL),
        ],
        finding,
        {
            t("Físico"): (fisico, number),
            t("Virtual"): (virtual, number),
            t("Valor físico"): (timeline["amount_fisico"].astype(float), language.money),
            t("Valor virtual"): (timeline["amount_virtual"].astype(float), language.money),
        },
        barmode="stack",
    )


def weekday_and_hour(cells: pd.DataFrame, language: Language) -> Chart:
    """Draw the heat map of `time_series.by_weekday_and_hour`: mean purchases per day."""
    t, number = language.t, language.number
    finding = t("Nenhuma transação consolidada com horário nos dias completos do período.")
    if cells["transactions"].any():
        peak = cells.iloc[int(cells["mean"].argmax())]
        finding = t(
            "Mais compras: {weekday}, {hour}h (média de {mean}, em dias completos).",
            weekday=language.weekdays[int(peak["weekday"])],
            hour=int(peak["hour"]),
            mean=number(round(float(peak["mean"]), 1)),
        )
    shown = cells[cells["days"] > 0].reset_index(drop=True)
    grid = (shown["weekday"].nunique(), HOURS)
    counts = [number(count) for count in shown["transactions"]]
    days = [language.n("{count} dia", "{count} dias", int(count)) for count in shown["days"]]
    heat = go.Heatmap(
        z=shown["mean"].to_numpy().reshape(grid),
        x=shown["hour"].unique(),
        y=[language.short_weekdays[day] for day in shown["weekday"].unique()],
        customdata=np.dstack([np.reshape(texts, grid) for texts in (counts, days)]),
        xgap=1,
        ygap=1,
        colorbar={"title": {"text": t("por dia")}, "thickness": 10},
        hovertemplate=t(
            "{weekday}, {hour}h: {mean} por dia ({count} em {days})",
            weekday="%{y}",
            hour="%{x}",
            mean="%{z:,.1f}",
            count="%{customdata[0]}",
            days="%{customdata[1]}",
        )
        + "<extra></extra>",
    )
    figure = draw(
        [heat],
        language,
        t("Compras por dia da semana e hora"),
        {"title": {"text": t("Hora do dia (h)")}, "dtick": 3},
        {"title": {"text": t("Dia da semana")}, "autorange": "reversed", "type": "category"},
        hovermode="closest",
        margin=layout.MARGIN | {"b": 76, "l": 90, "r": 82},
    )
    columns: Columns = {
        t("Dia da semana"): ([language.weekdays[day] for day in shown["weekday"]], str),
        t("Hora do dia (h)"): (shown["hour"], str),
        t("Transações"): (shown["transactions"], number),
        t("Média por dia"): (shown["mean"].round(1), number),
    }
    return Chart(figure, finding, columns)


def response_codes(codes: pd.DataFrame, approved: Collection[str], language: Language) -> Chart:
    """Draw `books.by_response_code`, the most frequent code at the top."""
    t, number = language.t, language.number
    total = codes["matched"] + codes["divergences"]
    labels = [code or t("sem código") for code in codes["code"]]
    declined = total[~codes["code"].isin(approved)]
    finding = t("Nenhum log no período.")
    if len(codes):
        share = language.percent(1 - declined.sum() / total.sum())
        finding = t("Aprovados: {share} dos logs; nenhuma recusa.", share=share)
        if len(declined):
            most = int(declined.argmax())
            finding = t(
                "Aprovados: {share} dos logs; recusa mais comum: {code} ({count}).",
                share=share,
                code=labels[int(declined.index[most])],
                count=number(declined.iloc[most]),
            )
    bars = [
        go.Bar(
            x=codes[column][:_MOST_CODES],
            y=[layout.inert(label) for label in labels[:_MOST_CODES]],
            name=name,
            orientation="h",
            marker_color=color,
            text=[number(value) for value in total[:_MOST_CODES]] if text else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x:,d}",
        )
        for column, name, color, text in (
            (_COUNTS[0], t("Com transação"), layout.CONSOLIDATED, False),
            (_COUNTS[1], t("Divergências"), layout.DIVERGENT, True),
        )
    ]
    figure = draw(
        bars,
        language,
        t("Logs por código de resposta"),
        {"title": {"text": t("Logs")}, "tickformat": ",d", "range": [0, 1.2 * max([*total, 1])]},
        {"title": {"text": t("Código")}, "type": "category", "autorange": "reversed"},
        barmode="stack",
        hovermode="y unified",
        # On a phone the legend needs the width that the usual margin takes.
        margin={"t": 72, "b": 0, "l": 0, "r": 12},
    )
    counts = {bar.name: (codes[side], number) for bar, side in zip(bars, _COUNTS, strict=True)}
    return Chart(figure, finding, {t("Código"): (labels, str), **counts})


def time_difference(bins: pd.DataFrame, median: float | None, language: Language) -> Chart:
    """Draw `time_series.time_difference`; values beyond the axis are bars at its ends."""
    t, number = language.t, language.number
    low, high = bins["low"].to_numpy(dtype=float), bins["high"].to_numpy(dtype=float)
    far = np.isinf(low) | np.isinf(high)
    width = float((high - low)[~far][0]) if len(bins) else 1.0
    size, unit, symbol = layout.unit_of_time(width, t)
    # Bars of one second are centred on their number, wider ones between their two limits.
    middle = (np.where(np.isinf(low), high - width, low) + width / 2 * (width > 1)) / size
    axis = t("Log menos transação ({unit})", unit=unit)
    ranges = [_range(*ends, size, language) for ends in zip(low, high, strict=True)]
    finding = t("Nenhuma diferença de tempo conhecida no período.")
    if median is not None:
        median_size, _, median_unit = layout.unit_of_time(median, t)
        finding = t(
            "Metade das transações tem o log a até {distance} {unit}.",
            distance=number(round(median / median_size, 1)),
            unit=median_unit,
        )
    bars = [
        go.Bar(
            x=middle[chosen],
            y=bins["transactions"][chosen],
            width=width / size,
            name=name,
            marker_color=color,
            customdata=[text for text, is_chosen in zip(ranges, chosen, strict=True) if is_chosen],
            hovertemplate=f"%{{customdata}} {symbol}: %{{y:,d}}<extra></extra>",
        )
        for chosen, name, color in (
            (~far, t("Distribuição"), layout.FISICO),
            (far, t("Além do eixo"), layout.OUTLIER),
        )
        if chosen.any()
    ]
    figure = draw(
        bars,
        language,
        t("Diferença de tempo entre log e transação"),
        {"title": {"text": axis}},
        {"title": {"text": t("Transações consolidadas")}},
        bargap=0,
        hovermode="closest",
    )
    columns: Columns = {axis: (ranges, str), t("Transações"): (bins["transactions"], number)}
    return Chart(figure, finding, columns)


def _range(low: float, high: float, size: int, language: Language) -> str:
    t, number = language.t, language.number
    if np.isinf(low):
        return t("menos de {high}", high=number(high / size))
    if np.isinf(high):
        return t("{low} ou mais", low=number(low / size))
    if high - low == 1:
        return str(number(low))
    return t("de {low} a menos de {high}", low=number(low / size), high=number(high / size))
