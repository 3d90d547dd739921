"""What every page begins with: filters, address, errors, emptiness, freshness, language."""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.config.settings import ROOT
from lib.dashboard.dataset_store import Loading
from lib.demo import servers as demo
from lib.ui import app_state, extraction_status, filters
from tests.support import scenario
from tests.support.dashboard import Dashboard, texts
from tests.support.scenario import BULK, LONELY, MERCHANT, masked, today
from tests.support.servers import MERCHANTS, Servers

PAGES = {
    "overview": ("Resumo", "Overview"),
    "consolidated": ("Transações consolidadas", "Consolidated transactions"),
    "divergences": ("Divergências", "Divergences"),
    "charts": ("Gráficos", "Charts"),
    "customers": ("Clientes", "Customers"),
}


def period(at: AppTest) -> tuple[date, ...]:
    return tuple(at.date_input(key="periodo").value)


def subject(at: AppTest) -> str:
    return str(at.caption[0].value)


def press(at: AppTest, label: str) -> AppTest:
    return next(b for b in at.button if b.label.startswith(label)).click().run()


def error(at: AppTest) -> str:
    """The error's sentence, as it is read."""
    return re.sub(r"\\(.)", r"\1", str(at.error[0].value))


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
    at = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=30).run()
    assert not at.exception
    assert at.selectbox(key="estabelecimento").value == MERCHANT


def test_the_first_period_is_the_configured_window(morning: Dashboard) -> None:
    at = morning.open()
    assert period(at) == (today() - timedelta(days=10), today())
    assert at.pills(key="atalho").value == "10d"


@pytest.mark.parametrize("name", ["hoje", "ontem", "7d", "10d", "mes", "mes-passado"])
def test_a_preset_sets_the_period_and_stays_marked(morning: Dashboard, name: str) -> None:
    at = morning.open()
    at.pills(key="atalho").set_value(name).run()
    assert period(at) == filters.presets(today())[name]
    assert at.pills(key="atalho").value == name
    assert at.query_params["periodo"] == [day.isoformat() for day in period(at)]


def test_presets_mean_what_the_command_line_means_by_days() -> None:
    day = date(2026, 3, 1)
    assert filters.presets(day) == {
        "hoje": (day, day),
        "ontem": (date(2026, 2, 28), date(2026, 2, 28)),
        "7d": (date(2026, 2, 22), day),
        "10d": (date(2026, 2, 19), day),
        "mes": (day, day),
        "mes-passado": (date(2026, 2, 1), date(2026, 2, 28)),
    }


def test_a_free_range_sets_the_period_and_no_preset_is_marked(morning: Dashboard) -> None:
    at = morning.open()
    span = (today() - timedelta(days=5), today() - timedelta(days=3))
    at.date_input(key="periodo").set_value(span).run()
    assert f"{written(span[0])} a {written(span[1])}" in subject(at)
    assert at.pills(key="atalho").value is None


@pytest.mark.parametrize("unfinished", [(), (date(2026, 1, 5),)], ids=["none", "one"])
def test_an_unfinished_range_changes_nothing(
    morning: Dashboard, unfinished: tuple[date, ...]
) -> None:
    at = morning.open()
    before = subject(at), at.query_params["periodo"]
    at.date_input(key="periodo").set_value(unfinished).run()
    assert not at.exception
    assert (subject(at), at.query_params["periodo"]) == before


def test_another_merchant_is_another_question(morning: Dashboard) -> None:
    at = morning.open()
    other = next(cnpj for cnpj in MERCHANTS if cnpj != MERCHANT)
    at.selectbox(key="estabelecimento").set_value(other).run()
    assert at.query_params["estabelecimento"] == other
    assert f"Nenhuma transação e nenhum log de {MERCHANTS[other]}" in texts(at)


def test_the_rule_by_time_asks_for_its_tolerance(morning: Dashboard) -> None:
    at = morning.open()
    assert not at.number_input
    at.selectbox(key="regra").set_value("card_time").run()
    at.number_input(key="tolerancia").set_value(0).run()
    assert not at.exception
    assert (at.query_params["regra"], at.query_params["tolerancia"]) == ("card_time", "0")
    # Of the purchases, only those whose log is of the same second are left.
    assert at.metric[1].value == str(BULK)


