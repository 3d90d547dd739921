"""Databases of other encodings than UTF-8: letters stay, numbers are masked, cards match."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date

import pytest

from lib.config import loader
from lib.database import copy_reader, error_translation
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.domain.requests import Window
from tests.support.servers import MERCHANTS, Databases, Servers

MERCHANT = next(iter(MERCHANTS))
DAY = date(2026, 11, 10)
CARD = "4000001234561234"
INSERT = "INSERT INTO authentication.transaction_logs VALUES (%s, %s, '12:00', '00', %s, %s)"
ENCODINGS = {"LATIN1": "latin-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252", "SQL_ASCII": "utf-8"}
TEXTS = {
    "Transação negada": "Transação negada",
    "preço – € 10": "preço – € 10",
    "12 ação 345.678 ção 901": "12 ação 345.678 ção 901",
    "cartão 4000001234567899": "cart o ******",
    "é 4000 0012 3456 7899": "  ******",
    "529.982.247-25": "******",
    "4000\u00a00012\u00a03456\u00a07899": "******",
    "4000\u20130012\u20133456\u20137899": "******",
    "4000\u20090012\u20093456\u20097899": "******",
    "4000 \u00a0 0012 \u00a0 3456 \u00a0 7899": "******",
    "x ４０００００１２３４５６７８９９ y": "x   y",
    "x ４０００ ００１２ 3456 7899 y": "x     3456 7899 y",
}


@pytest.fixture(params=ENCODINGS)
def encoded(request: pytest.FixtureRequest, servers: Servers) -> Iterator[tuple[str, Databases]]:
    pair = servers.fresh(request.param)
    yield request.param, pair
    servers.drop(pair)


def logged(databases: Databases, text: str) -> None:
    with closing(databases.connect("auth_logs")) as connection:
        connection.set_client_encoding("UTF8")
        with connection, connection.cursor() as cursor:
            cursor.execute(INSERT, (CARD, DAY, text, "0" + MERCHANT))


def texts_read(databases: Databases) -> list[str]:
    settings = loader.from_values(databases.values, "teste", {})
    extracted = copy_reader.extract(settings, Window(MERCHANT, DAY, DAY))
    cards = extracted.auth_logs[c.TOKEN_CARTAO].to_pylist()
    assert set(cards) == set(extracted.transactions[c.TOKEN_CARTAO].to_pylist())
    return [str(text) for text in extracted.auth_logs[c.DES_LOG].to_pylist()]


def test_letters_stay_and_numbers_in_every_spelling_are_masked(
    encoded: tuple[str, Databases],
) -> None:
    encoding, databases = encoded
    databases.fill([(CARD, DAY, "12:00", MERCHANT, None, "1.00")])
    expected = []
    for text, shown in TEXTS.items():
        try:
            text.encode(ENCODINGS[encoding])
        except UnicodeEncodeError:
            continue
        logged(databases, text)
        expected.append(shown)
    assert len(expected) > 6
    assert texts_read(databases) == expected


def test_bytes_that_are_no_text_are_one_sentence(servers: Servers) -> None:
    databases = servers.fresh("SQL_ASCII")
    try:
        databases.execute(
            "auth_logs",
            f"INSERT INTO authentication.transaction_logs VALUES ('{CARD}', '{DAY}', '12:00', '00',"
            f" convert_from('\\x4ee36f'::bytea, 'SQL_ASCII'), '0{MERCHANT}')",
        )
        expected = error_translation.BY_STATE["22021"].format(side="auth_logs")
        with pytest.raises(ContractError) as caught:
            texts_read(databases)
        assert str(caught.value) == expected
    finally:
        servers.drop(databases)
