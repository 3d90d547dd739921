"""Numbers and dates in the reader's language, equal to Babel's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from babel import dates, numbers
from hypothesis import given
from hypothesis import strategies as st

from lib.ui import formatting
from lib.ui.i18n import ENGLISH, PORTUGUESE

LANGUAGES = pytest.mark.parametrize("locale", [PORTUGUESE, ENGLISH])


@LANGUAGES
@given(amount=st.decimals(-(10**15), 10**15, places=2))
def test_an_amount_is_written_as_the_language_writes_it(locale: str, amount: Decimal) -> None:
    wanted = numbers.format_currency(amount, "BRL", locale=locale)
    assert formatting.money(amount, locale) == wanted


@LANGUAGES
@given(number=st.integers(-(10**12), 10**12))
def test_a_whole_number_is_written_as_the_language_writes_it(locale: str, number: int) -> None:
    assert formatting.whole(number, locale) == numbers.format_decimal(
        number, "#,##0", locale=locale
    )


def test_a_date_is_written_as_the_language_writes_it() -> None:
    assert formatting.day(date(2026, 3, 9), PORTUGUESE) == "09/03/2026"
    assert formatting.day(date(2026, 3, 9), ENGLISH) == dates.format_date(
        date(2026, 3, 9), "medium", locale="en"
    )


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        ("99999999.99", "R$\xa099.999.999,99"),
        ("480957100.00", "R$\xa0480.957.100"),
        ("-480957099.61", "-R$\xa0480.957.100"),
    ],
)
def test_cents_go_where_an_amount_is_too_long_for_its_place(amount: str, wanted: str) -> None:
    assert formatting.large(Decimal(amount)) == wanted
