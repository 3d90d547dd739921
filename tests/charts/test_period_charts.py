"""The figures, findings and tables of the charts, from small frames computed by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.analysis import customers, declines, time_series
from lib.charts import customers as customer_charts
from lib.charts import declines as decline_charts
from lib.charts import period
from lib.charts.layout import Chart, Language
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

MONDAY = date(2026, 3, 2)
WEEKDAYS = ("segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo")
PORTUGUESE = Language(
    t=lambda message, **values: message.format(**values),
    n=lambda one, many, count: (one if count == 1 else many).format(count=count),
    number=lambda value: f"n{float(value):g}",
    money=lambda value: f"R${Decimal(str(value)):.2f}",
    percent=lambda share: f"{100 * share:.1f}%",
    day=lambda day: f"{day:%d/%m/%Y}",
    separators=",.",
    day_format="%d/%m/%Y",
    axis_day_format="%d/%m",
    weekdays=WEEKDAYS,
    short_weekdays=tuple(name[:3] for name in WEEKDAYS),
)
# Writes the values of a message instead of its words, and the grammatical number of a count.
VALUES = replace(
    PORTUGUESE,
    t=lambda message, **values: " ".join(map(str, values.values())) if values else message,
    n=lambda one, many, count: "singular" if count == 1 else "plural",
)


def of(days: int = 3, purchases: int = 60) -> Reconciliation:
    """Purchases over some days, a third of them virtual, some declined and some without log."""
    transactions, logs = [], []
    for n in range(purchases):
        day = MONDAY + timedelta(days=n % days)
        at = time(9 + n % 12, n % 60, 30)
        physical, virtual = f"4{n:012}", f"5{n:012}"
        amount = Decimal(n + 1)
        transactions.append(Transaction(f"{n % 25}", physical, virtual, day, at, amount))
        if n % 10:
            code = "51" if n % 9 == 0 else "00"
            logs.append(Log(virtual if n % 3 == 0 else physical, day, at, code))
        else:
            logs.append(Log(f"6{n:012}", day, at, None))
    dates = Period(MONDAY, MONDAY + timedelta(days=days - 1), date(2026, 12, 31))
    return reconcile(transactions_table(transactions), logs_table(logs), dates, Rule())


def every(result: Reconciliation, language: Language = PORTUGUESE) -> dict[str, Chart]:
    series, marketing = time_series.series(result), customers.marketing(result)
    judged = declines.declines(result)
    return {
        "purchases": period.purchases(series.timeline, language),
        "amount": period.amount(series.timeline, language),
        "rate": period.rate(series.timeline, language),
        "joins": period.joins(series.timeline, language),
        "weekday_and_hour": period.weekday_and_hour(series.weekdays_and_hours, language),
        "response_codes": period.response_codes(series.response_codes, ("00",), language),
        "time_difference": period.time_difference(
            series.time_difference, series.median_distance, language
        ),
        "frequency": customer_charts.frequency(marketing.frequency, marketing.frequency, language),
        "deciles": customer_charts.deciles(marketing.deciles, marketing.deciles, language),
        "approval_by_hour": customer_charts.approval_by_hour(
            marketing.hours, marketing.hours, language
        ),
        "approval_by_weekday": customer_charts.approval_by_weekday(
            marketing.weekdays, marketing.weekdays, language
        ),
        "declined_by_code": decline_charts.by_code(judged.codes, language),
        "declined_by_hour": decline_charts.by_hour(judged.hours, language),
    }


NAMES = tuple(every(of()))


@pytest.mark.parametrize(("days", "tickformat"), [(10, "%d/%m"), (366, "%d/%m<br>%Y")])
def test_the_ticks_of_a_period_of_nearly_a_year_or_more_have_the_year(
    days: int, tickformat: str
) -> None:
    assert every(of(days))["amount"].figure.layout.xaxis.tickformat == tickformat


@pytest.mark.parametrize(
    ("days", "by", "when", "tickformat"),
    [
        (401, "por semana", "na semana de 02/03/2026", "%d/%m<br>%Y"),
        (2_801, "por mês", "em 03/2026", "%m/%Y"),
    ],
)
def test_a_chart_of_a_long_period_names_its_weeks_or_months_and_narrows_to_no_day(
    days: int, by: str, when: str, tickformat: str
) -> None:
    chart = every(of(days))["purchases"]
    assert chart.figure.layout.title.text.endswith(by)
    assert when in chart.finding
    assert chart.figure.layout.xaxis.tickformat == tickformat
    assert chart.days == ()
    assert len(chart.figure.data[0].x) <= 400


def spec(chart: Chart) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(chart.figure.to_json())
    return loaded


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("result", [of(), of(days=1), of(purchases=1), of(purchases=0)])
def test_a_chart_has_a_title_named_axes_hover_text_a_finding_and_its_numbers(
    name: str, result: Reconciliation
) -> None:
    chart = every(result)[name]
    figure = spec(chart)
    layout = figure["layout"]

    assert layout["title"]["text"]
    assert layout["xaxis"]["title"]["text"]
    assert layout["yaxis"]["title"]["text"]
    assert layout["separators"] == ",."
    assert all(trace["hovertemplate"] for trace in figure["data"])
    assert chart.finding
    assert "{" not in chart.finding
    written = [[write(v) for v in values] for values, write in chart.columns.values()]
    assert len({len(column) for column in written}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_chart_goes_through_the_translation(name: str) -> None:
    def english(message: str, **values: object) -> str:
        return "#" + message.format(**values) + "#"

    names = dict.fromkeys(("weekdays", "short_weekdays"), ("#d#",) * 7)
    language = Language(**{**vars(PORTUGUESE), "t": english, **names})
    chart = every(of(), language)[name]
    figure = spec(chart)

    layout = figure["layout"]
    texts = [layout["title"]["text"], *(layout[a]["title"]["text"] for a in ("xaxis", "yaxis"))]
    texts += [trace["name"] for trace in figure["data"] if "name" in trace]
    texts += [chart.finding]
    assert all(text.startswith("#") for text in texts)
    assert all("#" in heading for heading in chart.columns)


def test_the_points_of_a_chart_by_day_are_of_its_days_in_order() -> None:
    by_day = [chart for chart in every(of()).values() if chart.days]

    assert len(by_day) == 4
    for chart in by_day:
        assert chart.days == tuple(MONDAY + timedelta(days=n) for n in range(3))
        for trace in spec(chart)["data"]:
            assert tuple(date.fromisoformat(x) for x in trace["x"]) == chart.days


def test_a_chart_by_hour_has_no_days_to_narrow_to() -> None:
    assert not any(chart.days for chart in every(of(days=1)).values())


def test_the_purchases_chart_names_the_day_with_most_divergences() -> None:
    chart = every(of(days=2), VALUES)["purchases"]

    assert chart.finding == "02/03/2026 n6 n6"
    [_, _, (divergences, _), _] = chart.columns.values()
    assert list(divergences) == [6, 0]


def test_the_total_amount_of_a_sentence_is_the_sum_of_exact_decimals() -> None:
    timeline = time_series.timeline(of())
    timeline["amount"] = [Decimal("90071992547409.93"), Decimal("0.01"), Decimal("0.00")]

    assert "R$90071992547409.94" in period.amount(timeline, PORTUGUESE).finding


def test_a_single_day_of_a_weekday_is_one_day() -> None:
    cells = time_series.by_weekday_and_hour(of(days=8))

    grid = spec(period.weekday_and_hour(cells, VALUES))["data"][0]["customdata"]

    assert {days for _, days in grid[0]} == {"plural"}
    assert {days for _, days in grid[1]} == {"singular"}


def test_a_rate_of_few_purchases_is_drawn_but_not_in_the_finding() -> None:
    timeline = time_series.timeline(of())
    timeline["consolidated"], timeline["without_log"] = [100, 95, 1], [0, 5, 4]
    timeline["rate"] = [1.0, 0.95, 0.2]

    chart = period.rate(timeline, VALUES)

    assert chart.finding.startswith("03/03/2026 95.0%")
    assert spec(chart)["layout"]["yaxis"]["range"][0] < 0.2


def test_response_codes_are_categories_and_blank_ones_have_a_name() -> None:
    chart = every(of(), VALUES)["response_codes"]
    figure = spec(chart)
    codes = figure["data"][0]["y"]

    assert figure["layout"]["yaxis"]["type"] == "category"
    assert (codes[0], codes[2]) == ("00", "51")
    assert codes[1].strip()
    assert chart.finding.endswith(f" {codes[1]} n6")


def test_only_the_most_frequent_codes_are_drawn_and_all_are_tabulated() -> None:
    codes = pd.DataFrame(
        {
            "code": [f"{n:02}" for n in range(30)],
            "matched": np.arange(30, 0, -1),
            "divergences": np.zeros(30, dtype=np.int64),
        }
    )

    chart = period.response_codes(codes, ("00",), PORTUGUESE)

    assert len(spec(chart)["data"][0]["y"]) == 10
    assert all(len(values) == 30 for values, _ in chart.columns.values())


@pytest.mark.parametrize(
    ("low", "unit", "first"),
    [
        ([-2.0, -1.0, 0.0], "segundos", "n-2"),
        ([-60.0, 0.0, 60.0], "minutos", "n-1 n0"),
        ([-7200.0, -3600.0, 0.0], "horas", "n-2 n-1"),
        ([-86_400.0, 0.0, 86_400.0], "dias", "n-1 n0"),
    ],
)
def test_a_difference_is_in_the_unit_of_the_width_of_its_bins(
    low: list[float], unit: str, first: str
) -> None:
    width = low[1] - low[0]
    bins = pd.DataFrame({"low": low, "high": [v + width for v in low], "transactions": [1, 2, 3]})

    chart = period.time_difference(bins, 3.0, VALUES)

    assert spec(chart)["layout"]["xaxis"]["title"]["text"] == unit
    assert spec(chart)["data"][0]["customdata"][0] == first
    assert chart.finding == "n3 s"


def test_values_beyond_the_axis_are_drawn_at_its_ends_in_another_colour() -> None:
    bins = pd.DataFrame(
        {
            "low": [-np.inf, 0.0, 1.0, 2.0],
            "high": [0.0, 1.0, 2.0, np.inf],
            "transactions": [4, 50, 60, 7],
        }
    )

    near, far = spec(period.time_difference(bins, 1.0, VALUES))["data"]

    assert near["marker"]["color"] != far["marker"]["color"]
    assert far["customdata"] == ["n0", "n2"]


def test_the_preceding_period_is_drawn_only_if_it_was_read() -> None:
    marketing = customers.marketing(of())

    alone = customer_charts.deciles(marketing.deciles, None, PORTUGUESE)
    both = customer_charts.deciles(marketing.deciles, marketing.deciles, PORTUGUESE)

    [name] = [trace["name"] for trace in spec(alone)["data"]]
    [first, second] = [trace["name"] for trace in spec(both)["data"]]
    assert name == first != second
    assert len(both.columns) == 2 * len(alone.columns) - 1


def test_charts_do_not_change_their_frames() -> None:
    series = time_series.series(of())
    before = series.timeline.copy()

    period.amount(series.timeline, PORTUGUESE)
    period.rate(series.timeline, PORTUGUESE)

    pd.testing.assert_frame_equal(series.timeline, before)


def test_charts_import_neither_the_screen_nor_the_catalogues() -> None:
    code = (
        "import sys, lib.charts.period, lib.charts.customers;"
        "assert not {'streamlit', 'gettext', 'babel'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
