"""A row that is opened in a table: its records, the related ones, and their words."""

from __future__ import annotations

from datetime import timedelta

from streamlit.testing.v1 import AppTest

from lib.domain import columns as c
from lib.ui import record_details
from tests.support.dashboard import Dashboard, counted, frames, rows, texts, total
from tests.support.scenario import LONELY, PHYSICAL, TWICE, UNKNOWN, masked, today
from tests.support.sentences import says


def open_row(at: AppTest, table: str, row: int) -> AppTest:
    """Open a row as a click on it does."""
    at.session_state[f"{table}_aberta"] = row
    return at.run()


def test_a_selected_match_opens_the_pair_and_the_cards_other_logs(morning: Dashboard) -> None:
    at = morning.open("consolidated", consolidated_busca="cartão virtual")
    open_row(at, "consolidated", 0)
    page_text = texts(at)
    assert says(page_text, record_details.PAIR.replace("{join}", "virtual"))
    assert " 3 s " in page_text
    assert "Compra aprovada com cartão virtual" in page_text
    assert masked(PHYSICAL) in page_text
    assert record_details.OTHER_LOGS[1].format(count=2) in page_text
    others = frames(at)[1]
    assert list(others["cod_resposta"]) == ["05 · não autorizada pelo emissor", "00 · aprovada"]
    assert list(others["hora"]) == ["09:30:00", "10:00:05"]


def test_no_selection_outlives_its_page(morning: Dashboard) -> None:
    at = morning.open("consolidated")
    open_row(at, "consolidated", 2)
    assert says(texts(at), record_details.PAIR)
    at.get("pagination")[0].set_value(2).run()
    assert not says(texts(at), record_details.PAIR)


def test_a_selected_divergence_says_there_is_no_transaction_of_its_card(
    morning: Dashboard,
) -> None:
    at = morning.open("divergences", divergences_busca="sem registro")
    open_row(at, "divergences", 0)
    page_text = texts(at)
    assert record_details.meaning(c.APROVADA_SEM_TRANSACAO) in page_text
    assert masked(UNKNOWN) in page_text
    assert record_details.NO_TRANSACTION in page_text


def test_a_divergence_by_time_shows_the_nearest_transaction_of_its_card(
    morning: Dashboard,
) -> None:
    at = morning.open(
        "divergences", regra="card_time", tolerancia="5", divergences_busca="Não autorizada"
    )
    open_row(at, "divergences", 0)
    page_text = texts(at)
    assert "R$\xa01.234,56" in page_text
    assert says(page_text, record_details.NEAREST)
    assert " 30 min 0 s " in page_text
    assert record_details.OTHER_LOGS[0].format(count=1) in page_text


def test_a_tab_lists_the_transactions_without_log(morning: Dashboard) -> None:
    at = morning.open("divergences", aba="sem-log")
    assert list(rows(at)["num_cartao"]) == [masked(LONELY)]
    assert total(at) == counted(1, amount="R$\xa020,00")
    assert list(rows(at)["motivo_sem_log"]) == ["sem log do cartão"]
    open_row(at, "without_log", 0)
    assert f"{c.SEM_LOG_DO_CARTAO}: " in texts(at)
    assert record_details.NO_OTHER_LOGS in texts(at)


def test_a_tab_lists_removed_duplicates_with_their_survivors(morning: Dashboard) -> None:
    at = morning.open("divergences", aba="duplicatas")
    [row] = rows(at).to_dict("records")
    assert row["num_cartao"] == masked(TWICE)
    # The copy with a virtual number is kept.
    assert row["num_cartao_virtual"] == ""
    assert row["num_cartao_virtual_mantido"] == "409999******0009"
    assert row["transacao_mantida"] == "consolidada"
    assert row["por_que"] == c.SEM_NUMERO_VIRTUAL
    open_row(at, "duplicates", 0)
    assert texts(at).count(masked(TWICE)) == 2
    assert record_details.SURVIVOR.format(reason=c.SEM_NUMERO_VIRTUAL) in texts(at)


def test_texts_of_the_databases_are_shown_as_text(dashboard: Dashboard) -> None:
    nasty = '<img src=x onerror="alert(1)"> **x** $y$ [a](b) =1+1'
    dashboard.databases.fill(
        transactions=[(PHYSICAL, today(), None, "12345678000190", None, 1)],
        auth_logs=[(PHYSICAL, today(), None, "00", nasty, "012345678000190")],
    )
    at = dashboard.open("consolidated")
    assert rows(at).iloc[0]["des_log"] == nasty
    open_row(at, "consolidated", 0)
    [log] = [str(e.value) for e in at.html if "(des_log)" in str(e.value)]
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in log
    assert "<img" not in log


def test_the_details_report_a_missing_time(dashboard: Dashboard) -> None:
    dashboard.databases.fill(
        transactions=[(PHYSICAL, today(), None, "12345678000190", None, None)],
        auth_logs=[(PHYSICAL, today(), None, None, None, "012345678000190")],
    )
    at = dashboard.open("consolidated")
    assert rows(at).iloc[0]["dif_segundos"] == ""
    open_row(at, "consolidated", 0)
    assert record_details.NO_TIME in texts(at)


def test_on_a_chosen_day_a_row_has_the_cards_logs_of_the_whole_period(
    dashboard: Dashboard,
) -> None:
    day, before = (today() - timedelta(days=n) for n in (1, 2))
    dashboard.databases.fill(
        transactions=[(PHYSICAL, day, "10:00", "12345678000190", None, 1)],
        auth_logs=[
            (PHYSICAL, day, "10:00", "00", "Aprovada", "012345678000190"),
            (PHYSICAL, before, "09:00", "05", "Negada", "012345678000190"),
        ],
    )
    at = dashboard.open("consolidated", dia=day.isoformat())
    open_row(at, "consolidated", 0)
    assert list(frames(at)[1]["des_log"]) == ["Negada"]


def test_a_reason_is_in_the_readers_language(morning: Dashboard) -> None:
    at = morning.open("divergences", locale="en-US", aba="sem-log")
    assert rows(at)["motivo_sem_log"].tolist() == ["no log of the card"]
    assert at.multiselect(key="without_log_motivo_sem_log").options == ["no log of the card"]
    open_row(at, "without_log", 0)
    assert "no log of the card: " in texts(at)


def test_the_contracts_words_are_in_the_readers_language_and_still_filter(
    morning: Dashboard,
) -> None:
    at = morning.open("divergences", locale="en-US", divergences_motivo=c.NEGADA)
    assert {"approved without transaction", "declined"} <= {m.label for m in at.metric}
    assert set(rows(at)[c.MOTIVO]) == {"declined"}
    options = at.multiselect(key="divergences_motivo").options
    assert {"declined", "approved without transaction"} <= set(options)
    open_row(at, "divergences", 0)
    assert "declined: " in texts(at)
    at = morning.open("consolidated", locale="en-US", consolidated_tipo_match=c.FISICO)
    assert set(rows(at)[c.TIPO_MATCH]) == {"physical"}
    open_row(at, "consolidated", 0)
    assert "Found by the physical card" in texts(at)
