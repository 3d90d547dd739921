"""The charts of the marketing view, each period beside the one before it where that was read.

Pure: takes the small frames of `lib.customers` and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lib.customers import MANY
from lib.drawing import BEFORE, CONSOLIDATED, Chart, Columns, Language, Write, draw, percent_axis


def approval_by_hour(hours: pd.DataFrame, before: pd.DataFrame | None, language: Language) -> Chart:
    """The approval rate of `customers.approval` by hour of the day."""
    labels = [f"{hour}h" for hour in hours["hour"]]
    title = language.say("Taxa de aprovação por hora")
    return _approval(hours, before, labels, title, language.say("Hora do dia (h)"), language)


def approval_by_weekday(
    days: pd.DataFrame, before: pd.DataFrame | None, language: Language
) -> Chart:
    """The approval rate of `customers.approval` by weekday."""
    title = language.say("Taxa de aprovação por dia da semana")
    labels = language.short_weekdays
    return _approval(days, before, labels, title, language.say("Dia da semana"), language)


def frequency(
    customers: pd.DataFrame, before: pd.DataFrame | None, language: Language
) -> Chart:
    """How often the customers of `customers.by_frequency` bought."""
    say = language.say
    finding = say("Nenhum cliente identificado no período.")
    if customers["customers"].any():
        finding = say("Compraram uma só vez: {share} dos clientes.").format(
            share=language.percent(customers["share"].iloc[0])
        )
    labels = [str(n) if n < MANY else f"{n}+" for n in customers["purchases"]]
    x, y = say("Compras de cada cliente"), say("Clientes (%)")
    parts = _parts(customers, before, "share", language)
    traces = [_bar(labels, part, [language.number(n) for n in frame["customers"]], look)
              for look, frame, part in parts]
    figure = _figure()
    return Chart(figure, finding, columns)
