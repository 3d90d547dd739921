"""Values that a browser sends past the limits of the widgets."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.analysis import table_query
from lib.config import defaults
from tests.support.dashboard import Dashboard, frames, texts
from tests.support.scenario import BULK, today

SCRIPT = "<script>window.struck=1</script>"
INJECTION = "'; DROP TABLE transactions; --"
PAGES = ("overview", "consolidated", "divergences", "charts", "customers")


def rows(at: AppTest) -> int:
    return len(frames(at)[0]) if frames(at) else 0


@pytest.mark.parametrize("size", [61, 10_000, 2_000_000])
def test_a_search_longer_than_any_field_is_cut(morning: Dashboard, size: int) -> None:
    at = morning.open("consolidated")
    at.text_input(key="consolidated_busca").set_value("a" * size).run()
    assert not at.exception
    assert len(at.text_input(key="consolidated_busca").value) == table_query.SEARCH_LENGTH


@pytest.mark.parametrize("number", [-1, 0, 4, 10**9, 2**62])
def test_a_page_number_out_of_range_shows_a_page_that_there_is(
    morning: Dashboard, number: int
) -> None:
    at = morning.open("consolidated")
    at.session_state["consolidated_pagina"] = number
    at.run()
    assert not at.exception
    assert rows(at) in (50, BULK + 3 - 100)


@pytest.mark.parametrize(
    "span",
    [
        (date(1, 1, 1), date(9999, 12, 31)),
        (date(1999, 12, 31), date(2026, 1, 1)),
        (today() + timedelta(days=400), today() + timedelta(days=500)),
    ],
    ids=("all of time", "before", "after"),
)
def test_dates_out_of_range_are_not_taken(morning: Dashboard, span: tuple[date, date]) -> None:
    at = morning.open("overview")
    at.date_input(key="periodo").set_value(span).run()
    assert not at.exception
    assert at.session_state["periodo"] == (today() - timedelta(days=10), today())


def test_dates_the_wrong_way_round_are_one_sentence(morning: Dashboard) -> None:
    at = morning.open("overview")
    at.date_input(key="periodo").set_value((today(), today() - timedelta(days=3))).run()
    assert not at.exception
    span = {"start": today(), "end": today() - timedelta(days=3)}
    assert defaults.REVERSED_DATES.format(**span) in texts(at)


@pytest.mark.parametrize("minutes", [-1, 525_601, 10**12])
def test_a_tolerance_out_of_range_is_not_taken(morning: Dashboard, minutes: int) -> None:
    at = morning.open("overview", regra="card_time", tolerancia=str(minutes))
    assert not at.exception
    assert at.number_input(key="tolerancia").value == 5


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("text", [SCRIPT, INJECTION, "\0", "x" * 100_000, "../../etc/passwd"])
def test_an_address_full_of_attacks_opens_the_page_as_without_them(
    morning: Dashboard, page: str, text: str
) -> None:
    names = ("estabelecimento", "periodo", "regra", "tolerancia", "aba", f"{page}_busca")
    names += (f"{page}_ordem", f"{page}_pagina", f"{page}_cod_resposta", f"{page}_motivo")
    address: dict[str, Any] = dict.fromkeys(names, text)
    at = morning.open(page, **address)
    assert not at.exception
    assert not at.error
    assert "<script>window.struck" not in "".join(str(h.value) for h in at.html)
    count = morning.databases.execute("transactions", "SELECT count(*) FROM transactions")
    assert count == [(BULK + 5,)]