def test_an_emptied_tolerance_changes_nothing(morning: Dashboard) -> None:
    at = morning.open(regra="card_time", tolerancia="9")
    at.number_input(key="tolerancia").set_value(7).run()
    at.number_input(key="tolerancia").set_value(None).run()
    assert not at.exception
    assert at.query_params["tolerancia"] == "7"
    assert at.metric[1].value == str(BULK + 3)


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
    assert second.dataframe[0].value.equals(first.dataframe[0].value)
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
def test_what_is_no_answer_in_the_address_is_not_taken(
    morning: Dashboard, address: dict[str, Any]
) -> None:
    at = morning.open("consolidated", **address)
    assert not at.exception
    assert at.selectbox(key="estabelecimento").value == MERCHANT
    assert period(at) == (today() - timedelta(days=10), today())
    assert len(at.dataframe[0].value) > 0


def test_a_database_that_is_down_is_one_sentence_and_the_retry_button_recovers(
    morning: Dashboard, servers: Servers
) -> None:
    servers.stop("auth_logs")
    try:
        at = morning.open()
        assert not at.exception
        assert not at.metric
        assert error(at).startswith("auth_logs: não foi possível conectar")
    finally:
        servers.start("auth_logs")
    press(at, "Tentar de novo")
    assert not at.error
    assert at.metric[0].value == "125"


def test_a_configuration_that_cannot_be_read_is_one_sentence_and_recovers(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = Path(loader.os.environ[loader.FILE_VARIABLE])
    bad = tmp_path / "bad.toml"
    bad.write_text("[aggregator]\nwindow_dias = 3\n")
    monkeypatch.setenv(loader.FILE_VARIABLE, str(bad))
    at = morning.open()
    assert "a mais parecida é window_days" in error(at)
    assert len(at.error) == 1
    monkeypatch.setenv(loader.FILE_VARIABLE, str(good))
    press(at, "Tentar de novo")
    assert not at.error
    assert at.metric


def test_a_loading_tells_its_stages_with_their_rows_as_they_arrive() -> None:
    running, told = Loading(), []
    for stage, rows in (("transactions", 1_000), ("auth_logs", 20_000), ("matching", 21_000)):
        told.append(extraction_status.lines(running))
        running(stage, rows)
    told.append(extraction_status.lines(running))
    first, second = "Transações (banco A)", "Logs de autenticação (banco B)"
    assert told == [
        [f"{first}: conectando…", f"{second}: conectando…"],
        [f"{first}: 1.000 lidos", f"{second}: conectando…"],
        [f"{first}: 1.000 lidos", f"{second}: 20.000 lidos"],
        [
            f"{first}: 1.000 lidos ✓",
            f"{second}: 20.000 lidos ✓",
            "Conciliando 21.000 registros…",
        ],
    ]


def test_an_unexpected_failure_is_one_sentence_and_its_words_stay_on_the_server(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: caught.append(args.exc_value))
    monkeypatch.setattr("lib.pipeline.run", lambda *_, **__: {}["4000001111110001"])
    at = morning.open()
    assert not at.exception
    assert error(at).startswith("Algo inesperado impediu a leitura")
    assert "4000001111110001" not in texts(at)
    assert [type(problem) for problem in caught] == [KeyError]


def test_an_empty_period_says_so_and_offers_a_wider_one(morning: Dashboard) -> None:
    days = [(today() - timedelta(days=n)).isoformat() for n in (12, 11)]
    at = morning.open(periodo=days)
    assert "Nenhuma transação e nenhum log de Loja Exemplo" in texts(at)
    assert not at.metric
    press(at, "Ver ")
    assert period(at) == (today() - timedelta(days=42), today() - timedelta(days=11))


def test_a_wider_period_begins_no_earlier_than_any_may(morning: Dashboard) -> None:
    at = morning.open(periodo=["2000-01-05", "2000-01-10"])
    press(at, "Ver ")
    assert not at.exception
    assert period(at) == (date(2000, 1, 1), date(2000, 1, 10))
    assert not [b for b in at.button if b.label.startswith("Ver ")]


def test_zero_rows_on_both_sides_leave_every_page_standing(dashboard: Dashboard) -> None:
    for name in PAGES:
        at = dashboard.open(name)
        assert not at.exception
        assert "Nenhuma transação e nenhum log" in texts(at)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("transactions", "O banco B não tem nenhum log"),
        ("auth_logs", "O banco A não tem nenhuma transação"),
    ],
)
def test_one_side_without_records_is_told_apart_from_none(
    dashboard: Dashboard, side: str, said: str
) -> None:
    record: dict[str, list[tuple[Any, ...]]] = {
        "transactions": [("4000001111110001", today(), None, MERCHANT, None, 1)],
        "auth_logs": [("4000001111110001", today(), None, "00", "x", f"0{MERCHANT}")],
    }
    dashboard.databases.fill(**{side: record[side]})
    for name in PAGES:
        at = dashboard.open(name)
        assert not at.exception
        assert said in texts(at)
        assert at.title[0].value == PAGES[name][0]


