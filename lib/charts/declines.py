"""The charts of declined attempts: followed by an approved one, still waiting, or neither.

Draws the small frames of `lib.analysis.declines` and computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

from lib.charts import layout
from lib.charts.layout import Chart, Columns, Language, draw

_MOST_CODES: Final = 10
# The legend has three names, one below another where the chart is narrow.
_MARGIN: Final = {"t": 96, "b": 0, "l": 0, "r": 12}


def by_code(codes: pd.DataFrame, language: Language) -> Chart:
    """Draw the declined attempts by response code, the most frequent code at the top."""
    t = language.t
    labels = [code or t("sem código") for code in codes["code"]]
    finding = t("Nenhuma recusa no período.")
    if len(codes):
        most = codes.iloc[0]
        finding = t(
            "Recusa mais comum: {code}, {count} vezes, {share} seguidas de aprovação em 24 h.",
            code=labels[0],
            count=language.number(most["declined"]),
            share=language.percent(most["followed"] / most["declined"]),
        )
    shown = codes[:_MOST_CODES]
    texts = [layout.inert(label) for label in labels[:_MOST_CODES]]
    bars = [
        go.Bar(
            x=values,
            y=texts,
            name=name,
            orientation="h",
            marker_color=color,
            hovertemplate="%{x:,d}",
        )
        for name, values, color in _parts(shown, language)
    ]
    figure = draw(
        bars,
        language,
        t("Recusas por código de resposta"),
        {"title": {"text": t("Tentativas recusadas")}, "tickformat": ",d"},
        {"title": {"text": t("Código")}, "type": "category", "autorange": "reversed"},
        barmode="stack",
        hovermode="y unified",
        margin=_MARGIN,
    )
    return Chart(figure, finding, _numbers(t("Código"), labels, codes, language))


def by_hour(hours: pd.DataFrame, language: Language) -> Chart:
    """Draw the declined attempts by hour of the day."""
    t = language.t
    labels = [f"{hour}h" for hour in hours["hour"]]
    alone = hours["declined"] - hours["followed"] - hours["waiting"]
    finding = t("Nenhuma recusa sem aprovação depois.")
    if alone.any():
        finding = t(
            "Mais recusas sem aprovação depois: {hour}, {count}.",
            hour=labels[int(alone.argmax())],
            count=language.number(alone.max()),
        )
    bars = [
        go.Bar(x=labels, y=values, name=name, marker_color=color, hovertemplate="%{y:,d}")
        for name, values, color in _parts(hours, language)
    ]
    figure = draw(
        bars,
        language,
        t("Recusas por hora"),
        {"title": {"text": t("Hora do dia (h)")}, "type": "category", "dtick": 3, "tickangle": 0},
        {"title": {"text": t("Tentativas recusadas")}},
        barmode="stack",
        margin=_MARGIN,
    )
    return Chart(figure, finding, _numbers(t("Hora do dia (h)"), labels, hours, language))


def _parts(frame: pd.DataFrame, language: Language) -> list[tuple[str, Any, str]]:
    """Return name, values and colour of each part of the bars."""
    t = language.t
    alone = frame["declined"] - frame["followed"] - frame["waiting"]
    return [
        (t("Aprovada em 24 h"), frame["followed"], layout.CONSOLIDATED),
        (t("Sem aprovação"), alone, layout.DIVERGENT),
        (t("No prazo"), frame["waiting"], layout.PREVIOUS),
    ]


def _numbers(
    heading: str, labels: Sequence[str], frame: pd.DataFrame, language: Language
) -> Columns:
    number = language.number
    counted: Columns = {heading: (labels, str), language.t("Recusas"): (frame["declined"], number)}
    return counted | {name: (values, number) for name, values, _ in _parts(frame, language)}
