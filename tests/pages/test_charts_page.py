"""The page Gráficos over real databases."""

from __future__ import annotations

import base64
import json
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from lib.ui import app_state, chart_view, day, tables
from tests.support import scenario
from tests.support.dashboard import Dashboard, charts, frames, texts
from tests.support.scenario import BULK, today

TITLES = (
    "Consolidadas e divergências por dia",
    "Valor consolidado por dia",
    "Taxa de consolidação por dia",
    "Físico e virtual por dia",
    "Compras por dia da semana e hora",
    "Logs por código de resposta",
    "Diferença de tempo entre log e transação",
)


def titles(at: AppTest) -> tuple[str, ...]:
    return tuple(figure["layout"]["title"]["text"] for figure in charts(at))


def click(at: AppTest, title: str, point: int | None) -> None:
    """Click a point of a chart, or beside all of them; AppTest has no method for it."""
    chart = at.get("plotly_chart")[titles(at).index(title)]
    # Plotly sends the middle of a bar, which beside another bar lies in the day before.
    x = f"{today() - timedelta(days=11 - (point or 0))} 19:12"
    points = [] if point is None else [{"x": x, "y": 1, "curve_number": 0, "point_index": point}]
    indices = [] if point is None else [point]
    selection = {"points": points, "point_indices": indices, "box": [], "lasso": []}
    states = at._tree.get_widget_states()
    states.widgets.append(
        WidgetState(id=chart.proto.id, string_value=json.dumps({"selection": selection}))
    )
    at._run(states)


def numbers(at: AppTest, chart: str) -> pd.DataFrame:
    """Open the numbers of one chart."""
    at.session_state[f"{chart}_numeros"] = True
    return frames(at.run())[-1].replace(r"[R$.\s]", "", regex=True)


def period(at: AppTest) -> tuple[date, ...]:
    return tuple(at.date_input[0].value)


def test_each_chart_has_its_title_its_finding_and_its_numbers(
    morning: Dashboard,
) -> None:
    at = morning.open("charts")

    assert not at.exception
    assert titles(at) == TITLES
    assert all(chart.proto.alt for chart in at.get("plotly_chart"))
    purchases = numbers(at, "purchases")
    assert purchases["Consolidadas"].astype(int).sum() == BULK + 3
    assert purchases["Divergências"].astype(int).sum() == 2
    assert purchases["Sem log"].astype(int).sum() == 1
    yesterday = f"{today() - timedelta(days=1):%d/%m/%Y}"
    assert yesterday in at.get("plotly_chart")[0].proto.alt
    assert at.get("plotly_chart")[0].proto.alt in texts(at)


def test_the_amounts_of_a_chart_are_the_amounts_of_the_books(morning: Dashboard) -> None:
    at = morning.open("charts")

    expected = 1234.56 + 10 + 30 + sum(n + 0.5 for n in range(BULK))
    amounts = numbers(at, "amount")["Valor consolidado"].str.replace(",", ".").astype(float)
    assert amounts.sum() == pytest.approx(expected)
    drawn = charts(at)[1]["data"][0]["y"]
    values = np.frombuffer(base64.b64decode(drawn["bdata"]), drawn["dtype"])
    assert values.sum() == pytest.approx(expected)


@pytest.mark.parametrize("title", [TITLES[n] for n in range(4)])
def test_a_click_on_a_day_narrows_the_view_to_it_hour_by_hour(
    morning: Dashboard, title: str
) -> None:
    at = morning.open("charts")
    before, yesterday = period(at), today() - timedelta(days=1)

    click(at, title, 9)

    assert not at.exception
    assert period(at) == before
    assert at.query_params["dia"] == yesterday.isoformat()
    assert titles(at)[0] == "Consolidadas e divergências por hora"
    hours = numbers(at, "purchases").set_index("Hora")
    assert hours.loc[["10:00", "11:00", "13:00"], "Consolidadas"].to_list() == ["1", "1", "1"]
    at.button(key=day.CLOSE).click().run()
    assert titles(at) == TITLES
    assert "dia" not in at.query_params


def test_a_click_beside_all_points_changes_nothing(morning: Dashboard) -> None:
    at = morning.open("charts")
    before = period(at)

    click(at, TITLES[0], None)

    assert not at.exception
    assert period(at) == before


def test_a_single_day_is_drawn_by_the_hour_and_offers_no_click(morning: Dashboard) -> None:
    yesterday = (today() - timedelta(days=1)).isoformat()

    at = morning.open("charts", periodo=[yesterday, yesterday])

    assert titles(at)[1] not in TITLES
    assert chart_view.CLICK_HINT not in texts(at)


def test_the_charts_speak_english_to_an_english_browser(morning: Dashboard) -> None:
    at = morning.open("charts", locale="en-US")

    assert not at.exception
    assert not set(titles(at)) & set(TITLES)
    assert all(figure["layout"]["separators"] == ".," for figure in charts(at))


def test_the_charts_follow_the_chosen_rule(morning: Dashboard) -> None:
    at = morning.open("charts", regra="card_time", tolerancia="0")

    assert not at.exception
    assert numbers(at, "purchases")["Consolidadas"].astype(int).sum() == BULK


def test_a_period_with_logs_only_is_charted_without_a_purchase(dashboard: Dashboard) -> None:
    yesterday = today() - timedelta(days=1)
    log = ("4000001111110001", yesterday, "10:00", "51", "Recusada", "0100012345678000190")
    dashboard.databases.fill(auth_logs=[log])

    at = dashboard.open("charts")

    assert not at.exception
    assert titles(at) == TITLES
    assert "Nenhuma transação no período." in texts(at)


def test_the_numbers_of_a_chart_wait_until_they_are_opened(
    morning: Dashboard, tmp_path: Path
) -> None:
    scenario.site(tmp_path, morning.databases.values, window_days=36_500)
    app_state.forget()
    at = morning.open("charts")
    assert not at.exception
    assert len(at.get("plotly_chart")) == 7
    assert not frames(at)
    assert "Valor consolidado por mês" in titles(at)
    assert len(numbers(at, "amount")) == tables.PAGE_ROWS
    assert re.search(r"1\.20[01] linhas", texts(at))
