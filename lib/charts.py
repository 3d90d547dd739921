"""Turns the small frames of `lib.series` into plotly figures, their tables and a sentence each.

Owns what each chart is called, how it is drawn and what it says it shows. Pure: the reader's
language comes in as a `Language`, the colours are the theme's. Counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

# Streamlit's chart theme puts its own categorical colours in the place of these.
CONSOLIDATED, DIVERGENT, FISICO, VIRTUAL, FAR = (f"#{n:06d}" for n in range(1, 6))

_HEIGHT: Final = 340
_DAY_MILLISECONDS: Final = 86_400_000
_TICKS: Final = 11
_CODES: Final = 10

Write = Callable[[Any], str]
Columns = dict[str, tuple[Sequence[Any], Write]]
"""A table: by heading, the bare values and how one is written."""


@dataclass(frozen=True)
class Language:
    """How the reader's language says and writes things.

    ``say`` translates a Portuguese text; ``separators`` are the decimal and the thousands sign;
    ``day_format`` and ``axis_day_format`` are d3 formats; weekdays begin with Monday.
    """

    say: Callable[[str], str]
    number: Write
    money: Write
    percent: Write
    day: Write
    separators: str
    day_format: str
    axis_day_format: str
    weekdays: Sequence[str]
    short_weekdays: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A figure, the sentence that says what it shows, and its numbers.

    Where ``days``, the x of every point begins with the ISO date of its day.
    """

    figure: go.Figure
    finding: str
    columns: Columns
    days: bool = False


