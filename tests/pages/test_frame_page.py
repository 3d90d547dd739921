"""The common beginning of every page: titles, errors, empty periods, refresh, language."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
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
from lib.ui import app_state, extraction_status, page, refresh
from lib.ui.i18n import ENGLISH, PORTUGUESE, catalogue
from tests.support import scenario
from tests.support.dashboard import Dashboard, figures, period, subject, texts, unescaped
from tests.support.scenario import LONELY, MERCHANT, today
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Servers

PAGES = {
    "overview": ("Resumo", "Overview"),
    "consolidated": ("Transações consolidadas", "Consolidated transactions"),
    "divergences": ("Divergências", "Divergences"),
    "charts": ("Gráficos", "Charts"),
    "customers": ("Clientes", "Customers"),
}


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def error(at: AppTest) -> str:
    """The first error's sentence."""
    return unescaped(at.error[0].value)


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


def test_values_of_the_configuration_are_shown_as_text(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {MERCHANT: "<b>Loja</b> **e** $x$ [y](z)"}
    file = scenario.site(tmp_path, morning.databases.values, merchants=names)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(file))
    app_state.forget()
    at = morning.open()
    assert subject(at).startswith(r"\<b\>Loja\</b\> \*\*e\*\* \$x\$ \[y\]\(z\)")
