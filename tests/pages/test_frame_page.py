"""The common beginning of every page: filters, address, errors, empty periods, language."""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader, settings
from lib.config.settings import ROOT
from lib.dashboard.dataset_store import Loading
from lib.database import error_translation, sides
from lib.demo import servers as demo
from lib.ui import app_state, extraction_status, filters, page, refresh
from lib.ui import period as period_filter
from lib.ui.i18n import ENGLISH, PORTUGUESE, catalogue
from tests.support import scenario
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.scenario import BULK, LONELY, MERCHANT, masked, today
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Servers

PAGES = {
    "overview": ("Resumo", "Overview"),
    "consolidated": ("Transações consolidadas", "Consolidated transactions"),
    "divergences": ("Divergências", "Divergences"),
    "charts": ("Gráficos", "Charts"),
    "customers": ("Clientes", "Customers"),
}


def figures(at: AppTest) -> dict[str, str]:
    """The page's figures by label."""
    return {metric.label: metric.value for metric in at.metric}


def period(at: AppTest) -> tuple[date, ...]:
    return tuple(at.date_input(key="periodo").value)


def subject(at: AppTest) -> str:
    return str(at.caption[0].value)


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def error(at: AppTest) -> str:
    """The first error's sentence."""
    return unescaped(at.error[0].value)


def written(day: date) -> str:
    return f"{day:%d/%m/%Y}"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("number", [0, 1], ids=["portuguese", "english"])
def test_every_page_opens_by_its_address_and_again(
    morning: Dashboard, name: str, number: int
) -> None:
    at = morning.open(name, locale=["pt-BR", "en-US"][number])
    for _ in range(2):
        assert not at.exception
        assert at.title[0].value == PAGES[name][number]
        at.run()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_runs_without_the_entry_draws_filters_all_the_same(
    morning: Dashboard, name: str
) -> None:
    at = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=120).run()
    assert not at.exception
    assert at.selectbox(key="estabelecimento").value == MERCHANT


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


@pytest.mark.slow
@pytest.mark.parametrize("days", [9_829, 36_500])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_the_longest_window(
    morning: Dashboard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    days: int,
) -> None:
    file = scenario.site(tmp_path, morning.databases.values, window_days=days)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(file))
    at = morning.open(name)
    assert not at.exception
    assert not at.error
    assert period(at) == (today() - timedelta(days=days), today())
    address = {key: at.query_params[key] for key in ("periodo", "estabelecimento")}
    again = morning.open(name, **address)
    assert period(again) == period(at)
    assert not again.exception


def test_a_database_that_is_down_is_one_sentence_and_the_retry_button_recovers(
    morning: Dashboard, servers: Servers
) -> None:
    servers.stop("auth_logs")
    try:
        at = morning.open()
        assert not at.exception
        assert not at.metric
        assert says(error(at), error_translation.NOT_CONNECTED)
        assert error(at).startswith("auth_logs")
    finally:
        servers.start("auth_logs")
    press(at, extraction_status.RETRY)
    assert not at.error
    assert figures(at)["Transações"] == "125"