def purchases(timeline: pd.DataFrame, language: Language) -> Chart:
    """Consolidated transactions beside divergences, by `series.timeline`'s day or hour."""
    say, number, time = language.say, language.number, _Time.of(timeline, language)
    good, bad = timeline["consolidated"], timeline["divergences"]
    finding = say("Nenhuma divergência no período.")
    if bad.any():
        finding = say("Mais divergências em {when}: {count}, de um total de {total}.").format(
            when=time.when(bad.idxmax()), count=number(bad.max()), total=number(bad.sum())
        )
    return time.chart(
        say("Consolidadas e divergências {by}"),
        say("Quantidade"),
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
    """The amount of the consolidated transactions by day or hour."""
    say, money, time = language.say, language.money, _Time.of(timeline, language)
    values = timeline["amount"].astype(float)
    finding = say("Nenhum valor consolidado no período.")
    if values.any():
        finding = say("Maior valor em {when}: {amount}, de um total de {total}.").format(
            when=time.when(values.idxmax()), amount=money(values.max()), total=money(values.sum())
        )
    name = say("Valor consolidado")
    return time.chart(
        say("Valor consolidado {by}"),
        say("Valor (R$)"),
        [time.bar(values, name, CONSOLIDATED, hover="R$ %{y:,.2f}")],
        finding,
        {name: (values, money)},
    )


def rate(timeline: pd.DataFrame, language: Language) -> Chart:
    """The share of the purchases that were consolidated, by day or hour."""
    say, number, time = language.say, language.number, _Time.of(timeline, language)
    rates, good = timeline["rate"], timeline["consolidated"]
    bought = good + timeline["without_log"]
    finding = say("Nenhuma transação no período.")
    if bought.any():
        finding = say("Menor taxa em {when}: {rate}; no período todo, {total}.").format(
            when=time.when(rates.idxmin()),
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
        hovertemplate=f"%{{y:.1%}} (%{{customdata[0]:,d}} {say('de')} %{{customdata[1]:,d}})",
    )
    chart = time.chart(
        say("Taxa de consolidação {by}"),
        say("Consolidadas ÷ transações (%)"),
        [line],
        finding,
        {
            name: (rates, language.percent),
            say("Consolidadas"): (good, number),
            say("Transações"): (bought, number),
        },
    )
    chart.figure.update_yaxes(range=percent_range(rates), tickformat=".0%")
    return chart


def joins(timeline: pd.DataFrame, language: Language) -> Chart:
    """Consolidated transactions by the card that the log carried, by day or hour."""
    say, number, time = language.say, language.number, _Time.of(timeline, language)
    fisico, virtual = timeline["fisico"], timeline["virtual"]
    total, spent = (fisico + virtual).sum(), float(timeline["amount"].sum())
    finding = say("Nenhuma transação consolidada no período.")
    if total:
        finding = say("Pelo cartão virtual: {count} das transações e {amount} do valor.").format(
            count=language.percent(virtual.sum() / total),
            amount=language.percent(
                float(timeline["amount_virtual"].sum()) / spent if spent else 0.0
            ),
        )
    return time.chart(
        say("Físico e virtual {by}"),
        say("Transações consolidadas"),
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
        finding = say("Mais compras: {weekday}, {hour}h, {mean} em média.").format(
            weekday=language.weekdays[int(peak["weekday"])],
            hour=int(peak["hour"]),
            mean=number(round(float(peak["mean"]), 1)),
        )
    grid = cells[cells["days"] > 0].pivot_table(
        index="weekday", columns="hour", values=["mean", "transactions", "days"], aggfunc="sum"
    )
    heat = go.Heatmap(
        z=grid["mean"].to_numpy(),
        x=grid["mean"].columns,
        y=[language.short_weekdays[day] for day in grid.index],
        customdata=np.dstack([grid["transactions"], grid["days"]]),
        xgap=1,
        ygap=1,
        colorbar={"title": {"text": say("por dia")}, "thickness": 10},
        hovertemplate=(
            f"%{{y}}, %{{x}}h: %{{z:,.1f}} {say('por dia')}<br>"
            f"{say('Total')}: %{{customdata[0]:,d}} ({say('dias')}: %{{customdata[1]}})"
            "<extra></extra>"
        ),
    )
    figure = draw([heat], language, say("Compras por dia da semana e hora"))
    figure.update_xaxes(title_text=say("Hora do dia (h)"), dtick=3)
    figure.update_yaxes(title_text=say("Dia da semana"), autorange="reversed")
    columns: Columns = {
        say("Dia da semana"): ([language.weekdays[day] for day in cells["weekday"]], str),
        say("Hora do dia (h)"): (cells["hour"], str),
        say("Transações"): (cells["transactions"], number),
        say("Média por dia"): (cells["mean"].round(1), number),
    }
    return Chart(figure, finding, columns)


def response_codes(codes: pd.DataFrame, approved: Collection[str], language: Language) -> Chart:
    """The logs by response code (`summary.by_response_code`), the most frequent at the top."""
    say, number = language.say, language.number
    total = codes["matched"] + codes["divergences"]
    blank = say("sem código")
    labels = [code or blank for code in codes["code"]]
    declined = codes[~codes["code"].isin(approved)].index
    finding = say("Nenhum log no período.")
    if len(codes):
        share = language.percent(total.drop(declined).sum() / total.sum())
        finding = say("Aprovados: {share} dos logs; nenhuma recusa.").format(share=share)
        if len(declined):
            most = total[declined].idxmax()
            finding = say("Aprovados: {share} dos logs; recusa mais comum: {code}, {count}.").format(
                share=share, code=labels[most], count=number(total[most])
            )
    shown = slice(0, _CODES)
    text = [number(value) for value in total[shown]]
    bars = [
        go.Bar(
            x=codes[column][shown],
            y=labels[shown],
            name=name,
            orientation="h",
            marker_color=color,
            text=text if column == "divergences" else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x:,.0f}",
        )
        for column, name, color in (
            ("matched", say("Com transação"), CONSOLIDATED),
            ("divergences", say("Divergências"), DIVERGENT),
        )
    ]
    figure = draw(bars, language, say("Logs por código de resposta"), barmode="stack")
    figure.update_layout(hovermode="y unified")
    figure.update_xaxes(title_text=say("Logs"), tickformat=",d")
    figure.update_yaxes(title_text=say("Código"), type="category", autorange="reversed")
    columns: Columns = {
        say("Código"): (labels, str),
        say("Com transação"): (codes["matched"], number),
        say("Divergências"): (codes["divergences"], number),
    }
    return Chart(figure, finding, columns)
