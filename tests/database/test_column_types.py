"""Columns of other types than the contract's: read exactly, or refused by run and check alike."""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.database import copy_reader, record_batches
from lib.database.column_types import EXPECTED, UNREADABLE, WRONG_TYPE
from lib.database.error_translation import BY_STATE
from lib.delivery import diagnosis
from lib.domain import columns as c
from lib.domain.errors import ContractError
from lib.domain.requests import Window
from lib.engines import sizing
from tests.support.command import with_query
from tests.support.servers import MERCHANTS, Databases

MERCHANT = next(iter(MERCHANTS))
DAY = date(2026, 11, 20)
WINDOW = Window(MERCHANT, DAY, DAY)
CARD = "4000001234561234"
VALUES = {
    "num_cpf": "'12345678909'",
    "num_cartao": f"'{CARD}'",
    "num_cartao_virtual": "NULL",
    "data_transa": "date '2026-11-20'",
    "hora_transa": "time '10:00'",
    "vlr_total": "1.00",
    "des_cnpj_reduzido": ":merchant",
}
LOG = {
    "num_cartao": f"'{CARD}'",
    "data": "date '2026-11-20'",
    "hora": "time '10:00'",
    "cod_resposta": "'00'",
    "des_log": "'Aprovada'",
    "des_linha_recebimento": ":merchant_field",
}


def selected(databases: Databases, folder: Path, side: str = "transactions", **values: str) -> Any:
    """The settings whose query file returns one record with these expressions."""
    merged = (VALUES if side == "transactions" else LOG) | values
    sql = "SELECT " + ", ".join(f"{expression} AS {name}" for name, expression in merged.items())
    return loader.from_values(with_query(databases.values, side, folder, sql), "teste", {})


def record(settings: Settings, side: str = "transactions") -> dict[str, Any]:
    """The only record that a clear read returns."""
    [row] = getattr(copy_reader.extract(settings, WINDOW, clear=True), side).to_pylist()
    return dict(row)


def refusals(settings: Settings) -> set[str]:
    """The sentences of a run and of `check`."""
    with pytest.raises(ContractError) as run:
        copy_reader.extract(settings, WINDOW)
    with pytest.raises(ContractError) as check:
        list(diagnosis.check_sources(settings, defaults.request(settings, DAY, days=0)))
    return {str(run.value), str(check.value)}


AMOUNTS = {
    "real '98765.43'": "98765.43",
    "float8 '0.1'": "0.10",
    "float4 '1234.5'": "1234.50",
    "10.5000::numeric(14,4)": "10.50",
    "12345678901.23::numeric": "12345678901.23",
    "7::bigint": "7.00",
    "money '1234567.89'": "1234567.89",
    "money '-0.5'": "-0.50",
    "'1.50'": "1.50",
    "NULL::float8": None,
}


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_of_another_type_is_read_to_the_cent(
    databases: Databases, tmp_path: Path, amount: str
) -> None:
    expected = AMOUNTS[amount]
    row = record(selected(databases, tmp_path, vlr_total=amount))
    assert row[c.VLR_TOTAL] == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("amount", ["10.0049::numeric(14,4)", "float8 '0.125'", "'10.005'"])
def test_an_amount_with_more_than_two_decimals_is_refused_with_the_remedy(
    databases: Databases, tmp_path: Path, amount: str
) -> None:
    settings = selected(databases, tmp_path, vlr_total=amount)
    sentence = record_batches.MORE_DECIMALS.format(side="transactions", name="vlr_total")
    assert refusals(settings) == {sentence}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vlr_total", "float8 'NaN'"),
        ("data_transa", "date 'infinity'"),
        ("data_transa", "timestamp '-infinity'"),
        ("data_transa", "date '0044-03-15 BC'"),
        ("data_transa", "date '12000-01-01'"),
    ],
)
def test_a_value_that_no_cell_can_hold_is_refused_with_its_column(
    databases: Databases, tmp_path: Path, name: str, value: str
) -> None:
    settings = selected(databases, tmp_path, **{name: value})
    with pytest.raises(ContractError) as run:
        copy_reader.extract(settings, WINDOW)
    assert str(run.value) == record_batches.WRONG_TYPE.format(side="transactions", name=name)


