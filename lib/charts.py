"""The charts of the period: what each is called, how it is drawn and the sentence with it.

Pure: takes the small frames of `lib.series` and `lib.summary` and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lib.drawing import (
    CONSOLIDATED,
    DIVERGENT,
    FAR,
    FISICO,
    VIRTUAL,
    Chart,
    Columns,
    Language,
    TimeAxis,
    draw,
    percent_axis,
)

_CODES: Final = 10
_CELL: Final = ("transactions", "days")


def purchases(timeline: pd.DataFrame, language: Language) -> Chart:
    """Consolidated transactions beside divergences, by the days or hours of a timeline."""
    say, number, time = language.say, language.number, TimeAxis.of(timeline["at"], language)
    good, bad = timeline["consolidated"], timeline["divergences"]
    finding = say("Nenhuma divergência no período.")
    if bad.any():
        finding = say("Mais divergências em {when}: {count}, de um total de {total}.").format(
            when=time.when(bad.argmax()), count=number(bad.max()), total=number(bad.sum())
        )
    return time.chart(
        say("Consolidadas e divergências {by}"),
        {"title": {"text": say("Registros")}},
        [
            time.bar(good, say("Consolidadas"), CONSOLIDATED),
            time.bar(bad, say("Divergências"), DIVERGENT),
        ],
        finding,
        {
            say("Consolidadas"): (good, number),
            say("Divergências"): (bad, number),
            say("Sem log"): (timeline["without_log"], number),
        },
    )


def amount(timeline: pd.DataFrame, language: Language) -> Chart:
    """The amount of the consolidated transactions."""
    say, money, time = language.say, language.money, TimeAxis.of(timeline["at"], language)
    values = timeline["amount"].astype(float)
    finding = say("Nenhum valor consolidado no período.")
    if values.any():
        finding = say("Maior valor em {when}: {amount}, de um total de {total}.").format(
            when=time.when(values.argmax()),
            amount=money(values.max()),
            total=money(sum(timeline["amount"])),
        )
    name = say("Valor consolidado")
    return time.chart(
        say("Valor consolidado {by}"),
        {"title": {"text": say("Valor (R$)")}, "tickformat": ",d"},
        [time.bar(values, name, CONSOLIDATED, "R$ %{y:,.2f}")],
        finding,
        {name: (values, money)},
    )


def rate(timeline: pd.DataFrame, language: Language) -> Chart:
    """The share of the purchases that were consolidated."""
    say, number, time = language.say, language.number, TimeAxis.of(timeline["at"], language)
    rates, good = timeline["rate"], timeline["consolidated"]
    bought = good + timeline["without_log"]
    finding = say("Nenhuma transação no período.")
    if bought.any():
        finding = say("Menor taxa em {when}: {rate}; no período todo, {total}.").format(
            when=time.when(rates.argmin()),
            rate=language.percent(rates.min()),
            total=language.percent(good.sum() / bought.sum()),
        )
    name = say("Taxa de consolidação")
    line = go.Scatter(
        x=time.x,
        y=rates,
        name=name,
        mode="lines+markers",
        marker_color=CONSOLIDATED,
        customdata=np.stack([good, bought], axis=1),
        hovertemplate=(
            f"%{{y:.1%}} (%{{customdata[0]:,d}} {say('de')} %{{customdata[1]:,d}})<extra></extra>"
        ),
    )
    return time.chart(
        say("Taxa de consolidação {by}"),
        percent_axis(rates, say("Consolidadas / transações (%)")),
        [line],
        finding,
        {
            name: (rates, language.percent),
            say("Consolidadas"): (good, number),
            say("Transações"): (bought, number),
        },
    )


def joins(timeline: pd.DataFrame, language: Language) -> Chart:
    """Consolidated transactions by the card that their log carried."""
    say, number, time = language.say, language.number, TimeAxis.of(timeline["at"], language)
    fisico, virtual = timeline["fisico"], timeline["virtual"]
    total, spent = fisico.sum() + virtual.sum(), float(sum(timeline["amount"]))
    finding = say("Nenhuma transação consolidada no período.")
    if total:
        part = float(sum(timeline["amount_virtual"])) / spent if spent else 0.0
        finding = say("Pelo cartão virtual: {count} das transações e {amount} do valor.").format(
            count=language.percent(virtual.sum() / total), amount=language.percent(part)
        )
    return time.chart(
        say("Físico e virtual {by}"),
        {"title": {"text": say("Transações consolidadas")}},
        [time.bar(fisico, say("Físico"), FISICO), time.bar(virtual, say("Virtual"), VIRTUAL)],
        finding,
        {
            say("Físico"): (fisico, number),
            say("Virtual"): (virtual, number),
            say("Valor físico"): (timeline["amount_fisico"].astype(float), language.money),
            say("Valor virtual"): (timeline["amount_virtual"].astype(float), language.money),
        },
        barmode="stack",
    )


def weekday_and_hour(cells: pd.DataFrame, language: Language) -> Chart:
    """The heat map of `series.by_weekday_and_hour`: purchases on an average such day."""
    say, number = language.say, language.number
    finding = say("Nenhuma transação consolidada com horário no período.")
    if cells["transactions"].any():
        peak = cells.loc[cells["mean"].idxmax()]
        finding = say("Mais compras: {weekday}, {hour}h (média de {mean}).").format(
            weekday=language.weekdays[int(peak["weekday"])],
            hour=int(peak["hour"]),
            mean=number(round(float(peak["mean"]), 1)),
        )
    shown = cells[cells["days"] > 0]
    grid = (shown["weekday"].nunique(), -1)
    heat = go.Heatmap(
        z=shown["mean"].to_numpy().reshape(grid),
        x=shown["hour"].unique(),
        y=[language.short_weekdays[day] for day in shown["weekday"].unique()],
        customdata=np.dstack([shown[name].to_numpy().reshape(grid) for name in _CELL]),
        xgap=1,
        ygap=1,
        colorbar={"title": {"text": say("por dia")}, "thickness": 10},
        hovertemplate=(
            f"%{{y}}, %{{x}}h: %{{z:,.1f}} {say('por dia')}<br>"
            f"%{{customdata[0]:,d}} {say('em')} %{{customdata[1]:,d}} {say('dias')}<extra></extra>"
        ),
    )
    figure = draw(
        [heat],
        language,
        say("Compras por dia da semana e hora"),
        {"title": {"text": say("Hora do dia (h)")}, "dtick": 3},
        {"title": {"text": say("Dia da semana")}, "autorange": "reversed", "type": "category"},
        hovermode="closest",
    )
    columns: Columns = {
        say("Dia da semana"): ([language.weekdays[day] for day in shown["weekday"]], str),
        say("Hora do dia (h)"): (shown["hour"], str),
        say("Transações"): (shown["transactions"], number),
        say("Média por dia"): (shown["mean"].round(1), number),
    }
    return Chart(figure, finding, columns)


def response_codes(codes: pd.DataFrame, approved: Collection[str], language: Language) -> Chart:
    """The logs of `summary.by_response_code`, the most frequent code at the top."""
    say, number = language.say, language.number
    total = codes["matched"] + codes["divergences"]
    labels = [code or say("sem código") for code in codes["code"]]
    declined = total[~codes["code"].isin(approved)]
    finding = say("Nenhum log no período.")
    if len(codes):
        share = language.percent(1 - declined.sum() / total.sum())
        finding = say("Aprovados: {share} dos logs; nenhuma recusa.").format(share=share)
        if len(declined):
            most = declined.argmax()
            finding = say("Aprovados: {share} dos logs; recusa mais comum: {code} ({count}).")
            finding = finding.format(
                share=share,
                code=labels[declined.index[most]],
                count=number(declined.iloc[most]),
            )
    bars = [
        go.Bar(
            x=codes[column][:_CODES],
            y=labels[:_CODES],
            name=name,
            orientation="h",
            marker_color=color,
            text=[number(value) for value in total[:_CODES]] if text else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x:,d}",
        )
        for column, name, color, text in (
            ("matched", say("Com transação"), CONSOLIDATED, False),
            ("divergences", say("Divergências"), DIVERGENT, True),
        )
    ]
    figure = draw(
        bars,
        language,
        say("Logs por código de resposta"),
        {"title": {"text": say("Logs")}, "tickformat": ",d"},
        {"title": {"text": say("Código")}, "type": "category", "autorange": "reversed"},
        barmode="stack",
        hovermode="y unified",
    )
    columns: Columns = {
        say("Código"): (labels, str),
        say("Com transação"): (codes["matched"], number),
        say("Divergências"): (codes["divergences"], number),
    }
    return Chart(figure, finding, columns)


def time_difference(bins: pd.DataFrame, typical: float | None, language: Language) -> Chart:
    """The histogram of `series.time_difference`; what lies beyond its axis stands at its ends."""
    say, number = language.say, language.number
    low, high = bins["low"].to_numpy(dtype=float), bins["high"].to_numpy(dtype=float)
    far = np.isinf(low) | np.isinf(high)
    width = float((high - low)[~far][0]) if len(bins) else 1.0
    size, unit = _unit(width, say)
    left = np.where(np.isinf(low), high - width, low) / size
    axis = say("Log menos transação ({unit})").format(unit=unit)
    ranges = [_range(*ends, language) for ends in zip(low / size, high / size, strict=True)]
    finding = say("Nenhuma diferença de tempo conhecida no período.")
    if typical is not None:
        of_size, of_unit = _unit(typical, say)
        finding = say("Metade das transações tem o log a até {distance} {unit}.").format(
            distance=number(round(typical / of_size, 1)), unit=of_unit
        )
    bars = [
        go.Bar(
            x=(left + width / size / 2)[chosen],
            y=bins["transactions"][chosen],
            width=width / size,
            name=name,
            marker_color=color,
            customdata=[text for text, there in zip(ranges, chosen, strict=True) if there],
            hovertemplate=f"%{{customdata}} {unit}: %{{y:,d}}<extra></extra>",
        )
        for chosen, name, color in (
            (~far, say("Distribuição"), FISICO),
            (far, say("Além do eixo"), FAR),
        )
        if chosen.any()
    ]
    figure = draw(
        bars,
        language,
        say("Diferença de tempo entre log e transação"),
        {"title": {"text": axis}},
        {"title": {"text": say("Transações consolidadas")}},
        bargap=0,
        hovermode="closest",
    )
    columns: Columns = {axis: (ranges, str), say("Transações"): (bins["transactions"], number)}
    return Chart(figure, finding, columns)


def _unit(seconds: float, say: Callable[[str], str]) -> tuple[int, str]:
    """The largest unit of time that this many seconds reach: its seconds and its name."""
    for size, name in ((86_400, say("dias")), (3_600, say("horas")), (60, say("minutos"))):
        if seconds >= size:
            return size, name
    return 1, say("segundos")


def _range(low: float, high: float, language: Language) -> str:
    say, number = language.say, language.number
    if np.isinf(low):
        return say("menos de {high}").format(high=number(high))
    if np.isinf(high):
        return say("{low} ou mais").format(low=number(low))
    return say("de {low} a menos de {high}").format(low=number(low), high=number(high))
