"""Saved views of a table: saved under a name, applied by a click only, removed."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.delivery import saved_views
from lib.domain import columns as c
from lib.security import audit_events
from lib.ui import table_filters
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.scenario import DECLINED, masked
from tests.support.sentences import says


def menu(at: AppTest, table: str) -> AppTest:
    """The page with the menu of views open."""
    at.session_state[f"{table}_visoes"] = True
    return at.run()


def test_a_view_is_saved_and_applied_by_a_click_in_another_session(morning: Dashboard) -> None:
    at = menu(
        morning.open(
            "divergences",
            divergences_motivo=c.NEGADA,
            divergences_ordem="num_cartao",
            divergences_colunas=[c.NUM_CARTAO, c.MOTIVO],
        ),
        "divergences",
    )
    at.text_input(key="divergences_visao_nome").set_value("Negadas *de hoje*")
    at.button(key="divergences_salvar_visao").click().run()
    assert not at.error
    later = menu(morning.open("divergences"), "divergences")
    assert len(frames(later)[0]) == 2, "never applied unasked"
    assert unescaped(later.button(key="divergences_visao_0").label) == "Negadas *de hoje*"
    later.button(key="divergences_visao_0").click().run()
    assert frames(later)[0].values.tolist() == [[masked(DECLINED), c.NEGADA]]
    assert later.query_params["divergences_motivo"] == c.NEGADA
    assert later.query_params["divergences_ordem"] == "num_cartao"
    assert later.query_params["divergences_colunas"] == [c.NUM_CARTAO, c.MOTIVO]


def test_a_view_is_removed(morning: Dashboard) -> None:
    settings, person = loader.load(), audit_events.account().name
    saved_views.save(settings, person, "divergences", "Negadas", {"busca": "51"})
    at = menu(morning.open("divergences"), "divergences")
    at.button(key="divergences_remover_0").click().run()
    assert "divergences_visao_0" not in [button.key for button in at.button]
    assert saved_views.read(settings, person, "divergences") == []


def test_a_view_of_another_table_or_person_is_not_offered(morning: Dashboard) -> None:
    settings, person = loader.load(), audit_events.account().name
    saved_views.save(settings, person, "consolidated", "Minha", {})
    saved_views.save(settings, "outra@exemplo.com", "divergences", "Alheia", {})
    at = menu(morning.open("divergences"), "divergences")
    assert [button.key for button in at.button if "visao_" in str(button.key)] == []


def test_a_view_without_a_name_is_one_sentence(morning: Dashboard) -> None:
    at = menu(morning.open("divergences"), "divergences")
    at.button(key="divergences_salvar_visao").click().run()
    assert [unescaped(error.value) for error in at.error] == [saved_views.NO_NAME]


def test_a_view_with_values_that_the_data_lack_says_so(morning: Dashboard) -> None:
    settings, person = loader.load(), audit_events.account().name
    values = {"filtros": {"cod_resposta": ["99"], "motivo": [c.NEGADA]}, "ordem": "nada"}
    saved_views.save(settings, person, "divergences", "Antiga", values)
    at = menu(morning.open("divergences"), "divergences")
    at.button(key="divergences_visao_0").click().run()
    assert not at.exception
    assert says(texts(at), table_filters.DROPPED)
    assert frames(at)[0][c.NUM_CARTAO].tolist() == [masked(DECLINED)]


def test_a_whole_card_number_is_never_saved(morning: Dashboard) -> None:
    at = menu(morning.open("consolidated"), "consolidated")
    at.text_input(key="consolidated_busca").set_value("4000001111110001").run()
    at.text_input(key="consolidated_visao_nome").set_value("Cartão")
    at.button(key="consolidated_salvar_visao").click().run()
    [view] = saved_views.read(loader.load(), audit_events.account().name, "consolidated")
    assert view.values["busca"] == "400000******0001"
