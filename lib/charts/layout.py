"""The parts that all charts share: the user's language, the layout, and the time axis.

The language is passed in as a `Language`, the colours are the theme's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Placeholders that Streamlit's chart theme replaces by the theme's categorical colours.
CONSOLIDATED, DIVERGENT, FISICO, VIRTUAL, OUTLIER = (f"#{n:06d}" for n in range(1, 6))
# For comparison, and for what is not known yet: a gray that recedes on light and on dark.
PREVIOUS: Final = "#8C8C8C"

Unit = Literal["hour", "day", "week", "month"]

MARGIN: Final = {"t": 72, "b": 68, "l": 84, "r": 16}
"""Room for usual labels: a chart whose labels need more is drawn a second time."""

_PAD: Final = {"t": 6}
_HEIGHT: Final = 332
_DAY_MILLISECONDS: Final = 86_400_000
_MOST_TICKS: Final = 6
# A longer period may have the same day and month twice.
_DAYS_WITHOUT_YEAR: Final = 300
_UNITS: Final[tuple[tuple[timedelta, Unit], ...]] = (
    (timedelta(hours=1), "hour"),
    (timedelta(days=1), "day"),
    (timedelta(days=7), "week"),
)
_HOVER_FORMATS: Final = {"hour": "%H:%M", "month": "%m/%Y"}
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
            # At the top, so that a legend of two lines fits between it and the plot.
            "title": {"text": title, "y": 1, "yref": "container", "yanchor": "top", "pad": _PAD},
            "separators": language.separators,
            "height": _HEIGHT,
            "margin": MARGIN,
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
    """The x axis of a timeline by hour, day, week or month; ``at`` are its moments."""

    at: pd.Series[Any]
    unit: Unit
    language: Language

    @classmethod
    def of(cls, at: pd.Series[Any], language: Language) -> TimeAxis:
        """Create the axis of these local datetimes, the starts of hours, days, weeks or months."""
        step = at.iloc[1] - at.iloc[0] if len(at) > 1 else timedelta(days=1)
        units: list[Unit] = [unit for longest, unit in _UNITS if step <= longest]
        return cls(at, units[0] if units else "month", language)

    @property
    def x(self) -> Values:
        """Each moment as a date string of plotly, which takes an array faster than a list."""
        return np.datetime_as_string(self.at.to_numpy(), "s" if self.unit == "hour" else "D")

    @property
    def by(self) -> str:
        """The unit of one moment, for a title."""
        t = self.language.t
        names = {"hour": t("por hora"), "day": t("por dia"), "week": t("por semana")}
        return names.get(self.unit) or t("por mês")

    def name(self, number: int) -> str:
        """Return one moment for a table."""
        moment: datetime = self.at[number]
        if self.unit in _HOVER_FORMATS:
            return f"{moment:{_HOVER_FORMATS[self.unit]}}"
        return str(self.language.day(moment.date()))

    def when(self, number: int) -> str:
        """Return one moment for a sentence."""
        t, name = self.language.t, self.name(number)
        if self.unit == "hour":
            return t("às {hour}", hour=name)
        if self.unit == "week":
            return t("na semana de {day}", day=name)
        return t("em {day}", day=name)

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
        t, unit = self.language.t, self.unit
        names = {"hour": t("Hora"), "day": t("Dia"), "week": t("Semana"), "month": t("Mês")}
        axis: dict[str, Any] = {
            "title": {"text": names[unit]},
            "type": "date",
            "tickangle": 0,
            "tickformat": self._tick_format(),
            "hoverformat": _HOVER_FORMATS.get(unit, self.language.day_format),
        }
        if unit != "hour" and len(self.at):
            every = -(-len(self.at) // _MOST_TICKS)
            days = {"day": 1, "week": 7}.get(unit)
            dtick = f"M{every}" if days is None else every * days * _DAY_MILLISECONDS
            axis |= {"dtick": dtick, "tick0": str(self.x[0])}
        figure = draw(traces, self.language, title, axis, y, **layout)
        days_of_points = tuple(self.at.dt.date) if unit == "day" else ()
        moments = [self.name(number) for number in range(len(self.at))]
        columns = {names[unit]: (moments, str)} | columns
        return Chart(figure, finding, columns, days_of_points)

    def _tick_format(self) -> str:
        """The d3 format of the axis, with the year where a day and month would occur twice."""
        short = _HOVER_FORMATS.get(self.unit, self.language.axis_day_format)
        long = self.unit == "week" or len(self.at) > _DAYS_WITHOUT_YEAR
        return f"{short}<br>%Y" if long and self.unit in ("day", "week") else short
