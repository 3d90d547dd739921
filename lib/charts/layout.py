"""The parts that all charts share: the user's language, the layout, and the time axis.

The language is passed in as a `Language`, the colours are the theme's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Placeholders that Streamlit's chart theme replaces by the theme's categorical colours.
CONSOLIDATED, DIVERGENT, FISICO, VIRTUAL, OUTLIER = (f"#{n:06d}" for n in range(1, 6))
# For comparison, and for what is not known yet: a gray that recedes on light and on dark.
PREVIOUS: Final = "#8C8C8C"

_HEIGHT: Final = 320
_DAY_MILLISECONDS: Final = 86_400_000
_MOST_TICKS: Final = 6
# A longer period may have the same day and month twice.
_DAYS_WITHOUT_YEAR: Final = 300
_COUNT: Final = ",.1~f"
_RELIABLE: Final = 0.1
_MARKER_PIXELS: Final = (2, 11)

Formatter = Callable[[Any], str]
Translate = Callable[..., str]
Plural = Callable[[str, str, int], str]
Values: TypeAlias = "Sequence[Any] | pd.Series[Any] | NDArray[Any]"
Columns: TypeAlias = "dict[str, tuple[Values, Formatter]]"
"""A table: the plain values and their formatter, by heading."""


@dataclass(frozen=True)
class Language:
    """Translations and formats of the user's language.

    ``t`` translates a Portuguese text and fills in its values; ``n`` chooses between singular and
    plural and fills in ``{count}``; ``separators`` are the decimal and the thousands sign;
    ``day_format`` and ``axis_day_format`` are d3 formats; weekdays begin with Monday.
    """

    t: Translate
    n: Plural
    number: Formatter
    money: Formatter
    percent: Formatter
    day: Formatter
    separators: str
    day_format: str
    axis_day_format: str
    weekdays: Sequence[str]
    short_weekdays: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A titled figure, a sentence with its main finding, and its numbers as a table.

    If ``days`` is not empty, it holds the day of each point, in the order of every trace.
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
    """Draw a figure without panning or zooming, so that a touch scrolls the page."""
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


def inert(text: str) -> str:
    """Text as plotly shows it, letter by letter: plotly reads tags, entities and LaTeX."""
    return escape(text, quote=False).replace("$", "&#36;")


def percent_axis(rates: Values, title: str) -> dict[str, Any]:
    """Return an axis of rates that ends at 100 % and begins a little below the lowest."""
    known = np.asarray(rates, dtype=float)
    lowest = float(np.nanmin(known)) if np.isfinite(known).any() else 0.0
    start = max(0.0, np.floor(lowest * 20 - 0.5) / 20)
    margin = (1 - start) / 20
    return {
        "title": {"text": title},
        "range": [start - margin if start else 0.0, 1 + margin],
        "tickformat": ".0%",
    }


def reliable(rates: pd.Series[Any], counts: pd.Series[Any]) -> pd.Series[Any]:
    """Replace rates of few records, compared with the largest count, by NaN."""
    return rates.where(counts >= counts.max() * _RELIABLE)


def rate_line(
    x: Values, parts: Sequence[pd.Series[Any]], language: Language, **style: Any
) -> go.Scatter:
    """Draw the rates of ``parts`` (rate, part, whole); marker areas grow with the wholes."""
    rates, part, whole = parts
    most = max(int(whole.max()), 1)
    smallest, largest = _MARKER_PIXELS
    sizes = [smallest + (largest - smallest) * (n / most) ** 0.5 for n in whole]
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
        **style,
    )


def unit_of_time(seconds: float, t: Translate) -> tuple[int, str, str]:
    """Return (seconds, name, symbol) of the largest unit of time not above this many seconds."""
    units = ((86_400, t("dias"), "d"), (3_600, t("horas"), "h"), (60, t("minutos"), "min"))
    for size, name, symbol in units:
        if seconds >= size:
            return size, name, symbol
    return 1, t("segundos"), "s"


@dataclass(frozen=True)
class TimeAxis:
    """The x axis of a timeline, by day or by hour; ``at`` are its moments."""

    at: pd.Series[Any]
    hourly: bool
    language: Language

    @classmethod
    def of(cls, at: pd.Series[Any], language: Language) -> TimeAxis:
        """Create the axis of these equidistant local datetimes."""
        return cls(at, len(at) > 1 and at.iloc[1] - at.iloc[0] < timedelta(days=1), language)

    @property
    def x(self) -> Values:
        """Each moment as a date string of plotly, which takes an array faster than a list."""
        return np.datetime_as_string(self.at.to_numpy(), "s" if self.hourly else "D")

    @property
    def by(self) -> str:
        """The unit of one moment, for a title."""
        t = self.language.t
        return t("por hora") if self.hourly else t("por dia")

    def name(self, number: int) -> str:
        """Return one moment for a table."""
        moment: datetime = self.at[number]
        return f"{moment:%H:%M}" if self.hourly else str(self.language.day(moment.date()))

    def when(self, number: int) -> str:
        """Return one moment for a sentence."""
        t, name = self.language.t, self.name(number)
        return t("às {hour}", hour=name) if self.hourly else t("em {day}", day=name)

    def bar(self, y: Values, name: str, color: str, hover: str = "%{y:,d}", **style: Any) -> go.Bar:
        """Draw bars, one value per moment."""
        return go.Bar(x=self.x, y=y, name=name, marker_color=color, hovertemplate=hover, **style)

    def chart(
        self,
        title: str,
        y: dict[str, Any],
        traces: Sequence[Any],
        finding: str,
        columns: Columns,
        **layout: Any,
    ) -> Chart:
        """Draw the chart of these traces; its table begins with the moments."""
        t = self.language.t
        unit = t("Hora") if self.hourly else t("Dia")
        step = -(-len(self.at) // _MOST_TICKS) * _DAY_MILLISECONDS
        day_format = self.language.axis_day_format
        if len(self.at) > _DAYS_WITHOUT_YEAR:
            day_format += "<br>%Y"
        axis: dict[str, Any] = {
            "title": {"text": unit},
            "type": "date",
            "tickangle": 0,
            "tickformat": "%H:%M" if self.hourly else day_format,
            "hoverformat": "%H:%M" if self.hourly else self.language.day_format,
        }
        if not self.hourly and len(self.at):
            axis |= {"dtick": step, "tick0": str(self.x[0])}
        figure = draw(traces, self.language, title, axis, y, **layout)
        days: tuple[date, ...] = () if self.hourly else tuple(self.at.dt.date)
        moments = [*map(self.language.day, days)] or [f"{moment:%H:%M}" for moment in self.at]
        return Chart(figure, finding, {unit: (moments, str)} | columns, days)