INSTANTS = {
    "timestamp '2026-11-20 23:30:59.9'": (DAY, time(23, 30, 59)),
    "timestamptz '2026-11-21 02:30:00+00'": (DAY, time(23, 30)),
    "timestamptz '2026-11-20 23:59:59.999-03'": (DAY, time(23, 59, 59)),
}


@pytest.mark.parametrize("instant", INSTANTS)
def test_an_instant_is_read_as_date_and_time_in_the_configured_time_zone(
    databases: Databases, tmp_path: Path, instant: str
) -> None:
    databases.execute("transactions", "ALTER ROLE aggregator SET timezone = 'Asia/Tokyo'")
    try:
        row = record(selected(databases, tmp_path, data_transa=instant, hora_transa=instant))
    finally:
        databases.execute("transactions", "ALTER ROLE aggregator RESET timezone")
    assert (row[c.DATA_TRANSA], row[c.HORA_TRANSA]) == INSTANTS[instant]


@pytest.mark.parametrize("type_name", ["timestamp", "timestamptz", "date"])
def test_the_last_day_is_whole_whatever_type_a_date_has(
    databases: Databases, tmp_path: Path, type_name: str
) -> None:
    databases.execute(
        "transactions",
        "SET timezone = 'America/Sao_Paulo';"
        f" ALTER TABLE transactions ALTER transaction_date TYPE {type_name}",
    )
    instants = ["2026-11-19 23:59-03", "2026-11-20 00:00-03", "2026-11-20 23:59:59-03"]
    for number, instant in enumerate([*instants, "2026-11-21 00:00-03"]):
        databases.execute(
            "transactions",
            "SET timezone = 'America/Sao_Paulo'; INSERT INTO transactions VALUES"
            f" ('{number}', '{instant}', '10:00', '{MERCHANT}', NULL, 1)",
        )
    query = (
        "SELECT NULL AS num_cpf, card_number AS num_cartao, NULL AS num_cartao_virtual,"
        " transaction_date AS data_transa, transaction_time AS hora_transa, amount AS vlr_total,"
        " merchant_id AS des_cnpj_reduzido FROM transactions"
        " WHERE transaction_date BETWEEN :start AND :end"
    )
    own = with_query(databases.values, "transactions", tmp_path, query)
    for values in (databases.values, own):
        settings = loader.from_values(values, "teste", {})
        table = copy_reader.extract(settings, WINDOW, clear=True).transactions
        assert sorted(table[c.NUM_CARTAO].to_pylist()) == ["1", "2"]
        request = defaults.request(settings, DAY, days=0)
        assert next(diagnosis.check_sources(settings, request)).values["rows"] == 2


TEXTS = {
    "'4000'::char(8)": "4000",
    "'4000 '::varchar(8)": "4000 ",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "'4000'::own_text": "4000",
    "'n00'::own_enum": "n00",
    "'4000'::name": "4000",
}


@pytest.fixture
def typed(databases: Databases) -> Databases:
    databases.execute("transactions", "CREATE DOMAIN own_text AS varchar(20)")
    databases.execute("transactions", "CREATE TYPE own_enum AS ENUM ('n00')")
    return databases


@pytest.mark.parametrize("text", TEXTS)
def test_a_number_in_another_text_type_is_read_exactly(
    typed: Databases, tmp_path: Path, text: str
) -> None:
    assert record(selected(typed, tmp_path, num_cartao=text))[c.NUM_CARTAO] == TEXTS[text]


def test_a_document_is_read_as_its_text_where_free_text_stands(
    databases: Databases, tmp_path: Path
) -> None:
    log = '{"m": 1}'
    settings = selected(databases, tmp_path, "auth_logs", des_log=f"'{log}'::json")
    assert record(settings, "auth_logs")[c.DES_LOG] == log


REFUSED = [
    ("num_cartao", "4000001234561234::bigint", "bigint", "text"),
    ("num_cpf", "1234567890::numeric", "numeric", "text"),
    ("num_cartao_virtual", "'{\"n\": 1}'::jsonb", "jsonb", "text"),
    ("num_cartao", "'\\x34'::bytea", "bytea", "text"),
    ("num_cpf", "ARRAY['1']", "text[]", "text"),
    ("data_transa", "20261120", "integer", "date"),
    ("data_transa", "time '10:00'", "time without time zone", "date"),
    ("hora_transa", "timetz '10:00-03'", "time with time zone", "time"),
    ("hora_transa", "interval '25 hours'", "interval", "time"),
    ("vlr_total", "true", "boolean", "amount"),
]


