"""Search and filters of a stored result against those of the same answer in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lib import pipeline
from lib.analysis import table_query
from lib.analysis.table_query import Query
from lib.domain import columns as c
from lib.engines import result_query, result_tables
from tests.support import engine_data

if TYPE_CHECKING:
    from pathlib import Path

    from lib.domain.reconciliation import Reconciliation
    from lib.engines.parquet_result import Result
    from tests.support.servers import Databases

SEARCHES = (
    ("400000******0007", "0007", "400000", "aprovada", "APROVÁDA COM", "senha", "00", "51")
    + ("3,00", "R$ 2", "-1,00", "13/02", "2026-02-13", "2/2026", "12:30", "13/02/2026 12:05")
    + ("12:00:19", "***", "000.001", "nada disso", "2026")
)


@pytest.fixture
def both(databases: Databases, tmp_path: Path) -> tuple[Result, Reconciliation]:
    """A stored result and the same reconciliation in memory."""
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")
    result = engine_data.run(configured, request, tmp_path / "resultado")
    return result, pipeline.run(configured, request).reconciliation


def test_a_search_finds_what_it_finds_in_memory(both: tuple[Result, Reconciliation]) -> None:
    result, whole = both
    hits = 0
    for name in result_tables.NAMES:
        table = result_tables.schema(name)
        for search in SEARCHES:
            condition = result_query.condition(name, search, ())
            assert condition is not None
            expected = len(table_query.positions(whole, table, Query(search)))
            assert sum(result.counts(name, condition)) == expected, (name, search)
            hits += bool(expected)
    assert hits > len(SEARCHES)


def test_a_search_and_filters_narrow_together(both: tuple[Result, Reconciliation]) -> None:
    result, whole = both
    filters = ((c.MOTIVO, (c.NEGADA,)), (c.COD_RESPOSTA, ("", "51")))
    name = result_tables.DIVERGENCES
    condition = result_query.condition(name, "14/02", filters)
    query = Query("14/02", filters)
    expected = table_query.positions(whole, result_tables.schema(name), query)
    assert sum(result.counts(name, condition)) == len(expected) > 0
    assert result_query.condition(name, "", ()) is None


def test_all_rows_stream_in_the_order_of_the_pages(both: tuple[Result, Reconciliation]) -> None:
    result, _ = both
    for name in result_tables.NAMES:
        everything = engine_data.table_of(result, name)
        day = result_tables.schema(name).date
        dated = everything.filter(everything[day].is_valid())
        undated = everything.filter(everything[day].is_null())
        rows = pa.concat_tables(result.newest_first(name, None)).to_pylist()
        assert rows == dated.to_pylist()[::-1] + undated.to_pylist()
        assert len(rows) > 0
