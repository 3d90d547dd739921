"""The filters of every page: period, merchant and rule, and their values in the address."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.ui import filters, page
from lib.ui import period as period_filter
from tests.support.dashboard import Dashboard, figures, frames, period, subject, texts, unescaped
from tests.support.scenario import BULK, LONELY, MERCHANT, masked, today
from tests.support.sentences import says
from tests.support.servers import MERCHANTS


def written(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def test_the_first_period_is_the_configured_window(morning: Dashboard) -> None:
    at = morning.open()
    assert period(at) == (today() - timedelta(days=10), today())
    assert at.pills(key="atalho").value == "padrao"


@pytest.mark.parametrize("name", period_filter.presets(today(), 10))
def test_a_preset_sets_the_period_and_stays_marked(morning: Dashboard, name: str) -> None:
    at = morning.open()
    at.pills(key="atalho").set_value(name).run()
    assert period(at) == period_filter.presets(today(), 10)[name]
    assert at.pills(key="atalho").value == name
    assert at.query_params["periodo"] == [day.isoformat() for day in period(at)]


@pytest.mark.parametrize(
    ("today", "last_week"),
    [
        (date(2026, 3, 1), (date(2026, 2, 16), date(2026, 2, 22))),  # a Sunday
        (date(2026, 3, 2), (date(2026, 2, 23), date(2026, 3, 1))),  # a Monday
    ],
    ids=str,
)
def test_presets_have_whole_days_and_weeks_and_the_scheduled_window(
    today: date, last_week: tuple[date, date]
) -> None:
    yesterday = today - timedelta(days=1)
    assert period_filter.presets(today, 10) == {
        "hoje": (today, today),
        "ontem": (yesterday, yesterday),
        "7d": (today - timedelta(days=7), yesterday),
        "semana-passada": last_week,
        "mes": (date(2026, 3, 1), today),
        "mes-passado": (date(2026, 2, 1), date(2026, 2, 28)),
        "padrao": (today - timedelta(days=10), today),
    }


@pytest.mark.parametrize("name", ["ontem", "padrao"])
def test_a_preset_stays_marked_on_another_page(morning: Dashboard, name: str) -> None:
    at = morning.open()
    at.pills(key="atalho").set_value(name).run()
    at.switch_page("pages/divergences.py").run()
    assert at.title[0].value == "Divergências"
    assert at.pills(key="atalho").value == name


def test_a_free_range_sets_the_period_and_no_preset_is_marked(morning: Dashboard) -> None:
    at = morning.open()
    span = (today() - timedelta(days=5), today() - timedelta(days=3))
    at.date_input(key="periodo").set_value(span).run()
    assert f"{written(span[0])} a {written(span[1])}" in subject(at)
    assert at.pills(key="atalho").value is None


@pytest.mark.parametrize(
    ("unfinished", "template"),
    [((), period_filter.NO_DATES), ((date(2026, 1, 5),), period_filter.NO_END)],
    ids=["none", "one"],
)
def test_an_unfinished_range_changes_nothing_and_says_what_it_waits_for(
    morning: Dashboard, unfinished: tuple[date, ...], template: str
) -> None:
    at = morning.open()
    before, address = subject(at), at.query_params["periodo"]
    waiting = template.format(period=before.split(" · ")[-1])
    assert waiting not in texts(at)
    at.date_input(key="periodo").set_value(unfinished).run()
    assert not at.exception
    assert (subject(at), at.query_params["periodo"]) == (before, address)
    assert waiting in texts(at)
    at.date_input(key="periodo").set_value((today(), today())).run()
    assert not says(texts(at), template)


def test_another_merchant_is_another_request(morning: Dashboard) -> None:
    at = morning.open()
    other = next(cnpj for cnpj in MERCHANTS if cnpj != MERCHANT)
    at.selectbox(key="estabelecimento").set_value(other).run()
    assert at.query_params["estabelecimento"] == other
    assert says(texts(at), page.NO_RECORDS)
    assert MERCHANTS[other] in texts(at)


def test_the_rule_by_time_asks_for_its_tolerance(morning: Dashboard) -> None:
    at = morning.open()
    assert not at.number_input
    at.selectbox(key="regra").set_value("card_time").run()
    at.number_input(key="tolerancia").set_value(0).run()
    assert not at.exception
    assert (at.query_params["regra"], at.query_params["tolerancia"]) == ("card_time", "0")
    # Only the purchases with a log of the same second match.
    assert figures(at)["Consolidadas"] == str(BULK)


def test_an_emptied_tolerance_changes_nothing(morning: Dashboard) -> None:
    at = morning.open(regra="card_time", tolerancia="9")
    at.number_input(key="tolerancia").set_value(7).run()
    at.number_input(key="tolerancia").set_value(None).run()
    assert not at.exception
    assert at.query_params["tolerancia"] == "7"
    assert figures(at)["Consolidadas"] == str(BULK + 3)


def test_a_copied_link_opens_the_same_view(morning: Dashboard) -> None:
    first = morning.open("consolidated")
    first.pills(key="atalho").set_value("7d").run()
    first.selectbox(key="regra").set_value("card_time").run()
    first.number_input(key="tolerancia").set_value(9).run()
    first.text_input(key="consolidated_busca").set_value("simples").run()
    first.selectbox(key="consolidated_ordem").set_value("-vlr_total").run()
    first.multiselect(key="consolidated_tipo_match").set_value(["físico"]).run()
    first.get("pagination")[0].set_value(2).run()
    second = morning.open("consolidated", **first.query_params)
    assert second.query_params == first.query_params
    assert second.number_input(key="tolerancia").value == 9
    assert frames(second)[0].equals(frames(first)[0])
    assert subject(second) == subject(first)


def test_a_link_keeps_its_dates_when_they_are_no_longer_the_last_ten_days(
    morning: Dashboard,
) -> None:
    days = [(today() - timedelta(days=n)).isoformat() for n in (40, 30)]
    at = morning.open(periodo=days)
    assert [day.isoformat() for day in period(at)] == days


@pytest.mark.parametrize(
    "address",
    [
        {"periodo": ["2026-02-30", "x"]},
        {"periodo": ["2026-03-02", "2026-03-01"]},
        {"periodo": ["1999-01-01", "2026-03-01"]},
        {"periodo": ["2026-01-01", "9999-12-31"]},
        {"periodo": "2026-01-01"},
        {"estabelecimento": "99999999999999"},
        {"regra": "nenhuma"},
        {"regra": "card_time", "tolerancia": "-5"},
        {"tolerancia": "9" * 400},
        {"tolerancia": "²"},
        {"consolidated_pagina": "0"},
        {"consolidated_pagina": "99999999"},
        {"consolidated_ordem": "token_cartao"},
        {"consolidated_cod_resposta": ["<script>", "00"]},
        {"consolidated_pagina": "²"},
        {"consolidated_busca": " " * 5000},
    ],
    ids=str,
)
def test_invalid_values_in_the_address_are_ignored(
    morning: Dashboard, address: dict[str, Any]
) -> None:
    at = morning.open("consolidated", **address)
    assert not at.exception
    assert at.selectbox(key="estabelecimento").value == MERCHANT
    assert period(at) == (today() - timedelta(days=10), today())
    assert len(frames(at)[0]) > 0


NEXT_WEEK = (today() + timedelta(days=7)).isoformat()


@pytest.mark.parametrize(
    ("address", "template"),
    [
        ({"periodo": ["2026-11-01", NEXT_WEEK]}, period_filter.BAD_PERIOD),
        ({"periodo": [NEXT_WEEK, NEXT_WEEK]}, period_filter.BAD_PERIOD),
        ({"periodo": ["ontem", "hoje"]}, period_filter.BAD_PERIOD),
        ({"periodo": "2026-11-01"}, period_filter.BAD_PERIOD),
        ({"periodo": ["2026-11-01"] * 3}, period_filter.BAD_PERIOD),
        ({"estabelecimento": "99999999999999"}, filters.BAD_CHOICE),
        ({"regra": "nenhuma"}, filters.BAD_CHOICE),
        ({"regra": "card_time", "tolerancia": "-5"}, filters.BAD_CHOICE),
    ],
    ids=str,
)
def test_a_link_that_cannot_be_followed_says_so_until_another_choice(
    morning: Dashboard, address: dict[str, Any], template: str
) -> None:
    def said(at: AppTest) -> list[str]:
        warnings = [unescaped(warning.value) for warning in at.warning]
        return [text for text in warnings if text in (period_filter.BAD_PERIOD, filters.BAD_CHOICE)]

    at = morning.open("consolidated", **address)
    assert said(at) == [template]
    assert said(at.run()) == [template]
    if template == period_filter.BAD_PERIOD:
        at.date_input(key="periodo").set_value((today(), today()))
        assert said(at.run()) == []
    assert said(morning.open("consolidated")) == []


def test_a_link_means_the_same_in_another_language(morning: Dashboard) -> None:
    first = morning.open("divergences", locale="en-US", regra="card_time", aba="sem-log")
    second = morning.open("divergences", **first.query_params)
    assert second.query_params == first.query_params
    assert second.selectbox(key="regra").value == "card_time"
    for at in (first, second):
        assert [masked(LONELY)] in [list(frame["num_cartao"]) for frame in frames(at)]
