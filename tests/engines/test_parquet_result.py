"""A published result: its pages, its workbooks, and what replaces it."""

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
from lib.engines import chunked, result_index, result_tables, result_workbooks, runner
from lib.engines import parquet_result as results
from lib.reports import retention
from lib.reports.verification import verify
from tests.support import engine_data

if TYPE_CHECKING:
    from tests.support.servers import Databases


def test_pages_and_filters_are_read_without_the_rest(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    found = chunked.run(configured, engine_data.request(configured, "card"), tmp_path / "resultado")
    everything = engine_data.table_of(found, result_tables.CONSOLIDATED)

    page = found.page(result_tables.CONSOLIDATED, 700, 50)
    wanted = pc.field("tipo_match") == "virtual"
    counts = found.counts(result_tables.CONSOLIDATED, wanted)
    some = found.found(result_tables.CONSOLIDATED, wanted, 10, 20, counts)

    assert page.to_pylist() == everything.slice(700, 50).to_pylist()
    virtual = everything.filter(pc.equal(everything["tipo_match"], "virtual"))
    assert some.to_pylist() == virtual.slice(10, 20).to_pylist()
    assert sum(counts) == len(virtual)
    assert found.dataset(result_tables.CONSOLIDATED).count_rows(filter=wanted) == len(virtual)
    late = found.found(result_tables.CONSOLIDATED, wanted, len(virtual) - 5, 20, counts)
    assert late.to_pylist() == virtual.slice(len(virtual) - 5).to_pylist()
    assert len(found.page(result_tables.CONSOLIDATED, 10**9, 50)) == 0


def test_a_new_result_replaces_the_old_one_whole(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 300)
    configured = engine_data.settings(databases, tmp_path / "staging")
    target = tmp_path / "resultado"
    old = chunked.run(configured, engine_data.request(configured, "card"), target)

    new = chunked.run(configured, engine_data.request(configured, "card_time"), target)

    assert {entry.name for entry in target.iterdir()} == {results.MANIFEST, new.version}
    assert new.version != old.version
    assert results.open_result(target).rule.name == "card_time"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
@pytest.mark.parametrize(("clear", "mode"), [(False, 0o750), (True, 0o700)])
def test_who_may_read_reports_may_read_a_result_unless_it_is_clear(
    databases: Databases, tmp_path: Path, clear: bool, mode: int
) -> None:
    engine_data.fill(databases, 300)
    configured = engine_data.settings(databases, tmp_path / "staging")
    asked = engine_data.request(configured, "card")
    before = os.umask(0o027)
    try:
        found = chunked.run(configured, asked, tmp_path / "resultado", clear=clear)
    finally:
        os.umask(before)

    assert (found.folder / found.version).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["relatorio", "relatorio.xlsx", "relatorio_{end}"])
def test_the_result_beside_a_workbook_of_any_name_is_found(
    databases: Databases, tmp_path: Path, name: str
) -> None:
    configured = engine_data.settings(databases, tmp_path)
    configured = configured.model_copy(update={"output_path": tmp_path / name})
    asked = engine_data.request(configured, "card")
    folder = retention.result_folder(
        configured, asked, retention.target(configured.output_path, asked)
    )
    folder.mkdir()
    (folder / results.MANIFEST).touch()

    assert result_index.folders(configured) == [folder]


def test_the_workbook_of_a_result_is_the_one_of_the_answer_in_memory(
    databases: Databases, tmp_path: Path
) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    asked = engine_data.request(configured, "card")
    whole = pipeline.run(configured, asked)
    pipeline.publish(whole, tmp_path / "memoria.xlsx")

    places = runner.Places(tmp_path / "resultado.xlsx", tmp_path / "resultado")
    finished, (written,) = runner.produce(configured, asked, "chunked", places)

    assert finished.books == whole.books
    ours, theirs = verify(written.path), verify(tmp_path / "memoria.xlsx")
    times = {"extraído em": ""}
    assert {**ours.properties, **times} == {**theirs.properties, **times}
    for sheet in ours.rows:
        left, right = (pd.read_excel(at, sheet_name=sheet) for at in (ours.path, theirs.path))
        pd.testing.assert_frame_equal(left, right)


def test_what_no_sheet_holds_has_a_workbook_a_day(databases: Databases, tmp_path: Path) -> None:
    engine_data.fill(databases, 2_000)
    configured = engine_data.settings(databases, tmp_path / "staging")
    found = chunked.run(
        configured, engine_data.request(configured, "card_time"), tmp_path / "resultado"
    )

    books = result_workbooks.wanted(found, tmp_path / "saida.xlsx", rows_per_sheet=1_000)
    written = result_workbooks.write(found, results.MANIFEST, books, tmp_path, {}, 1)

    days = [engine_data.START + timedelta(days=number) for number in range(7)]
    assert [book.path.name for book in written] == [f"saida_{day}.xlsx" for day in days]
    checked = [verify(book.path) for book in written]
    assert all(not book.problems for book in checked)
    assert sum(book.total for book in checked) == found.books.amount_consolidated
    assert sum(sum(book.rows.values()) for book in checked) == (
        found.books.consolidated + found.books.divergences
    )


def test_a_folder_without_a_manifest_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="não tem um resultado completo"):
        results.open_result(tmp_path)
    (tmp_path / results.MANIFEST).write_text("{")
    with pytest.raises(ReportError, match="gere-o de novo"):
        results.open_result(tmp_path)
