"""What every chart has in common: the reader's language, the layout, and the axis of time.

Pure; the language comes in as a `Language`, the colours are the theme's. Knows no chart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Streamlit's chart theme puts the theme's categorical colours in the place of these.
CONSOLIDATED, DIVERGENT, FISICO, VIRTUAL, OUTLIER = (f"#{n:06d}" for n in range(1, 6))
# What is only there to compare with: a gray that stands back on a light and on a dark ground.
PREVIOUS: Final = "#8C8C8C"

_HEIGHT: Final = 320
_DAY_MILLISECONDS: Final = 86_400_000
_TICKS: Final = 6
# So many days may have the same day and month twice.
_NEARLY_A_YEAR: Final = 300
_COUNT: Final = ",.1~f"
_BUSY: Final = 0.1
_SMALLEST: Final = 2
_LARGEST: Final = 11

Write = Callable[[Any], str]
Translate = Callable[..., str]
Count = Callable[[str, str, int], str]
Values: TypeAlias = "Sequence[Any] | pd.Series[Any] | NDArray[Any]"
Columns: TypeAlias = "dict[str, tuple[Values, Write]]"
"""A table: by heading, the bare values and how one of them is written."""


@dataclass(frozen=True)
class Language:
    """How the reader's language says and writes things.

    ``t`` translates a Portuguese text and fills in its values, ``n`` chooses between the text for
    one thing and that for many, and fills in their ``{count}``; ``separators`` are the decimal and
    the thousands sign; ``day_format`` and ``axis_day_format`` are d3 formats; weekdays begin with
    Monday.
    """

    t: Translate
    n: Count
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
    """A titled figure, the sentence that says what it shows, and its numbers.

    Where there are ``days``, the points of every trace are of these days, in this order.
    """

    figure: go.Figure
    finding: str
    columns: Columns
    days: tuple[date, ...] = ()


def draw(
    traces: Sequence[Any],
    language: Language,
    title: str,
    x: dict[str, Any],
    y: dict[str, Any],
    **layout: Any,
) -> go.Figure:
    """A figure that neither pans nor zooms, so that a finger on it scrolls the page."""
    return go.Figure(
        data=list(traces),
        layout={
            "title": {"text": title},
            "separators": language.separators,
            "height": _HEIGHT,
            "margin": {"t": 72, "b": 0, "l": 0, "r": 12},
            "hovermode": "x unified",
            "showlegend": len(traces) > 1,
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "y": 1.02,
                "yanchor": "bottom",
                "x": 0,
            },
            "xaxis": {"fixedrange": True} | x,
            "yaxis": {"fixedrange": True, "rangemode": "tozero", "tickformat": _COUNT} | y,
        }
        | layout,
    )


def percent_axis(rates: Values, title: str) -> dict[str, Any]:
    """An axis of rates that ends at 100 % and begins a little below the lowest."""
    known = np.asarray(rates, dtype=float)
    lowest = float(np.nanmin(known)) if np.isfinite(known).any() else 0.0
    start = max(0.0, np.floor(lowest * 20 - 0.5) / 20)
    room = (1 - start) / 20
    return {
        "title": {"text": title},
        "range": [start - room if start else 0.0, 1 + room],
        "tickformat": ".0%",
    }


def reliable(rates: pd.Series[Any], counts: pd.Series[Any]) -> pd.Series[Any]:
    """The rates of enough records to be news rather than chance, NaN in the place of others."""
    return rates.where(counts >= counts.max() * _BUSY)


def rate_line(
    x: Sequence[str], parts: Sequence[pd.Series[Any]], language: Language, **look: Any
) -> go.Scatter:
    """A line of (rate, part, whole), its markers as large as the wholes."""
    rates, part, whole = parts
    most = max(int(whole.max()), 1)
    sizes = [_SMALLEST + (_LARGEST - _SMALLEST) * (n / most) ** 0.5 for n in whole]
    return go.Scatter(
        x=x,
        y=rates,
        mode="lines+markers",
        marker={"size": sizes, "opacity": 1, "line": {"width": 0}},
        customdata=np.stack([part, whole], axis=1),
        hovertemplate=language.t(
            "{rate} ({part} de {whole})",
            rate="%{y:.1%}",
            part="%{customdata[0]:,d}",
            whole="%{customdata[1]:,d}",
        ),
        **look,
    )


def unit_of_time(seconds: float, t: Translate) -> tuple[int, str, str]:
    """The largest unit of time that this many seconds reach: its seconds, its name, its sign."""
    units = ((86_400, t("dias"), "d"), (3_600, t("horas"), "h"), (60, t("minutos"), "min"))
    for size, name, sign in units:
        if seconds >= size:
            return size, name, sign
    return 1, t("segundos"), "s"


@dataclass(frozen=True)
class TimeAxis:
    """The moments of a timeline, days or the hours of a single one, as a chart's x."""

    at: pd.Series[Any]
    hourly: bool
    language: Language

    @classmethod
    def of(cls, at: pd.Series[Any], language: Language) -> TimeAxis:
        """The axis of these local datetimes, equally far apart."""
        return cls(at, len(at) > 1 and at.iloc[1] - at.iloc[0] < timedelta(days=1), language)

    @property
    def x(self) -> list[str]:
        """Each moment as plotly reads it."""
        return [moment.isoformat() if self.hourly else f"{moment:%Y-%m-%d}" for moment in self.at]

    @property
    def by(self) -> str:
        """What one moment stands for, for a title."""
        t = self.language.t
        return t("por hora") if self.hourly else t("por dia")

    def name(self, number: int) -> str:
        """One moment, for a table."""
        moment: datetime = self.at[number]
        return f"{moment:%H:%M}" if self.hourly else str(self.language.day(moment.date()))

    def when(self, number: int) -> str:
        """One moment, for a sentence."""
        t, name = self.language.t, self.name(number)
        return t("às {hour}", hour=name) if self.hourly else t("em {day}", day=name)

    def bar(self, y: Values, name: str, color: str, hover: str = "%{y:,d}", **more: Any) -> go.Bar:
        """One value a moment as bars."""
        return go.Bar(x=self.x, y=y, name=name, marker_color=color, hovertemplate=hover, **more)

    def chart(
        self,
        title: str,
        y: dict[str, Any],
        traces: Sequence[Any],
        finding: str,
        columns: Columns,
        **layout: Any,
    ) -> Chart:
        """The chart of these traces, its table led by the moments."""
        t = self.language.t
        unit = t("Hora") if self.hourly else t("Dia")
        step = -(-len(self.at) // _TICKS) * _DAY_MILLISECONDS
        of_a_day = self.language.axis_day_format
        if len(self.at) > _NEARLY_A_YEAR:
            of_a_day += "<br>%Y"
        axis: dict[str, Any] = {
            "title": {"text": unit},
            "type": "date",
            "tickangle": 0,
            "tickformat": "%H:%M" if self.hourly else of_a_day,
            "hoverformat": "%H:%M" if self.hourly else self.language.day_format,
        }
        if not self.hourly and len(self.at):
            axis |= {"dtick": step, "tick0": self.x[0]}
        figure = draw(
            traces,
            self.language,
            title,
            axis,
            y,
            **layout,
        )
        moments = [self.name(number) for number in range(len(self.at))]
        days = () if self.hourly else tuple(moment.date() for moment in self.at)
        return Chart(figure, finding, {unit: (moments, str)} | columns, days)
