"""The long tables: pages, order, search, filters, totals, columns, tabs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.domain import columns as c
from lib.ui import table_filters, tables, tabs
from tests.support.dashboard import (
    Dashboard,
    counted,
    frames,
    headings,
    rows,
    texts,
    total,
    unescaped,
)
from tests.support.scenario import (
    BULK,
    DECLINED,
    LONELY,
    PHYSICAL,
    TWICE,
    UNKNOWN,
    VIRTUAL,
    masked,
    today,
)
from tests.support.sentences import says


def said_of_the_link(at: AppTest) -> list[str]:
    """The sentences about an address that cannot be followed."""
    warnings = [unescaped(warning.value) for warning in at.warning]
    return [text for text in warnings if text in (table_filters.BAD_VIEW, tabs.BAD_TAB)]


def test_a_page_has_fifty_rows_and_the_next_one_goes_on(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    first = rows(at)
    assert len(first) == 50
    assert total(at) == counted(BULK + 3, amount="R$\xa08.474,56")
    at.get("pagination")[0].set_value(3).run()
    assert at.query_params["consolidated_pagina"] == "3"
    assert len(rows(at)) == BULK + 3 - 100
    assert list(rows(at)["data_transa"]) == [f"{today() - timedelta(days=2):%d/%m/%Y}"] * 23


def test_cells_are_written_as_the_reader_writes_them(morning: Dashboard) -> None:
    at = morning.open("consolidated", consolidated_busca="virtual")
    yesterday = today() - timedelta(days=1)
    assert rows(at).iloc[0].to_dict() == {
        "num_cpf": "***.222.333-**",
        "num_cartao": masked(PHYSICAL),
        "num_cartao_virtual": masked(VIRTUAL),
        "data_transa": f"{yesterday:%d/%m/%Y}",
        "hora_transa": "11:00:00",
        "vlr_total": "R$\xa010,00",
        "cod_resposta": "00 · aprovada",
        "des_log": "Compra aprovada com cartão virtual",
        "tipo_match": "virtual",
        "dif_segundos": "−3 s",
    }


@pytest.mark.parametrize(
    ("search", "matches"),
    [
        # One plain purchase's card has the same mask as the card with two purchases.
        ("400000******0001", 3),
        ("4000001111110001", 3),
        ("0001", 3),
        ("***.222.333-**", 3),
        ("222333", 3),
        ("111.222.333-96", 3),
        ("0119", 1),
        ("00", 50),
        ("CARTAO VIRTUAL", 1),
        ("compra simples", 50),
        ("R$\xa01.234,56", 1),
        ("30,00", 1),
        ("R$ 10,00", 1),
        (f"{today() - timedelta(days=1):%d/%m/%Y}", 3),
        (f"{today() - timedelta(days=1)}", 3),
        (f"{today() - timedelta(days=1):%d/%m}", 3),
        (f"{today() - timedelta(days=1):%d/%m/%Y} 11:00", 1),
        ("11:00", 1),
        ("nada disso", 0),
        (".*", 0),
        ("%", 0),
    ],
)
def test_search_finds_masks_shown_digits_codes_and_texts(
    morning: Dashboard, search: str, matches: int
) -> None:
    at = morning.open("consolidated")
    at.text_input(key="consolidated_busca").set_value(search).run()
    assert not at.exception
    assert (len(rows(at)) if frames(at) else 0) == matches


def test_a_whole_card_number_never_stays_in_the_search_or_the_address(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    at.text_input(key="consolidated_busca").set_value("cartão 4000 0011 1111 0001").run()
    assert at.text_input(key="consolidated_busca").value == "cartão 400000******0001"
    assert at.query_params["consolidated_busca"] == "cartão 400000******0001"
    linked = morning.open("consolidated", consolidated_busca=PHYSICAL)
    assert linked.query_params["consolidated_busca"] == masked(PHYSICAL)


def test_filters_keep_the_chosen_values_and_total_their_rows(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    at.multiselect(key="consolidated_tipo_match").set_value(["virtual"]).run()
    assert total(at) == counted(1, BULK + 3, "R$\xa010,00")
    at.multiselect(key="consolidated_tipo_match").set_value([]).run()
    assert total(at) == counted(BULK + 3, amount="R$\xa08.474,56")


@pytest.mark.parametrize(
    ("table", "tab", "column", "word", "card"),
    [
        ("divergences", "divergencias", "motivo", "negada", DECLINED),
        ("divergences", "divergencias", "cod_resposta", "51", DECLINED),
        ("divergences", "divergencias", "cod_resposta", "00", UNKNOWN),
        ("without_log", "sem-log", "motivo_sem_log", "sem log do cartão", LONELY),
        ("duplicates", "duplicatas", "transacao_mantida", "consolidada", TWICE),
    ],
)
def test_every_filter_of_the_divergences_keeps_its_rows(
    morning: Dashboard, table: str, tab: str, column: str, word: str, card: str
) -> None:
    at = morning.open("divergences", aba=tab)
    at.multiselect(key=f"{table}_{column}").set_value([word]).run()
    assert not at.exception
    assert list(rows(at)["num_cartao"]) == [masked(card)]
    assert at.query_params[f"{table}_{column}"] == word
    assert says(total(at), counted(1, of="{of}"))


def test_the_response_code_filters_the_consolidated(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    at.multiselect(key="consolidated_cod_resposta").set_value(["00"]).run()
    assert total(at) == counted(BULK + 3, BULK + 3, "R$\xa08.474,56")


def test_no_row_for_a_search_says_so(morning: Dashboard) -> None:
    at = morning.open("consolidated", consolidated_busca="nada disso")
    assert not frames(at)
    assert tables.NO_MATCH in texts(at)


@pytest.mark.parametrize(
    ("column", "ends"),
    [
        ("num_cpf", ("***.222.333-**",) * 2),
        ("num_cartao", ("400000******0000", masked(TWICE))),
        ("num_cartao_virtual", (masked(VIRTUAL), masked(f"{VIRTUAL[:-1]}9"))),
        ("data_transa", tuple(f"{today() - timedelta(days=n):%d/%m/%Y}" for n in (2, 1))),
        ("hora_transa", ("08:00:30", "19:59:30")),
        ("vlr_total", ("R$ 0,50", "R$ 1.234,56")),
        ("cod_resposta", ("00 · aprovada",) * 2),
        ("des_log", ("Compra aprovada", "Compra simples")),
        ("tipo_match", ("físico", "virtual")),
        ("dif_segundos", ("−3 s", "+5 s")),
    ],
)
def test_every_column_sorts_both_ways(
    morning: Dashboard, column: str, ends: tuple[str, str]
) -> None:
    at = morning.open("consolidated")
    first = {}
    for order in (column, f"-{column}"):
        at.selectbox(key="consolidated_ordem").set_value(order).run()
        assert not at.exception
        usual = order == "-data_transa"
        assert at.query_params.get("consolidated_ordem") == (None if usual else order)
        first[order] = rows(at).iloc[0][column].replace("\xa0", " ")
    assert (first[column], first[f"-{column}"]) == ends


def test_the_largest_amount_comes_first_when_sorted_down(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    at.selectbox(key="consolidated_ordem").set_value("-vlr_total").run()
    assert rows(at).iloc[0]["vlr_total"] == "R$\xa01.234,56"


def test_another_order_goes_back_to_the_first_page(morning: Dashboard) -> None:
    at = morning.open("consolidated", consolidated_pagina="3")
    at.selectbox(key="consolidated_ordem").set_value("vlr_total").run()
    assert "consolidated_pagina" not in at.query_params
    assert rows(at).iloc[0]["vlr_total"] == "R$\xa00,50"


def test_divergences_are_counted_by_motivo_those_that_need_a_person_first(
    morning: Dashboard,
) -> None:
    at = morning.open("divergences")
    assert [(m.label, m.value) for m in at.metric] == [
        ("aprovada sem transação", "1"),
        ("recente", "0"),
        ("negada", "1"),
    ]
    assert list(rows(at)["motivo"]) == ["aprovada sem transação", "negada"]


def test_divergences_are_filtered_by_motivo(morning: Dashboard) -> None:
    at = morning.open("divergences", divergences_motivo="negada")
    assert list(rows(at)["num_cartao"]) == [masked(DECLINED)]


def test_divergences_by_time_say_how_far_the_nearest_transaction_is(morning: Dashboard) -> None:
    assert "dif_segundos" not in rows(morning.open("divergences"))
    at = morning.open("divergences", regra="card_time", divergences_ordem="dif_segundos")
    differences = rows(at).set_index("num_cartao")["dif_segundos"].to_dict()
    others = {masked(DECLINED): "", masked(UNKNOWN): ""}
    assert differences == {masked(PHYSICAL): "−30 min 0 s"} | others
    assert rows(at).iloc[0]["num_cartao"] == masked(PHYSICAL)


def test_a_rule_without_the_sorted_column_goes_back_to_the_usual_order(
    morning: Dashboard,
) -> None:
    at = morning.open("divergences", regra="card_time", divergences_ordem="-dif_segundos")
    at.selectbox(key="regra").set_value("card").run()
    assert not at.exception
    assert "divergences_ordem" not in at.query_params
    assert list(rows(at)["motivo"]) == ["aprovada sem transação", "negada"]


def test_only_the_rule_by_time_counts_what_is_out_of_the_tolerance(morning: Dashboard) -> None:
    at = morning.open("divergences", regra="card_time", tolerancia="0")
    assert [m.label for m in at.metric] == [
        "aprovada sem transação",
        "fora da tolerância",
        "recente",
        "negada",
    ]


def test_a_tab_is_opened_by_a_click_and_kept_in_the_address(morning: Dashboard) -> None:
    at = morning.open("divergences")
    at.session_state["aba_aba"] = "Transações sem log (1)"
    at.run()
    assert at.query_params["aba"] == "sem-log"
    assert list(rows(at)["num_cartao"]) == [masked(LONELY)]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ({"motivo": "xyz"}, table_filters.BAD_VIEW),
        ({"divergences_motivo": "xyz"}, table_filters.BAD_VIEW),
        ({"divergences_motivo": [c.NEGADA, "xyz"]}, table_filters.BAD_VIEW),
        ({"divergences_cod_resposta": "[x](http://h.example)"}, table_filters.BAD_VIEW),
        ({"divergences_cor": "azul"}, table_filters.BAD_VIEW),
        ({"divergences_vlr_total": "10"}, table_filters.BAD_VIEW),
        ({"divergences_ordem": "vlr_total"}, table_filters.BAD_VIEW),
        ({"divergences_ordem": "--data"}, table_filters.BAD_VIEW),
        ({"divergences_pagina": "0"}, table_filters.BAD_VIEW),
        ({"divergences_pagina": "1e3"}, table_filters.BAD_VIEW),
        ({"aba": "outra"}, tabs.BAD_TAB),
    ],
    ids=str,
)
def test_a_link_that_asks_a_table_for_what_it_does_not_have_says_so(
    morning: Dashboard, address: dict[str, Any], sentence: str
) -> None:
    at = morning.open("divergences", **address)
    assert not at.exception
    assert said_of_the_link(at) == [sentence]
    assert len(rows(at)) > 0


def test_a_link_that_a_table_can_follow_is_followed_without_a_word(morning: Dashboard) -> None:
    at = morning.open(
        "divergences",
        divergences_motivo=c.NEGADA,
        divergences_ordem="-data",
        divergences_pagina="1",
        utm_source="boletim",
        aba="divergencias",
    )
    assert not said_of_the_link(at)
    assert set(rows(at)[c.MOTIVO]) == {c.NEGADA}


def test_the_sentence_about_a_link_ends_with_another_choice(morning: Dashboard) -> None:
    at = morning.open("divergences", divergences_motivo="xyz")
    assert said_of_the_link(at.run()) == [table_filters.BAD_VIEW]
    at.multiselect(key="divergences_motivo").set_value([c.NEGADA]).run()
    assert not said_of_the_link(at)


def test_headings_are_words_and_the_tooltip_has_the_name_in_the_report(morning: Dashboard) -> None:
    for locale, words in (
        ("pt-BR", ["Cartão", "Data", "Hora", "Resposta", "Motivo", "Mensagem"]),
        ("en-US", ["Card", "Date", "Time", "Response", "Reason", "Message"]),
    ):
        at = morning.open("divergences", locale=locale)
        assert list(headings(at).values()) == words
        assert all(f"({name})" in text for name, text in headings(at, "help").items())
        assert headings(at).keys() == {*c.DIVERGENCES}


def test_a_response_code_stands_with_its_meaning_in_the_readers_language(
    morning: Dashboard,
) -> None:
    for locale, text in (("pt-BR", "saldo ou limite insuficiente"), ("en-US", "insufficient")):
        at = morning.open("divergences", locale=locale, divergences_motivo=c.NEGADA)
        assert rows(at)[c.COD_RESPOSTA][0].startswith(f"51 · {text}")
        options = at.multiselect(key="divergences_cod_resposta").options
        assert any(option.startswith(f"51 · {text}") for option in options)


def test_the_reader_chooses_the_columns_and_the_address_keeps_them(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    assert c.DES_CNPJ_REDUZIDO not in rows(at)
    assert "consolidated_colunas" not in at.query_params
    chosen = [c.NUM_CARTAO, c.VLR_TOTAL, c.DES_CNPJ_REDUZIDO]
    at.session_state["consolidated_colunas"] = chosen
    at.run()
    assert list(rows(at)) == chosen
    assert at.query_params["consolidated_colunas"] == chosen
    linked = morning.open("consolidated", consolidated_colunas=chosen)
    assert rows(linked).equals(rows(at))
    at.session_state["consolidated_colunas"] = []
    at.run()
    assert list(rows(at)) == list(rows(morning.open("consolidated"))), "no column: the usual ones"


def test_one_click_clears_the_search_and_every_filter_and_keeps_the_order(
    morning: Dashboard,
) -> None:
    at = morning.open(
        "consolidated",
        consolidated_busca="simples",
        consolidated_tipo_match="virtual",
        consolidated_ordem="vlr_total",
    )
    assert not frames(at)
    at.button(key="consolidated_limpar").click().run()
    assert total(at) == counted(BULK + 3, amount="R$\xa08.474,56")
    assert set(at.query_params) & {"consolidated_busca", "consolidated_tipo_match"} == set()
    assert at.query_params["consolidated_ordem"] == "vlr_total"
    assert "consolidated_limpar" not in [button.key for button in at.button]


def test_tabs_have_the_number_of_their_rows_and_stay_open_when_it_changes(
    morning: Dashboard,
) -> None:
    at = morning.open("divergences", aba="sem-log")
    assert [tab.label for tab in at.tabs] == [
        "Divergências (2)",
        "Transações sem log (1)",
        "Duplicatas removidas (1)",
    ]
    before = today() - timedelta(days=2)
    at.date_input(key="periodo").set_value((before, before)).run()
    assert at.tabs[1].label == "Transações sem log (0)"
    assert at.query_params["aba"] == "sem-log"
