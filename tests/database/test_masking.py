"""The SQL that masks and tokenises, run by a real server: value in, shown text out."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lib.database import masking, source_query
from lib.database.column_types import Layout
from lib.domain import masks
from tests.support.servers import Databases, Servers

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def empty(servers: Servers) -> Any:
    pair = servers.fresh()
    yield pair
    servers.drop(pair)


def evaluated(databases: Databases, expression: str, values: Sequence[str | None]) -> list[Any]:
    """The expression on ``v`` for each of these values, in order."""
    sql = f"SELECT {expression} FROM unnest(CAST(:values AS text[])) WITH ORDINALITY AS u(v, at)"
    with closing(databases.connect("transactions")) as connection:
        cursor = connection.cursor()
        given = {"values": list(values), "key": KEY, "merchant": "12345678000190"}
        cursor.execute(source_query.render(cursor, "transactions", f"{sql} ORDER BY at", given))
        return [value for (value,) in cursor]


CARDS = [
    ("4000001234561234", "400000******1234"),
    ("4000001234567", "400000******4567"),
    ("371449635398431", "371449******8431"),
    ("6062820000000001234", "606282******1234"),
    ("400000123456", "******3456"),
    ("123456789", "******6789"),
    ("12345678", "******"),
    ("1", "******"),
    ("4000 0012 3456 1234", "400000******1234"),
    (" 4000001234561234", "400000******1234"),
    ("4000-0012-3456-1234", "400000******1234"),
    ("cartão", "******"),
    ("=4000001234561234", "400000******1234"),
    ("VC00014000001234561234", "000140******1234"),
    ("", None),
    (None, None),
]


def test_a_card_shows_its_first_six_and_last_four_digits_at_most(empty: Databases) -> None:
    shown = evaluated(empty, masking.card("v"), [value for value, _ in CARDS])
    assert shown == [mask for _, mask in CARDS]


CPFS = [
    ("12345678909", "***.456.789-**"),
    ("00000000191", "***.000.001-**"),
    ("123.456.789-09", "***.456.789-**"),
    ("1234567890", "***********"),
    ("123456789012", "***********"),
    ("12345678000190", "***********"),
    ("sem CPF", "***********"),
    ("", None),
    (None, None),
]


def test_a_cpf_shows_its_middle_six_digits_and_anything_else_asterisks(empty: Databases) -> None:
    shown = evaluated(empty, masking.cpf("v"), [value for value, _ in CPFS])
    assert shown == [mask for _, mask in CPFS]


TEXTS = [
    ("Aprovada", "Aprovada"),
    ("NSU 1234567890 aprovada", "NSU 1234567890 aprovada"),
    ("CPF 12345678909.", "CPF ******."),
    ("cartão 4000001234561234 ok", "cartão ****** ok"),
    ("6062820000000001234", "******"),
    ("VC00014000001234561234", "VC******"),
    ("0200400000123456123400300000000012345", "******"),
    ("de 4000001234561234 para 12345678909", "de ****** para ******"),
    ("CPF 123.456.789-09", "CPF ******"),
    ("4000 0012 3456 1234", "******"),
    ("4000-0012-3456-1234", "******"),
    ("4000.0012.3456.1234", "******"),
    ("3782 822463 10005", "******"),
    ("em 22/11/2026 às 10:30:05, R$ 1.234,56", "em 22/11/2026 às 10:30:05, R$ 1.234,56"),
    ("linha\n4000001234561234\nlinha", "linha\n******\nlinha"),
    ("", ""),
    (None, None),
]


def test_runs_of_digits_that_could_be_a_card_or_a_cpf_vanish_from_texts(empty: Databases) -> None:
    shown = evaluated(empty, masking.text("v"), [value for value, _ in TEXTS])
    assert shown == [mask for _, mask in TEXTS]


def full_width(number: str) -> str:
    return "".join(chr(ord(d) + 0xFEE0) if d.isdigit() else d for d in number)


SPELLINGS = [
    *("529982247-25", "529 982 247 25", "529.982.247-25", "529982247/25", "529_982_247_25"),
    *("4000 001234 56123", "4000 001234 5612", "40000012 34561234", "400000 1234561234"),
    *("4000 0012 3456 1234 567", "4000 0012 3456", "4000-0012-3456-1234"),
    *("4000\t0012\t3456\t1234", "4000\n0012\n3456\n1234", "4000  0012  3456  1234"),
    *("4000\u00a00012\u202f3456\u20091234", "4000\u30000012\u30003456\u30001234"),
    *(f"4000{sign}0012{sign}3456{sign}1234" for sign in "/_,:|.-–"),
    "4000 - 0012 - 3456 - 1234",
    *map(full_width, ("4000001234561234", "4000 0012 3456 1234", "529.982.247-25")),
]
PLAIN = [
    "2026-11-20 12:00:00",
    "R$ 1.234.567,89 em 3x",
    "(11) 98765-4321",
    "12.345.678/0001-90",
    "NSU 123456 lote 7890",
    "1234 5678",
]


@pytest.mark.parametrize("around", ["{}", "cartão {} ok", "a{}b", "\n{}\n"])
def test_every_usual_spelling_of_a_number_is_masked(empty: Databases, around: str) -> None:
    texts = [around.format(spelling) for spelling in SPELLINGS]
    assert evaluated(empty, masking.text("v"), texts) == [around.format("******")] * len(texts)


def test_texts_with_other_numbers_stay_as_they_are(empty: Databases) -> None:
    assert evaluated(empty, masking.text("v"), PLAIN) == PLAIN


def test_a_merchant_field_shows_the_requested_merchant_alone(empty: Databases) -> None:
    values = ["12345678000190", "7KM2Q9B4000149", "4000001234561234", "98765432000155", "", None]
    shown = [*values[:2], "******", "******", "", None]
    assert evaluated(empty, masking.merchant("v"), values) == shown


@examples(max_examples=20)
@given(
    st.lists(
        st.text(alphabet="0123456789 .-aé\n=", max_size=60)
        | st.from_regex(r"[a-z ]{0,3}[0-9]{11,19}[a-z ]{0,3}", fullmatch=True),
        min_size=40,
        max_size=40,
    )
)
def test_no_masked_text_has_eleven_digits_in_a_row(empty: Databases, texts: list[str]) -> None:
    for shown in evaluated(empty, masking.text("v"), texts):
        assert not re.search(r"[0-9]{11}", shown)


def test_a_token_is_the_first_eight_bytes_of_the_keyed_hash_and_blanks_have_none(
    empty: Databases,
) -> None:
    values = ["4000001234561234", "4000001234561234 ", "cartão", "", None]
    tokens = evaluated(empty, masking.token("v"), values)
    assert tokens == [
        hashlib.sha256(KEY + value.encode()).hexdigest()[:16] if value else None for value in values
    ]


STORED = ["VC00014000001234561234", "40000012345612340000", "4000001234561234000", "4000", "", None]
PADDED = ["4000001234561234    ", "  4000001234561234\t\n  ", " VC00014000001234561234 "]
PREFIXES: list[tuple[int | str, list[str | None]]] = [
    ("auto", ["4000001234561234", "12345612340000", "4000001234561234000", "4000", "", None]),
    (0, STORED),
    (6, ["4000001234561234", "12345612340000", "1234561234000", "", "", None]),
]


@pytest.mark.parametrize(("length", "numbers"), PREFIXES, ids=["auto", "0", "6"])
def test_a_virtual_number_loses_its_prefix_as_the_setting_says(
    empty: Databases, length: int | str, numbers: list[str | None]
) -> None:
    assert evaluated(empty, masking.virtual_number("v", length), STORED) == numbers


def test_blanks_around_a_virtual_number_are_no_prefix(empty: Databases) -> None:
    numbers = evaluated(empty, masking.virtual_number("v", "auto"), PADDED)
    assert numbers == [PADDED[0], PADDED[1], "4000001234561234 "]


def test_a_long_text_is_masked_before_it_is_cut(empty: Databases) -> None:
    text = "a" * (masking.EXCEL_CELL - 8) + "4000001234561234" + "b" * 40_000
    shown = masking.auth_logs(
        "SELECT NULL AS num_cartao, NULL AS data, NULL AS hora, NULL AS cod_resposta,"
        f" '{text}' AS des_log, '' AS des_linha_recebimento",
        Layout(),
        clear=False,
    )
    with closing(empty.connect("auth_logs")) as connection:
        cursor = connection.cursor()
        cursor.execute(source_query.render(cursor, "auth_logs", shown, {"key": KEY}))
        (*_, cut, _token) = cursor.fetchone()
    assert len(cut) == masking.EXCEL_CELL + 1
    assert cut.endswith("a******bbb")


ODD = st.text(alphabet="0123456789 .-/\\\t\n\u00a0\uff10\uff19:;?aC3sé€\U0001f4b3", max_size=24)
NUMBER = st.from_regex(r"[ =]?[0-9]{8,22}[ \\]?", fullmatch=True)
NUMBERS = st.from_regex(
    r"[a-z]{0,3}[0-9\uff10-\uff19]{3,9}([ .–-]{0,3}[0-9\uff10-\uff19]{2,8}){1,4}",
    fullmatch=True,
)


@examples(max_examples=30)
@given(st.lists(ODD | NUMBER | NUMBERS, min_size=40, max_size=40))
def test_the_short_ways_of_the_masks_give_what_their_rules_say(
    empty: Databases, values: list[str]
) -> None:
    cards = [mask_of(value) for value in values]
    assert evaluated(empty, masking.card("v"), values) == cards
    replaced = f"regexp_replace(v, '{masks.LONG_RUNS}', '******', 'g')"
    assert evaluated(empty, masking.text("v"), values) == evaluated(empty, replaced, values)
    tokens = "encode(substr(sha256(:key || convert_to(nullif(v, ''), 'UTF8')), 1, 8), 'hex')"
    assert evaluated(empty, masking.token("v"), values) == evaluated(empty, tokens, values)


def mask_of(value: str) -> str | None:
    """The rule of `masking.card` in Python."""
    digits = re.sub("[^0-9]", "", value)
    start = digits[:6] if len(digits) >= 13 else ""
    end = digits[-4:] if len(digits) >= 9 else ""
    return f"{start}******{end}" if value else None


def test_values_are_computed_once_in_parallel_and_for_the_chosen_days_only(
    empty: Databases,
) -> None:
    names = "relname AS num_cartao, DATE '2026-11-20' + relnatts AS data, NULL AS hora"
    query = f"SELECT {names}, '' AS cod_resposta, '' AS des_log, '' AS des_linha_recebimento"
    sql = masking.auth_logs(f"{query} FROM pg_class", Layout(), clear=False)
    chosen = f"EXPLAIN SELECT s.* FROM ({sql}) AS s WHERE s.data > '2026-11-22'"
    with closing(empty.connect("auth_logs")) as connection:
        cursor = connection.cursor()
        for cost in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            cursor.execute(f"SET {cost} = 0")
        cursor.execute(source_query.render(cursor, "auth_logs", chosen, {"key": KEY}))
        plan = [line.strip() for (line,) in cursor if "Workers Planned" not in line]
    nodes = ["Gather", "->  Subquery Scan on m", "->  Parallel Seq Scan on pg_class", "Filter: "]
    assert len(plan) == len(nodes)
    assert all(line.startswith(node) for line, node in zip(plan, nodes, strict=True))


SIGNS = " \t\n\r\x0b\x0c\x1c\x85\xa0\u1680\u2003\u200b\u2028\u202f\u205f\u2060\u3000\ufeff"
PIECES = SIGNS + "./_,:|-\u2010\u2015\u2212\u00b7;+*xé\u0661\uff10\uff15\uff19"


def odd_values(count: int) -> list[str]:
    """Values that look like numbers in groups, and some that nearly do."""
    chance = random.Random(20_261_128)
    signs = ["", "", *PIECES, "  ", " - ", "\xa0\u2003", "./-", "----"]
    values = []
    for _ in range(count):
        parts = []
        for _ in range(chance.randrange(1, 8)):
            digits = "0123456789" if chance.random() < 0.9 else "0\uff11\uff12\uff139\u0663"
            lengths = chance.choice([[3, 2], [4], [4, 6, 5], [8, 9], [1, 7, 10, 11, 12, 16, 19]])
            parts.append("".join(chance.choices(digits, k=chance.choice(lengths))))
        separator = chance.choice(signs)
        mixed = chance.random() < 0.3
        text = parts[0]
        for part in parts[1:]:
            text += (chance.choice(signs) if mixed else separator) + part
        values.append(chance.choice(["", "", "NSU ", "=", " "]) + text)
    return values


def test_the_masks_of_python_are_those_of_the_server_on_ten_thousand_odd_values(
    empty: Databases,
) -> None:
    values: list[str | None] = [*odd_values(10_000), "", " ", None]
    for server, ours in (
        (masking.card, masks.card),
        (masking.cpf, masks.cpf),
        (masking.text, masks.text),
    ):
        shown = evaluated(empty, server("v"), values)
        different = [
            (value, there, here)
            for value, there, here in zip(values, shown, map(ours, values), strict=True)
            if there != here
        ]
        assert different[:5] == []
    assert sum(masks.text(value) != value for value in values) > 2_000
