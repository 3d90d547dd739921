"""Both sources read from real servers: the tables, and the effect of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lib.database import column_types, copy_reader, sessions
from lib.database.copy_reader import Extracted
from lib.database.error_translation import BY_STATE, NOT_CONNECTED
from lib.database.sides import BOTH_FAILED
from lib.domain import columns as c
from lib.domain import requests
from lib.domain.errors import ContractError, ExtractionError, TransientError
from lib.domain.requests import Window
from tests.support.command import gate, gated_query, nothing_runs, with_query
from tests.support.sentences import pattern
from tests.support.servers import Databases, Servers
from tests.support.settings import settings_of

MERCHANT, OTHER = "12345678000190", "7KM2Q9B4000149"
FIELD = "0" + MERCHANT
DAY = date(2026, 11, 20)
NOON = clock(12, 0)
WINDOW = Window(MERCHANT, DAY, DAY)
CARD, VIRTUAL, CPF = "4000001234561234", "4099991111222233", "12345678909"
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def extracted(databases: Databases, window: Window = WINDOW, *, clear: bool = False) -> Extracted:
    return copy_reader.extract(settings_of(databases.values), window, clear=clear)


def records(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    """The rows of these columns, sorted by their text."""
    return sorted((tuple(row.values()) for row in table.select(names).to_pylist()), key=str)


def log(**values: Any) -> tuple[Any, ...]:
    default = {"card": CARD, "day": DAY, "time": NOON, "code": "00", "text": "", "raw": FIELD}
    return tuple({**default, **values}.values())


def purchase(**values: Any) -> tuple[Any, ...]:
    default = {"card": CARD, "day": DAY, "time": NOON, "merchant": MERCHANT, "virtual": None}
    return tuple({**default, "amount": Decimal("12.34"), **values}.values())


def test_the_tables_have_the_contracts_columns_and_types_even_when_empty(
    databases: Databases,
) -> None:
    types = {
        **dict.fromkeys((c.DATA, c.DATA_TRANSA), pa.date32()),
        **dict.fromkeys((c.HORA, c.HORA_TRANSA), pa.time32("s")),
        **dict.fromkeys((c.TOKEN_CARTAO, c.TOKEN_VIRTUAL, c.TOKEN_CPF), pa.int64()),
        c.VLR_TOTAL: pa.decimal128(18, 2),
        c.DES_LINHA_RECEBIMENTO: pa.string(),
    }
    for rows in ([], [0]):
        databases.fill([purchase() for _ in rows], auth_logs=[log() for _ in rows])
        for clear, names in ((False, c.AUTH_LOGS), (True, c.AUTH_LOGS_CLEAR)):
            read = extracted(databases, clear=clear)
            assert tuple(read.transactions.column_names) == c.TRANSACTIONS
            assert tuple(read.auth_logs.column_names) == names
            for table in (read.transactions, read.auth_logs):
                assert len(table) == len(rows)
                for field in table.schema:
                    assert field.type == types.get(field.name, DICTIONARY)
                    assert table[field.name].num_chunks == 1


def test_the_period_includes_both_ends_and_only_one_merchants_records_are_read(
    databases: Databases,
) -> None:
    days = [date(2026, 11, day) for day in range(17, 23)]
    databases.fill(
        [purchase(day=day, merchant=cnpj) for day in days for cnpj in (MERCHANT, OTHER)],
        auth_logs=[log(day=day, raw=f"..0{cnpj}..") for day in days for cnpj in (MERCHANT, OTHER)],
    )
    for cnpj in (MERCHANT, OTHER):
        read = extracted(databases, Window(cnpj, days[1], days[4]))
        assert records(read.transactions, c.DATA_TRANSA, c.DES_CNPJ_REDUZIDO) == [
            (day, cnpj) for day in days[1:5]
        ]
        assert records(read.auth_logs, c.DATA) == [(day,) for day in days[1:5]]


def test_the_raw_line_names_the_merchant_in_a_field_of_fifteen_characters(
    databases: Databases,
) -> None:
    lines = [FIELD, "0100" + FIELD + "00", MERCHANT, "1" + MERCHANT, "", None, f"0{OTHER}"]
    databases.fill(auth_logs=[log(text=str(number), raw=raw) for number, raw in enumerate(lines)])
    read = extracted(databases, clear=True)
    assert records(read.auth_logs, c.DES_LOG, c.DES_LINHA_RECEBIMENTO) == [
        ("0", FIELD),
        ("1", "0100" + FIELD + "00"),
    ]


def test_a_card_without_a_holder_keeps_its_transaction_and_two_holders_make_two(
    databases: Databases,
) -> None:
    databases.fill(
        [purchase(), purchase(card="1"), purchase(card=None)],
        customer_cards=[(CPF, CARD), ("98765432100", CARD), (None, "1"), ("11122233344", None)],
    )
    read = extracted(databases, clear=True)
    assert records(read.transactions, c.NUM_CPF, c.NUM_CARTAO) == sorted(
        [(CPF, CARD), ("98765432100", CARD), (None, "1"), (None, None)], key=str
    )


def test_only_masks_arrive_unless_the_report_is_clear(databases: Databases) -> None:
    databases.fill(
        [purchase(virtual="VC0001" + VIRTUAL)], [(CPF, CARD)], [log(text=f"cartão {CARD}")]
    )
    shown = (c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL)
    masked, clear = extracted(databases), extracted(databases, clear=True)
    assert records(masked.transactions, *shown) == [
        ("***.456.789-**", "400000******1234", "409999******2233")
    ]
    assert records(masked.auth_logs, c.NUM_CARTAO, c.DES_LOG) == [
        ("400000******1234", "cartão ******")
    ]
    assert records(clear.transactions, *shown) == [(CPF, CARD, VIRTUAL)]
    assert records(clear.auth_logs, c.NUM_CARTAO, c.DES_LOG, c.DES_LINHA_RECEBIMENTO) == [
        (CARD, f"cartão {CARD}", FIELD)
    ]


def test_a_number_has_one_token_on_both_sides_and_blanks_have_none(databases: Databases) -> None:
    cards = [CARD, "400000 1", "", None]
    databases.fill(
        [purchase(card=CARD, virtual=value) for value in (CARD, "VC0001" + CARD, "", None)],
        [("", CARD)],
        [log(card=card) for card in cards],
    )
    read = extracted(databases)
    [token] = set(read.transactions[c.TOKEN_CARTAO].to_pylist())
    virtual = records(read.transactions, c.TOKEN_VIRTUAL)
    logs = records(read.auth_logs, c.TOKEN_CARTAO)
    assert virtual.count((token,)) == virtual.count((None,)) == 2
    assert logs.count((token,)) == 1
    assert logs.count((None,)) == 2
    assert records(read.transactions, c.TOKEN_CPF) == [(None,)] * 4


TEXTS = [
    *("", "NULL", r"\N", r"\.", '"', '""', ",", "a,b", " a ", "a\nb", "a\r\nb", "\r", "\t", "'"),
    *(
        "😀" * 32_000,
        "é",
        "😀",
        "\x01\x1f",
        "=1+1",
        "\ufeff",
        "a" * 31_000,
        "#N/A",
        "NaN",
        "null",
        "%s",
        ":x",
    ),
]


@pytest.mark.parametrize("clear", [False, True])
def test_every_text_arrives_as_it_is(databases: Databases, clear: bool) -> None:
    databases.fill(auth_logs=[log(code=text, text=text) for text in [*TEXTS, None]])
    read = extracted(databases, clear=clear)
    assert records(read.auth_logs, c.COD_RESPOSTA, c.DES_LOG) == sorted(
        [(text, text) for text in [*TEXTS, None]], key=str
    )


def test_instants_are_clock_readings_in_whole_seconds(databases: Databases) -> None:
    stored = {clock(23, 59, 59, 999_999): clock(23, 59, 59), clock(0, 0): clock(0, 0), None: None}
    databases.fill([purchase(time=at) for at in stored], auth_logs=[log(time=at) for at in stored])
    read = extracted(databases)
    expected = sorted(((at,) for at in stored.values()), key=str)
    assert records(read.transactions, c.HORA_TRANSA) == expected
    assert records(read.auth_logs, c.HORA) == expected


@pytest.fixture(scope="module")
def filled(servers: Servers) -> Iterator[Databases]:
    """Twenty thousand records per side, of ten merchants and the hundred days up to `DAY`."""
    pair = servers.fresh()
    pair.execute(
        "transactions",
        f"INSERT INTO transactions SELECT n::text, '{DAY}'::date - n / 10 % 100, '12:00',"
        " CASE n % 10 WHEN 0 THEN '12345678000190' ELSE lpad((n % 10)::text, 14, '9') END,"
        " NULL, n FROM generate_series(0, 19999) AS n",
    )
    pair.execute(
        "auth_logs",
        f"INSERT INTO authentication.transaction_logs SELECT n::text, '{DAY}'::date - n % 100,"
        f" '12:00', '00', n || repeat('é', 600), '{FIELD}' FROM generate_series(0, 19999) AS n",
    )
    for side in requests.SIDES:
        pair.execute(side, "ANALYZE")
    yield pair
    servers.drop(pair)


def test_the_masked_queries_can_use_the_tables_indexes(filled: Databases) -> None:
    plans = {}
    settings = settings_of(filled.values)
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            layout = column_types.examine(cursor, settings, side, WINDOW)
            select = copy_reader.masked_select(cursor, settings, side, WINDOW, layout, clear=False)
            cursor.execute(b"EXPLAIN " + select)
            plans[side] = "\n".join(line for (line,) in cursor)
    assert "Seq Scan on transactions" not in plans["transactions"]
    assert "transactions_merchant_id_transaction_date_idx" in plans["transactions"]
    assert (
        f"Index Cond: ((merchant_id = '{MERCHANT}'::text) AND (transaction_date >= '{DAY}'"
        in (plans["transactions"])
    )
    assert "Seq Scan" not in plans["auth_logs"]
    assert f"Index Cond: ((log_date >= '{DAY}'::date)" in plans["auth_logs"]


def test_data_of_several_blocks_arrive_whole_and_without_rows_committed_during_the_read(
    filled: Databases,
) -> None:
    progress: list[tuple[str, int]] = []

    def insert(side: str, rows: int) -> None:
        progress.append((side, rows))
        if rows and [name for name, _ in progress].count(side) < 5:
            row = {"transactions": [purchase(card="new")], "auth_logs": [log(card="new")]}
            filled.fill(**{side: row[side]})

    window = Window(MERCHANT, date(2026, 8, 1), DAY)
    settings = settings_of(filled.values)
    read = copy_reader.extract(settings, window, clear=True, progress=insert)
    try:
        blocks = [rows for side, rows in progress if side == "auth_logs" and rows]
        assert len(blocks) > 3
        assert blocks == sorted(set(blocks))
        logs = dict(records(read.auth_logs, c.NUM_CARTAO, c.DES_LOG))
        # Compared outside the assertion: pytest would print megabytes of difference.
        whole = logs == {str(n): f"{n}{'é' * 600}" for n in range(20_000)}
        assert whole
        assert len(read.auth_logs) == 20_000
        assert len(read.transactions) == 2_000
        assert "new" not in set(read.transactions[c.NUM_CARTAO].to_pylist())
    finally:
        filled.execute("transactions", "DELETE FROM transactions WHERE card_number = 'new'")
        filled.execute(
            "auth_logs", "DELETE FROM authentication.transaction_logs WHERE card_number = 'new'"
        )


@pytest.mark.timeout(60)
def test_two_sides_that_fail_at_once_end_the_read_and_are_both_named(tmp_path: Path) -> None:
    """The second read may not have started when the first one fails."""
    nowhere = {"host": str(tmp_path), "database": "banco", "user": "aggregator"}
    values = {"merchants": {MERCHANT: "Loja"}, "transactions": nowhere, "auth_logs": nowhere}
    both = BOTH_FAILED.format(
        **{
            name: NOT_CONNECTED.format(side=side, host=tmp_path, port=5432)
            for name, side in zip(("first", "second"), requests.SIDES, strict=True)
        }
    )
    for _ in range(200):
        with pytest.raises(TransientError) as caught:
            copy_reader.extract(settings_of(values), WINDOW)
        assert str(caught.value) == both


@pytest.mark.timeout(60)
@pytest.mark.parametrize("failing", requests.SIDES)
def test_a_side_that_fails_cancels_the_other_and_is_named(
    databases: Databases, tmp_path: Path, failing: requests.Side
) -> None:
    slow = next(side for side in requests.SIDES if side != failing)
    values = with_query(databases.values, slow, tmp_path, gated_query(slow))
    values = with_query(values, failing, tmp_path, "SELECT * FROM nowhere")
    with gate(databases, slow), pytest.raises(ContractError) as caught:
        copy_reader.extract(settings_of(values), WINDOW)
    assert str(caught.value) == BY_STATE["42P01"].format(side=failing, name="nowhere")
    assert nothing_runs(databases)


def test_a_side_that_fails_midway_gives_no_partial_table(databases: Databases) -> None:
    databases.execute(
        "auth_logs",
        f"INSERT INTO authentication.transaction_logs SELECT n, '{DAY}', NULL, '00',"
        f" repeat('x', 30000), '{FIELD}' FROM generate_series(1, 1000) AS n",
    )
    pids: list[int] = []

    def end(side: str, rows: int) -> None:
        if rows and not pids:
            running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%'"
            pids.extend(pid for (pid,) in databases.execute("auth_logs", running))
            databases.execute("auth_logs", f"SELECT pg_terminate_backend({pids[0]}, 5000)")

    with pytest.raises(ExtractionError, match=pattern(BY_STATE["08"])):
        copy_reader.extract(settings_of(databases.values), WINDOW, progress=end)
    assert len(extracted(databases).auth_logs) == 1_000
