"""Resumo: figures with their series, books by day, latest instants, and open divergences."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from lib.delivery import diagnosis
from lib.ui import day as chip
from lib.ui import overview, page, same_weekdays, source_check
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.scenario import BULK, LONELY, MERCHANT, PHYSICAL, UNKNOWN, masked, today
from tests.support.sentences import says
from tests.support.servers import Servers

FIELD = f"0{MERCHANT}"
CARD = "4000001111110001"


def plain(text: str) -> str:
    return text.replace("\xa0", " ").replace("\\", "")


def tables(at: AppTest) -> list[dict[str, dict[str, str]]]:
    """The tables by their first column, then by heading."""
    return [
        {row[table.columns[0]]: row for row in table.to_dict("records")} for table in frames(at)
    ]


def click(at: AppTest, number: int, row: int) -> None:
    """Click a row of a table; AppTest has no method for it."""
    trigger = _make_trigger_id(at.get("bidi_component")[number].proto.id, "events")
    states = at._tree.get_widget_states()
    event = json.dumps([{"event": "open", "value": row}])
    states.widgets.append(WidgetState(id=trigger, json_trigger_value=event))
    at._run(states)


def day(ago: int) -> str:
    return f"{today() - timedelta(days=ago):%d/%m/%Y}"


def test_each_figure_has_its_detail_and_its_series_by_day(morning: Dashboard) -> None:
    at = morning.open()
    figures = {m.label: (plain(m.value), plain(m.delta)) for m in at.metric[2:]}
    assert figures == {
        "Transações": ("125", "1 sem log"),
        "Consolidadas": ("123", "99,2% das compras"),
        "Divergências": ("2", "1 para analisar"),
        "Valor consolidado": ("R$ 8.474,56", "R$ 68,90 em média"),
    }
    series = [list(m.proto.chart_data) for m in at.metric[2:]]
    quiet = [0.0] * 8
    # Today is not over, and would end every line in a fall.
    assert series[0] == [*quiet, BULK, 5]
    assert series[1] == [*quiet, BULK, 3]
    assert series[2] == [*quiet, 0, 2]
    assert sum(series[3]) == 8474.56


def test_the_books_balance_in_one_line_with_a_tick(morning: Dashboard) -> None:
    [line] = morning.open().success
    numbers = [int(number) for number in re.findall(r"\d+", str(line.value))]
    assert numbers == [125, 123, 1, 1, 126, 124, 2]
    assert unescaped(line.value).startswith("✓ ")


def test_the_books_stand_day_by_day_by_count_and_by_amount(morning: Dashboard) -> None:
    _, counts, amounts = tables(morning.open())
    assert list(counts) == [day(ago) for ago in range(11)] + ["Período"]
    assert counts[day(1)] == {
        "day": day(1),
        "logs": "6",
        "logs_matched": "4",
        "divergences": "2",
        "transactions": "5",
        "consolidated": "3",
        "without_log": "1",
        "duplicates": "1",
    }
    assert counts["Período"]["transactions"] == "125"
    assert {name: plain(text) for name, text in amounts[day(1)].items()} == {
        "day": day(1),
        "amount": "R$ 1.324,56",
        "amount_consolidated": "R$ 1.274,56",
        "amount_without_log": "R$ 20,00",
        "amount_duplicates": "R$ 30,00",
    }
    assert plain(amounts["Período"]["amount_consolidated"]) == "R$ 8.474,56"


def test_the_latest_instants_stand_side_by_side_with_the_days_without_records(
    morning: Dashboard,
) -> None:
    at = morning.open()
    reached = {m.label: m.value for m in at.metric[:2]}
    assert reached == {
        "Banco A (transações)": f"{day(1)} 13:00:00",
        "Banco B (logs)": f"{day(1)} 13:00:01",
    }
    assert overview.NO_TRANSACTIONS_ON.format(days=day(10)) in texts(at)
    assert overview.NO_LOGS_ON.format(days=day(10)) in texts(at)


def test_open_divergences_are_listed_and_a_click_leads_to_all_of_them(morning: Dashboard) -> None:
    at = morning.open()
    assert list(tables(at)[0]) == [masked(UNKNOWN)]
    at.button(key=overview.SHOW_ALL).click().run()
    assert at.title[0].value == "Divergências"
    assert at.query_params["divergences_motivo"] == "aprovada sem transação"
    assert list(tables(at)[0]) == [masked(UNKNOWN)]


def test_a_whole_day_without_records_is_a_warning_and_today_is_not_whole(
    dashboard: Dashboard,
) -> None:
    bought: list[tuple[Any, ...]] = []
    logged: list[tuple[Any, ...]] = []
    for ago in (4, 2, 1):
        at = today() - timedelta(days=ago)
        bought.append((CARD, at, "10:00", MERCHANT, None, 1))
        logged.append((CARD, at, "10:00", "00", "x", FIELD))
    dashboard.databases.fill(transactions=bought, auth_logs=logged)

    def warnings(first: int, language: str = "pt-BR") -> list[str]:
        span = [(today() - timedelta(days=ago)).isoformat() for ago in (first, 0)]
        shown = dashboard.open(locale=language, periodo=span).warning
        return [text for text in map(unescaped, (w.value for w in shown)) if "CNPJ" not in text]

    missing = today() - timedelta(days=3)
    assert warnings(2) == []
    assert warnings(4) == [
        diagnosis.NO_DAY[side].format(first=missing) for side in ("transactions", "auth_logs")
    ]
    assert f"{missing:%b %d, %Y}" in warnings(4, "en-US")[1]


def test_one_purchase_and_its_log_fill_every_page(dashboard: Dashboard) -> None:
    dashboard.databases.fill(
        transactions=[(CARD, today(), "00:00", MERCHANT, None, 1)],
        auth_logs=[(CARD, today(), "00:00", "00", "x", FIELD)],
    )
    for name in ("overview", "consolidated", "divergences", "charts", "customers"):
        at = dashboard.open(name)
        assert not at.exception
        assert not at.error
    at = dashboard.open()
    assert [m.value for m in at.metric[2:5]] == ["1", "1", "0"]
    assert len(frames(dashboard.open("consolidated"))[0]) == 1
    [drawn] = json.loads(dashboard.open("charts").get("plotly_chart")[1].proto.spec)["data"]
    assert drawn["name"] == "Valor consolidado"


def test_twenty_thousand_records_of_each_side_fill_every_page(dashboard: Dashboard) -> None:
    records = f"""FROM generate_series(1, 20000) AS n,
        LATERAL (SELECT '400000' || lpad(n::text, 10, '0') AS card,
                        date '{today()}' - 1 - n % 5 AS day,
                        time '08:00' + n % 36000 * interval '1 second' AS at) AS r"""
    dashboard.databases.execute(
        "transactions",
        f"INSERT INTO transactions SELECT card, day, at, '{MERCHANT}', NULL, n {records}",
    )
    dashboard.databases.execute(
        "auth_logs",
        "INSERT INTO authentication.transaction_logs "
        f"SELECT card, day, at, '00', 'Compra ' || n, '{FIELD}' {records}",
    )
    for name in ("overview", "divergences", "charts", "customers"):
        at = dashboard.open(name)
        assert not at.exception
        assert not at.error
    last = dashboard.open("consolidated", consolidated_ordem="vlr_total", consolidated_pagina="400")
    table = frames(last)[0]
    assert len(table) == 50
    assert plain(table.iloc[-1]["vlr_total"]) == "R$ 20.000,00"
    results = dashboard.open("consolidated", consolidated_busca="compra 19999")
    assert list(frames(results)[0]["des_log"]) == ["Compra 19999"]


def test_a_button_checks_the_databases(morning: Dashboard) -> None:
    day = today() - timedelta(days=1)
    morning.databases.fill(
        auth_logs=[("4000 0012 3456 1234", day, "12:00", "51", "", "0" + MERCHANT)]
    )
    at = morning.open()
    at.button(key=source_check.CHECK).click().run()
    assert len([e for e in at.success if "PostgreSQL" in str(e.value)]) == 2
    assert any(says(unescaped(e.value), diagnosis.ODD_CARDS) for e in at.warning)


def test_an_empty_side_is_one_warning(dashboard: Dashboard) -> None:
    dashboard.databases.fill([(PHYSICAL, today(), "10:00", MERCHANT, None, "1.00")])
    at = dashboard.open()
    assert [str(e.value) for e in at.warning if "CNPJ" not in str(e.value)] == [page.NO_LOGS]


def test_what_to_do_stands_before_the_figures(morning: Dashboard) -> None:
    at = morning.open()
    headings = [heading.value for heading in at.header]
    assert headings == [
        "Para analisar",
        "Dados disponíveis até",
        "Resultado do período",
        "Fechamento diário",
    ]
    main = [element.type for element in at.main]
    assert main.index("header") < main.index("metric")
    at.button(key=overview.SHOW_WITHOUT_LOG).click().run()
    assert at.query_params["aba"] == "sem-log"
    assert masked(LONELY) in frames(at)[0].to_string()


def test_a_period_in_order_says_that_nothing_needs_analysis(dashboard: Dashboard) -> None:
    dashboard.databases.fill(
        transactions=[(CARD, today(), "00:00", MERCHANT, None, 1)],
        auth_logs=[(CARD, today(), "00:00", "00", "x", FIELD)],
    )
    at = dashboard.open()
    assert at.success[0].value == overview.NOTHING_TO_ANALYSE
    assert says(texts(at), same_weekdays.TOO_FEW)


def fill_yesterdays(dashboard: Dashboard, counts: list[int], declined: int = 0) -> None:
    """Fill yesterday and the same weekday of the weeks before with so many purchases each."""
    bought: list[tuple[Any, ...]] = []
    logged: list[tuple[Any, ...]] = []
    for weeks, count in enumerate(counts):
        at = today() - timedelta(days=1 + 7 * weeks)
        for number in range(count):
            card = f"40000{number:011}"
            bought.append((card, at, "10:00", MERCHANT, None, 1))
            code = "51" if weeks == 0 and number < declined else "00"
            logged.append((card, at, "10:00", code, "x", FIELD))
    dashboard.databases.fill(transactions=bought, auth_logs=logged)


def test_a_day_far_from_the_same_weekdays_is_a_warning(dashboard: Dashboard) -> None:
    fill_yesterdays(dashboard, [20, 100, 101, 0, 99, 100, 100])
    shown = [unescaped(warning.value) for warning in dashboard.open().warning]
    for template in (same_weekdays.TRANSACTIONS, same_weekdays.LOGS):
        [sentence] = [text for text in shown if says(text, template)]
        # The week without data is no week to compare with.
        assert " 20 " in sentence
        assert "nas 5 semanas" in sentence
        assert sentence.endswith(" 100.")
    assert not any(says(text, same_weekdays.DECLINED) for text in shown)


def test_more_declined_than_on_the_same_weekdays_is_a_warning(dashboard: Dashboard) -> None:
    fill_yesterdays(dashboard, [100] * 7, declined=30)
    [sentence] = [
        text
        for text in (unescaped(warning.value) for warning in dashboard.open().warning)
        if says(text, same_weekdays.DECLINED)
    ]
    assert "30,0%" in sentence


@pytest.mark.parametrize("counts", [[95, 100, 110, 90, 100], [9, 4, 5, 4, 5]], ids=["many", "few"])
def test_a_day_like_the_same_weekdays_but_for_chance_is_one_line(
    dashboard: Dashboard, counts: list[int]
) -> None:
    fill_yesterdays(dashboard, counts, declined=counts[0] // 45)
    at = dashboard.open()
    assert says(texts(at), same_weekdays.AS_USUAL)
    today_only = dashboard.open(periodo=[today().isoformat()] * 2)
    assert not says(texts(today_only), same_weekdays.AS_USUAL)


def test_weeks_that_cannot_be_read_are_not_called_usual(
    dashboard: Dashboard, servers: Servers
) -> None:
    fill_yesterdays(dashboard, [5])
    dashboard.open("divergences")
    servers.stop("auth_logs")
    at = dashboard.open()
    assert not at.exception
    assert says(texts(at), same_weekdays.NOT_READ)
    assert at.metric[2].value == "5"


def test_a_click_on_a_day_of_the_books_narrows_the_page_to_its_row(morning: Dashboard) -> None:
    at = morning.open()
    row = tables(at)[1][day(1)]
    click(at, 1, 1)
    assert at.query_params["dia"] == (today() - timedelta(days=1)).isoformat()
    figures = {m.label: m.value for m in at.metric[2:5]}
    assert figures["Transações"] == row["transactions"]
    assert figures["Consolidadas"] == row["consolidated"]
    assert figures["Divergências"] == row["divergences"]
    assert tables(at)[1][day(1)] == row


@pytest.mark.parametrize("bad", ["ontem", "2026-02-30", "2000-01-01", "9999-12-31"])
def test_a_day_outside_the_period_is_not_shown_and_the_page_says_so(
    morning: Dashboard, bad: str
) -> None:
    at = morning.open(dia=bad)
    assert chip.BAD_DAY in [unescaped(warning.value) for warning in at.warning]
    assert "dia" not in at.query_params
    assert at.metric[2].value == "125"


def test_a_newly_chosen_period_is_shown_whole(morning: Dashboard) -> None:
    at = morning.open(dia=(today() - timedelta(days=1)).isoformat())
    assert at.metric[2].value == "5"
    at.pills(key="atalho").set_value("7d").run()
    assert at.metric[2].value == "125"
    assert "dia" not in at.query_params


def test_the_page_says_why_longer_periods_find_more_and_offers_the_other_rule(
    morning: Dashboard,
) -> None:
    at = morning.open()
    assert overview.LONGER_FINDS_MORE in texts(at)
    at.button(key=overview.USE_CARD_TIME).click().run()
    assert at.query_params["regra"] == "card_time"
    assert overview.LONGER_FINDS_MORE not in texts(at)