@pytest.mark.parametrize(("name", "expression", "type_name", "kind"), REFUSED)
def test_a_column_that_cannot_be_read_exactly_is_refused_with_its_type(
    databases: Databases, tmp_path: Path, name: str, expression: str, type_name: str, kind: str
) -> None:
    settings = selected(databases, tmp_path, **{name: expression})
    assert refusals(settings) == {
        WRONG_TYPE.format(side="transactions", name=name, type=type_name, expected=EXPECTED[kind])
    }


@pytest.mark.parametrize(
    ("name", "expression", "type_name", "expected", "code"),
    [
        ("hora_transa", "'8h30'::text", "text", "time", "22007"),
        ("hora_transa", "'25:00'::char(8)", "character", "time", "22008"),
        ("vlr_total", "'10,50'::varchar", "character varying", "numeric", "22P02"),
        ("vlr_total", "'1.234,56'::text", "text", "numeric", "22P02"),
        ("data_transa", "'20/13/2026'::text", "text", "date", "22008"),
    ],
)
def test_a_text_that_is_no_date_time_or_amount_is_refused_with_its_column_and_type(
    databases: Databases,
    tmp_path: Path,
    name: str,
    expression: str,
    type_name: str,
    expected: str,
    code: str,
) -> None:
    settings = selected(databases, tmp_path, **{name: expression})
    columns = f"{name} (tipo {type_name}, lida como {expected})"
    assert refusals(settings) == {
        UNREADABLE.format(side="transactions", columns=columns, code=code)
    }


LOGS = "authentication.transaction_logs"
ODD_TABLES = [
    ("transactions", "transactions", "merchant_id", "bigint", "text"),
    ("transactions", "transactions", "merchant_id", "integer", "text"),
    ("transactions", "transactions", "merchant_id", "uuid[]", "text"),
    ("transactions", "transactions", "transaction_date", "text", "date"),
    ("transactions", "transactions", "transaction_date", "integer", "date"),
    ("transactions", "transactions", "transaction_time", "interval", "time"),
    ("transactions", "transactions", "card_number", "bigint", "text"),
    ("transactions", "transactions", "amount", "boolean", "amount"),
    ("transactions", "customer_cards", "card_number", "numeric", "text"),
    ("transactions", "customer_cards", "customer_cpf", "bigint", "text"),
    ("auth_logs", LOGS, "log_date", "character varying", "date"),
    ("auth_logs", LOGS, "log_date", "bigint", "date"),
    ("auth_logs", LOGS, "log_time", "interval", "time"),
    ("auth_logs", LOGS, "raw_data", "bytea", "text"),
    ("auth_logs", LOGS, "response_code", "integer", "text"),
]


@pytest.mark.parametrize(("side", "table", "column", "type_name", "kind"), ODD_TABLES)
def test_a_column_of_a_table_that_the_default_query_cannot_use_is_refused_with_its_type(
    databases: Databases, side: str, table: str, column: str, type_name: str, kind: str
) -> None:
    change = f"ALTER TABLE {table} DROP {column} CASCADE; ALTER TABLE {table} ADD {column}"
    databases.execute(side, f"{change} {type_name}")
    sentence = WRONG_TYPE.format(
        side=side, name=f"{table}.{column}", type=type_name, expected=EXPECTED[kind]
    )
    settings = loader.from_values(databases.values, "teste", {})
    assert refusals(settings) == {sentence}
    with pytest.raises(ContractError, match=re.escape(sentence)):
        sizing.kind(settings, WINDOW)


def test_a_table_that_lacks_a_column_is_still_told_so(databases: Databases) -> None:
    databases.execute("transactions", "ALTER TABLE transactions DROP COLUMN amount")
    settings = loader.from_values(databases.values, "teste", {})
    assert refusals(settings) == {BY_STATE["42703"].format(side="transactions", name="t.amount")}
