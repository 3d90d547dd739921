"""A published result: its pages, its workbooks, and its replacement by a newer one."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.compute as pc
import pytest

from lib import pipeline
from lib.domain.errors import ReportError
from lib.engines import parquet_result, result_index, result_tables, result_workbooks, runner
from lib.reports import retention
from lib.reports.verification import verify
from tests.support import engine_data
from tests.support.sentences import pattern

if TYPE_CHECKING:
    from tests.support.servers import Databases


def test_pages_and_filters_give_rows_in_sheet_order(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    result = engine_data.run(
        configured, engine_data.request(configured, "card"), tmp_path / "resultado"
    )
    everything = engine_data.table_of(result, result_tables.CONSOLIDATED)

    page = result.page(result_tables.CONSOLIDATED, 700, 50)
    condition = pc.field("tipo_match") == "virtual"
    counts = result.counts(result_tables.CONSOLIDATED, condition)
    some = result.filtered(result_tables.CONSOLIDATED, condition, 10, 20, counts)

    assert page.to_pylist() == everything.slice(700, 50).to_pylist()
    virtual = everything.filter(pc.equal(everything["tipo_match"], "virtual"))
    assert some.to_pylist() == virtual.slice(10, 20).to_pylist()
    assert sum(counts) == len(virtual)
    assert result.dataset(result_tables.CONSOLIDATED).count_rows(filter=condition) == len(virtual)
    late = result.filtered(result_tables.CONSOLIDATED, condition, len(virtual) - 5, 20, counts)
    assert late.to_pylist() == virtual.slice(len(virtual) - 5).to_pylist()
    assert len(result.page(result_tables.CONSOLIDATED, 10**9, 50)) == 0


def test_a_new_result_replaces_the_old_one_whole(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 300)
    configured = engine_data.settings(databases, tmp_path / "staging")
    target = tmp_path / "resultado"
    old = engine_data.run(configured, engine_data.request(configured, "card"), target)

    new = engine_data.run(configured, engine_data.request(configured, "card_time"), target)

    assert {entry.name for entry in target.iterdir()} == {result_index.MANIFEST, new.version}
    assert new.version != old.version
    assert parquet_result.open_result(target).rule.name == "card_time"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
@pytest.mark.parametrize(("clear", "mode"), [(False, 0o750), (True, 0o700)])
def test_readers_of_reports_may_read_a_result_unless_it_is_clear(
    databases: Databases, tmp_path: Path, clear: bool, mode: int
) -> None:
    engine_data.fill(databases, 300)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")
    before = os.umask(0o027)
    try:
        result = engine_data.run(configured, request, tmp_path / "resultado", clear=clear)
    finally:
        os.umask(before)

    assert (result.folder / result.version).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["relatorio", "relatorio.xlsx", "relatorio_{end}"])
def test_the_result_beside_a_workbook_of_any_name_is_found(
    databases: Databases, tmp_path: Path, name: str
) -> None:
    configured = engine_data.settings(databases, tmp_path)
    configured = configured.model_copy(update={"output_path": tmp_path / name})
    request = engine_data.request(configured, "card")
    folder = retention.result_folder(
        configured, request, retention.target(configured.output_path, request)
    )
    folder.mkdir()
    (folder / result_index.MANIFEST).touch()

    assert result_index.folders(configured) == [folder]


def test_the_workbook_of_a_result_is_the_one_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")
    whole = pipeline.run(configured, request)
    pipeline.publish(whole, tmp_path / "memoria.xlsx")

    targets = runner.Targets(tmp_path / "resultado.xlsx", tmp_path / "resultado")
    finished, (written,) = runner.produce(configured, request, "chunked", targets)

    assert finished.books == whole.books
    ours, theirs = verify(written.path), verify(tmp_path / "memoria.xlsx")
    times = {"extraído em": ""}
    assert {**ours.properties, **times} == {**theirs.properties, **times}
    for sheet in ours.rows:
        left, right = (pd.read_excel(at, sheet_name=sheet) for at in (ours.path, theirs.path))
        pd.testing.assert_frame_equal(left, right)


def test_a_result_beyond_the_sheets_has_a_workbook_a_day(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    result = engine_data.run(
        configured, engine_data.request(configured, "card_time"), tmp_path / "resultado"
    )

    books = result_workbooks.planned(result, tmp_path / "saida.xlsx", rows_per_sheet=1_000)
    written = result_workbooks.write(result, result_index.MANIFEST, books, tmp_path, {}, None, 1)

    days = [engine_data.START + timedelta(days=number) for number in range(7)]
    assert [book.path.name for book in written] == [f"saida_{day}.xlsx" for day in days]
    checked = [verify(book.path) for book in written]
    assert all(not book.problems for book in checked)
    assert sum(book.total for book in checked) == result.books.amount_consolidated
    assert sum(sum(book.rows.values()) for book in checked) == (
        result.books.consolidated + result.books.divergences
    )


def test_a_folder_without_a_manifest_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=pattern(parquet_result.INCOMPLETE)):
        parquet_result.open_result(tmp_path)
    (tmp_path / result_index.MANIFEST).write_text("{")
    with pytest.raises(ReportError, match=pattern(parquet_result.UNREADABLE)):
        parquet_result.open_result(tmp_path)
