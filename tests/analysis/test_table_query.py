"""Search, filters and sort order of long tables, against a plain loop over the rows."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import table_query, table_schemas
from lib.analysis.table_query import Query
from lib.analysis.table_schemas import Table
from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.matching import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

DAY = date(2026, 11, 20)
PERIOD = Period(DAY - timedelta(days=3), DAY, DAY + timedelta(days=9))
BY_TIME = Rule("card_time", 3600)
TABLES = [
    (table_schemas.CONSOLIDATED, Rule()),
    (table_schemas.DIVERGENCES, Rule()),
    (table_schemas.DIVERGENCES_BY_TIME, BY_TIME),
    (table_schemas.WITHOUT_LOG, Rule()),
    (table_schemas.DUPLICATES, Rule()),
]

cards = st.sampled_from(["400000******0001", "510510******0002", "******0003", None, ""])
texts = st.sampled_from(["Aprovada", "NEGADA por saldo", "ação não concluída", "", None, "=1+1"])
times = st.sampled_from([None, time(0), time(10, 30), time(23, 59, 59)])
days = st.sampled_from([DAY, DAY - timedelta(days=1)])
transactions = st.builds(
    Transaction,
    st.sampled_from(["***.222.333-**", "***.456.789-**", None]),
    cards,
    cards,
    days,
    times,
    st.sampled_from([None, Decimal("1.00"), Decimal("-3.50"), Decimal("1234.56")]),
)
logs = st.builds(Log, cards, days, times, st.sampled_from(["00", "51", None, ""]), texts)


def result_of(
    bought: list[Transaction],
    logged: list[Log],
    rule: Rule | None = None,
    *,
    dictionary: bool = True,
) -> Reconciliation:
    return reconcile.reconcile(
        transactions_table(bought, dictionary=dictionary),
        logs_table(logged, dictionary=dictionary),
        PERIOD,
        rule or Rule(),
    )


def column(result: Reconciliation, table: Table, name: str) -> list[Any]:
    """Return a column of the whole table, blank values as None."""
    page = table.page(result, np.arange(len(table.row_numbers(result))))
    return plainly(page[name].to_pylist())


@pytest.mark.parametrize(("table", "rule"), TABLES)
@given(bought=st.lists(transactions, max_size=12), logged=st.lists(logs, max_size=12))
def test_the_cells_of_a_page_are_the_values_of_its_rows(
    table: Table, rule: Rule, bought: list[Transaction], logged: list[Log]
) -> None:
    for dictionary in (True, False):
        result = result_of(bought, logged, rule, dictionary=dictionary)
        at = np.arange(len(table.row_numbers(result)))[::-2]
        assert table.cells(result, at) == table.page(result, at).to_pydict()


def plainly(values: list[Any]) -> list[Any]:
    return [None if str(value) in ("<NA>", "nan", "None", "") else value for value in values]


@pytest.mark.parametrize(
    ("table", "rule"),
    TABLES,
    ids=["consolidated", "divergences", "by_time", "without_log", "duplicates"],
)
@given(bought=st.lists(transactions, max_size=12), logged=st.lists(logs, max_size=12))
def test_every_column_sorts_as_its_values_do_blanks_last_and_ties_as_in_the_sheet(
    table: Table, rule: Rule, bought: list[Transaction], logged: list[Log]
) -> None:
    result = result_of(bought, logged, rule)
    for name in table.columns:
        values = column(result, table, name)
        if name == table.date:
            continue
        for descending in (False, True):
            at = table_query.positions(result, table, Query(sort=name, descending=descending))
            known = [i for i, value in enumerate(values) if value is not None]
            known.sort(key=values.__getitem__, reverse=descending)
            blank = [i for i, value in enumerate(values) if value is None]
            assert at.tolist() == known + blank


@pytest.mark.parametrize(("table", "rule"), TABLES)
@given(bought=st.lists(transactions, max_size=12), logged=st.lists(logs, max_size=12))
def test_rows_sorted_by_date_are_sorted_by_time_too_one_without_time_last_in_its_day(
    table: Table, rule: Rule, bought: list[Transaction], logged: list[Log]
) -> None:
    result = result_of(bought, logged, rule)
    clock = list(
        zip(column(result, table, table.date), column(result, table, table.time), strict=True)
    )
    oldest = table_query.positions(result, table, Query(sort=table.date))
    assert oldest.tolist() == list(range(len(clock)))
    newest = table_query.positions(result, table, Query(sort=table.date, descending=True))
    expected = sorted(range(len(clock)), key=lambda i: clock[i][1] or time.min, reverse=True)
    expected.sort(key=lambda i: clock[i][1] is None)
    expected.sort(key=lambda i: clock[i][0], reverse=True)
    assert [clock[i] for i in newest] == [clock[i] for i in expected]
    for a, b in zip(newest, newest[1:], strict=False):
        assert a < b or clock[a] != clock[b], "rows of one second stay in the sheet's order"


@pytest.mark.parametrize("dictionary", [True, False], ids=["dictionary", "plain"])
@given(
    bought=st.lists(transactions, max_size=12),
    logged=st.lists(logs, max_size=12),
    text=st.sampled_from(
        ["aprovada", "nao concluida", "NEGADA", "00", "51", "0001", "400000******0001", "222333"]
        + ["***.456.789-**", "=1+1", "nada", "5105 10** **** 0002"]
    ),
)
def test_search_finds_what_a_plain_loop_finds(
    bought: list[Transaction], logged: list[Log], text: str, dictionary: bool
) -> None:
    result = result_of(bought, logged, dictionary=dictionary)
    for table in (table_schemas.CONSOLIDATED, table_schemas.DIVERGENCES):
        at = table_query.positions(result, table, Query(search=text))
        columns = [column(result, table, name) for name in table.searched]
        rows = [dict(zip(table.searched, row, strict=True)) for row in zip(*columns, strict=True)]
        assert at.tolist() == [i for i, row in enumerate(rows) if _has(row, text)]


def test_one_text_is_folded_as_an_array_is() -> None:
    letters = [chr(code) for code in range(0x530)]
    texts = ["", "TRANSAÇÃO não Concluída", "ΟΔΟΣ", "İstanbul", "ﬁm ４０ ok", *letters]
    folded = table_query.folded_texts(pa.array(texts)).to_pylist()
    assert list(map(table_query.folded, texts)) == folded


def _has(row: dict[str, Any], text: str) -> bool:
    folded = {"nao concluida": "não concluída"}.get(text, text).lower()
    number = text.replace(" ", "").replace(".", "").replace("-", "")
    for name, value in ((name, value or "") for name, value in row.items()):
        if name == c.COD_RESPOSTA:
            hit = value == folded
        elif name == c.DES_LOG:
            hit = folded in value.lower()
        elif not any(ch.isdigit() for ch in text) or text == "=1+1":
            hit = folded in value
        elif name == c.NUM_CPF:
            digits = "".join(ch for ch in value if ch.isdigit())
            hit = number.replace("*", "") in digits
        else:
            hit = number in value
        if hit:
            return True
    return False


@given(
    bought=st.lists(transactions, max_size=12),
    logged=st.lists(logs, max_size=12),
    asked=st.sampled_from(
        [
            ("R$ 1.234,56", {c.VLR_TOTAL: Decimal("1234.56")}),
            ("-3,50", {c.VLR_TOTAL: Decimal("-3.50")}),
            ("20/11/2026", {c.DATA: DAY, c.DATA_TRANSA: DAY}),
            ("2026-11-20", {c.DATA: DAY, c.DATA_TRANSA: DAY}),
            ("20/11", {c.DATA: DAY, c.DATA_TRANSA: DAY}),
            ("10:30", {c.HORA: time(10, 30), c.HORA_TRANSA: time(10, 30)}),
            ("23:59:59", {c.HORA: time(23, 59, 59), c.HORA_TRANSA: time(23, 59, 59)}),
        ]
    ),
)
def test_search_finds_an_amount_a_date_and_a_time(
    bought: list[Transaction], logged: list[Log], asked: tuple[str, dict[str, Any]]
) -> None:
    text, values = asked
    for table, rule in TABLES:
        result = result_of(bought, logged, rule)
        at = table_query.positions(result, table, Query(search=table_query.clean_search(text)))
        expected: set[int] = set()
        for name, value in values.items():
            if name in table.columns:
                shown = column(result, table, name)
                expected |= {i for i, cell in enumerate(shown) if cell == value}
        assert at.tolist() == sorted(expected)


@given(bought=st.lists(transactions, max_size=12), logged=st.lists(logs, max_size=12))
def test_a_filter_keeps_the_rows_with_its_values_and_no_others(
    bought: list[Transaction], logged: list[Log]
) -> None:
    result = result_of(bought, logged)
    for table, name in (
        (table_schemas.CONSOLIDATED, c.TIPO_MATCH),
        (table_schemas.CONSOLIDATED, c.COD_RESPOSTA),
        (table_schemas.DIVERGENCES, c.MOTIVO),
        (table_schemas.DIVERGENCES, c.COD_RESPOSTA),
        (table_schemas.DUPLICATES, c.MANTIDA),
    ):
        values = [value or "" for value in column(result, table, name)]
        words = table_query.distinct_values(result, table, name)
        assert sorted(words) == sorted(set(values))
        for word in words:
            at = table_query.positions(result, table, Query(filters=((name, (word,)),)))
            assert at.tolist() == [i for i, value in enumerate(values) if value == word]


def test_the_amount_is_exact_and_ignores_null() -> None:
    bought = [
        Transaction("1", None, None, DAY, None, amount)
        for amount in (Decimal("0.10"), None, Decimal("0.20"))
    ]
    result = result_of(bought, [])
    at = table_query.positions(result, table_schemas.WITHOUT_LOG, Query())
    assert table_query.amount(result, table_schemas.WITHOUT_LOG, at) == Decimal("0.30")


def test_intermediate_results_are_cached_by_small_keys() -> None:
    result = result_of([Transaction("1", "1", None, DAY, None, None)], [Log("1", DAY, None)])
    kept: dict[Any, Any] = {}
    query = Query(search="x", sort=c.VLR_TOTAL, descending=True)

    def cached(key: Any, compute: Any) -> Any:
        return kept.setdefault(key, compute())

    table_query.positions(result, table_schemas.CONSOLIDATED, query, cached)
    assert set(kept) == {
        ("order", "consolidated", c.VLR_TOTAL, True),
        ("search", "consolidated", "x"),
    }


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  muitos   espaços ", "muitos espaços"),
        ("4000001234561234", "400000******1234"),
        ("4000 0012 3456 1234", "400000******1234"),
        ("4000-0012-3456-1234 negada", "400000******1234 negada"),
        ("123.456.789-09", "***.456.789-**"),
        ("12345678909", "***.456.789-**"),
        ("123456789012", "******9012"),
        ("400000******1234", "400000******1234"),
        ("1234", "1234"),
        ("x" * 500, "x" * table_query.SEARCH_LENGTH),
    ],
)
def test_a_search_never_keeps_a_whole_card_number_or_cpf(typed: str, kept: str) -> None:
    assert table_query.clean_search(typed) == kept