def test_refresh_reads_anew_and_shows_the_old_data_until_then(morning: Dashboard) -> None:
    at = morning.open()
    assert at.metric[0].value == "125"
    morning.databases.fill(
        transactions=[("4000001111110001", today(), None, MERCHANT, None, 1)],
    )
    at.run()
    assert at.metric[0].value == "125"
    press(at, "Atualizar")
    assert at.metric
    current = app_state.find()
    assert current is not None
    for running in list(current.store._loading.values()):
        running.future.result(timeout=30)
    at.run()
    assert at.metric[0].value == "126"


def test_a_refresh_that_fails_leaves_the_old_data_and_says_so(
    morning: Dashboard, servers: Servers
) -> None:
    at = morning.open()
    servers.stop("transactions")
    try:
        press(at, "Atualizar")
        current = app_state.find()
        assert current is not None
        for running in list(current.store._loading.values()):
            running.future.exception(timeout=60)
        at.run()
    finally:
        servers.start("transactions")
    assert at.metric[0].value == "125"
    assert error(at).startswith("transactions: não foi possível conectar")


def test_without_a_configuration_the_demonstration_stands_under_a_banner(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The servers of the test run stand in for the demonstration's own.
    monkeypatch.delenv(loader.FILE_VARIABLE)
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(demo, "start", lambda: morning.databases.values)
    for name in (*PAGES, "runs"):
        at = morning.open(name)
        assert str(at.info[0].value).startswith("Demonstração: dados fictícios")
        # Made-up CNPJs need no check digits.
        assert "dígitos verificadores" not in texts(at)
    assert morning.open().metric[0].value == "125"


def test_english_where_the_browser_prefers_it(morning: Dashboard) -> None:
    at = morning.open(locale="en-GB")
    assert [m.label for m in at.metric] == [
        "Transactions",
        "Consolidated",
        "Divergences",
        "Consolidated amount",
        "Database A: latest transaction",
        "Database B: latest log",
    ]
    assert at.metric[3].value == "R$8,474.56"
    assert at.pills(key="atalho").options[:2] == ["Today", "Yesterday"]
    assert at.date_input(key="periodo").proto.format == "YYYY-MM-DD"


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("pt-BR", "O CNPJ {cnpj} tem dígitos verificadores errados; confira a digitação."),
        ("en-US", "The CNPJ {cnpj} has wrong check digits; look for a typing error."),
    ],
)
def test_a_warning_of_the_configuration_is_told_in_the_readers_language(
    morning: Dashboard, locale: str, sentence: str
) -> None:
    said = [str(w.value).replace("\\", "") for w in morning.open(locale=locale).warning]
    assert sentence.format(cnpj=MERCHANT) in said


def test_a_link_means_the_same_in_another_language(morning: Dashboard) -> None:
    first = morning.open("divergences", locale="en-US", regra="card_time", aba="sem-log")
    second = morning.open("divergences", **first.query_params)
    assert second.query_params == first.query_params
    assert second.selectbox(key="regra").value == "card_time"
    for at in (first, second):
        assert [masked(LONELY)] in [list(frame.value["num_cartao"]) for frame in at.dataframe]


def test_values_of_the_configuration_are_shown_as_text(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {MERCHANT: "<b>Loja</b> **e** $x$ [y](z)"}
    file = scenario.site(tmp_path, morning.databases.values, merchants=names)
    monkeypatch.setenv(loader.FILE_VARIABLE, str(file))
    app_state.forget()
    at = morning.open()
    assert subject(at).startswith(r"\<b\>Loja\</b\> \*\*e\*\* \$x\$ \[y\]\(z\)")