def test_a_configuration_that_cannot_be_read_is_one_sentence_and_recovers(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = Path(loader.os.environ[loader.FILE_VARIABLE])
    bad = tmp_path / "bad.toml"
    bad.write_text("[aggregator]\nwindow_dias = 3\n")
    monkeypatch.setenv(loader.FILE_VARIABLE, str(bad))
    at = morning.open()
    assert {"window_dias", "window_days"} <= set(re.findall(r"\w+", error(at)))
    assert len(at.error) == 1
    monkeypatch.setenv(loader.FILE_VARIABLE, str(good))
    press(at, extraction_status.RETRY)
    assert not at.error
    assert at.metric


def test_a_loading_shows_its_stages_with_their_rows_as_they_arrive() -> None:
    running, shown = Loading(), []
    for stage, rows in (("transactions", 1_000), ("auth_logs", 20_000), ("matching", 21_000)):
        shown.append(extraction_status.lines(running))
        running(stage, rows)
    shown.append(extraction_status.lines(running))
    first = partial(extraction_status.READ[1].format, side=extraction_status.TRANSACTIONS)
    second = partial(extraction_status.READ[1].format, side=extraction_status.AUTH_LOGS)
    first_waits = extraction_status.CONNECTING.format(side=extraction_status.TRANSACTIONS)
    second_waits = extraction_status.CONNECTING.format(side=extraction_status.AUTH_LOGS)
    assert shown == [
        [first_waits, second_waits],
        [first(count="1.000"), second_waits],
        [first(count="1.000"), second(count="20.000")],
        [
            first(count="1.000") + " ✓",
            second(count="20.000") + " ✓",
            extraction_status.MATCHING[1].format(count="21.000"),
        ],
    ]


def test_an_unexpected_failure_is_one_sentence_without_its_details(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: caught.append(args.exc_value))
    monkeypatch.setattr("lib.pipeline.run", lambda *_, **__: {}["4000001111110001"])
    at = morning.open()
    assert not at.exception
    assert error(at) == extraction_status.UNEXPECTED
    assert "4000001111110001" not in texts(at)
    assert [type(problem) for problem in caught] == [KeyError]


@pytest.mark.parametrize(
    ("first", "last"), [(12, 11), (3, 3), (900, 880)], ids=["before", "one_day", "long_ago"]
)
def test_an_empty_period_offers_the_latest_one_of_its_length_with_data(
    dashboard: Dashboard, first: int, last: int
) -> None:
    latest = today() - timedelta(days=1 if last < 800 else 500)
    dashboard.databases.fill(auth_logs=[(LONELY, latest, "10:00", "00", "x", f"0{MERCHANT}")])
    at = dashboard.open(periodo=[(today() - timedelta(days=n)).isoformat() for n in (first, last)])
    assert says(texts(at), page.NO_RECORDS)
    assert "Loja Exemplo" in texts(at)
    assert not at.metric
    press(at, page.LATEST)
    assert period(at) == (latest - timedelta(days=first - last), latest)
    assert at.metric
    assert page.LATEST not in [button.key for button in at.button]


def test_without_any_record_an_empty_period_offers_nothing(dashboard: Dashboard) -> None:
    other = next(cnpj for cnpj in MERCHANTS if cnpj != MERCHANT)
    dashboard.databases.fill([(LONELY, today(), "10:00", other, None, "1.00")])
    at = dashboard.open(estabelecimento=MERCHANT)
    assert page.NO_RECORDS_AT_ALL in texts(at)
    assert page.LATEST not in [button.key for button in at.button]


def test_two_databases_that_fail_are_both_named(morning: Dashboard, servers: Servers) -> None:
    servers.stop("transactions")
    servers.stop("auth_logs")
    shown = error(morning.open())
    assert says(shown, sides.BOTH_FAILED)
    assert "transactions" in shown
    assert "auth_logs" in shown


def test_zero_rows_on_both_sides_leave_every_page_standing(dashboard: Dashboard) -> None:
    for name in PAGES:
        at = dashboard.open(name)
        assert not at.exception
        assert says(texts(at), page.NO_RECORDS)


@pytest.mark.parametrize(
    ("side", "sentence"),
    [("transactions", page.NO_LOGS), ("auth_logs", page.NO_TRANSACTIONS)],
)
def test_one_side_without_records_is_told_apart_from_both(
    dashboard: Dashboard, side: str, sentence: str
) -> None:
    record: dict[str, list[tuple[Any, ...]]] = {
        "transactions": [("4000001111110001", today(), None, MERCHANT, None, 1)],
        "auth_logs": [("4000001111110001", today(), None, "00", "x", f"0{MERCHANT}")],
    }
    dashboard.databases.fill(**{side: record[side]})
    for name in PAGES:
        at = dashboard.open(name)
        assert not at.exception
        assert sentence in texts(at)
        assert at.title[0].value == PAGES[name][0]


def test_refresh_reads_anew_and_shows_the_old_data_until_then(morning: Dashboard) -> None:
    at = morning.open()
    assert figures(at)["Transações"] == "125"
    morning.databases.fill(
        transactions=[("4000001111110001", today(), None, MERCHANT, None, 1)],
    )
    at.run()
    assert figures(at)["Transações"] == "125"
    press(at, refresh.REFRESH)
    assert at.metric
    current = app_state.find()
    assert current is not None
    for running in list(current.store._loading.values()):
        running.future.result(timeout=120)
    at.run()
    assert figures(at)["Transações"] == "126"


def test_a_refresh_that_fails_leaves_the_old_data_and_says_so(
    morning: Dashboard, servers: Servers
) -> None:
    at = morning.open()
    servers.stop("transactions")
    try:
        press(at, refresh.REFRESH)
        current = app_state.find()
        assert current is not None
        for running in list(current.store._loading.values()):
            running.future.exception(timeout=120)
        at.run()
    finally:
        servers.start("transactions")
    assert figures(at)["Transações"] == "125"
    assert says(error(at), error_translation.NOT_CONNECTED)
    assert error(at).startswith("transactions")


def test_without_a_configuration_the_demonstration_stands_under_a_banner(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The servers of the test run stand in for the demonstration's own.
    monkeypatch.delenv(loader.FILE_VARIABLE)
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(demo, "start", lambda: morning.databases.values)
    record = {"history": {"path": str(tmp_path / "history.sqlite")}}
    monkeypatch.setattr(app_state, "history_of_demo", lambda: record)
    for name in (*PAGES, "runs"):
        at = morning.open(name)
        assert at.info[0].value == page.DEMONSTRATION
        # The demonstration's CNPJs need no valid check digits.
        assert not says(texts(at), settings.BAD_DIGITS)
    assert figures(morning.open())["Transações"] == "125"


def test_english_where_the_browser_prefers_it(morning: Dashboard) -> None:
    at = morning.open(locale="en-GB")
    assert list(figures(at)) == [
        "Database A (transactions)",
        "Database B (logs)",
        "Transactions",
        "Consolidated",
        "Divergences",
        "Consolidated amount",
    ]
    assert figures(at)["Consolidated amount"] == "R$8,474.56"
    assert at.pills(key="atalho").options[:2] == ["Today", "Yesterday"]
    assert at.date_input(key="periodo").proto.format == "YYYY-MM-DD"


@pytest.mark.parametrize(("locale", "language"), [("pt-BR", PORTUGUESE), ("en-US", ENGLISH)])
def test_a_warning_of_the_configuration_is_in_the_readers_language(
    morning: Dashboard, locale: str, language: str
) -> None:
    warnings = [unescaped(w.value) for w in morning.open(locale=locale).warning]
    template = catalogue(language).gettext(settings.BAD_DIGITS)
    assert template.format(cnpj=MERCHANT) in warnings


def test_a_link_means_the_same_in_another_language(morning: Dashboard) -> None:
    first = morning.open("divergences", locale="en-US", regra="card_time", aba="sem-log")
    second = morning.open("divergences", **first.query_params)
    assert second.query_params == first.query_params
    assert second.selectbox(key="regra").value == "card_time"
    for at in (first, second):
        assert [masked(LONELY)] in [list(frame["num_cartao"]) for frame in frames(at)]


def test_values_of_the_configuration_are_shown_as_text(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {MERCHANT: "<b>Loja</b> **e** $x$ [y](z)"}
    file = scenario.site(tmp_path, morning.databases.values, merchants=names)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(file))
    app_state.forget()
    at = morning.open()
    assert subject(at).startswith(r"\<b\>Loja\</b\> \*\*e\*\* \$x\$ \[y\]\(z\)")
