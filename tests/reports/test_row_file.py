"""Rows of a table as CSV, Excel and Parquet: cells, order, the question, and nothing that runs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from lib.domain import columns as c
from lib.reports import row_file

MOMENT = datetime(2026, 11, 28, 12, tzinfo=UTC)
QUESTION = {"Tabela": "Transações consolidadas", "Busca": 'a, =1+1 "x"\n@y', "Linhas": "3 linhas"}
TEXTS = ["=1+1", "Compra # 1, aprovada", None]
ROWS = pa.table(
    {
        c.NUM_CARTAO: ["400000******0001", "510510******0002", "******0003"],
        c.DATA_TRANSA: pa.array([date(2026, 11, 18), None, date(2026, 11, 17)], pa.date32()),
        c.HORA_TRANSA: pa.array([time(6, 31), time(23, 59, 59), None], pa.time32("s")),
        c.VLR_TOTAL: pa.array([Decimal("140.71"), Decimal("-3.50"), None], pa.decimal128(18, 2)),
        c.DES_LOG: TEXTS,
        c.DIF_SEGUNDOS: pa.array([-3, 0, None], pa.int64()),
    }
)


def written(tmp_path: Path, kind: str, rows: pa.Table = ROWS, parts: int = 2) -> Path:
    """The rows as a file, spooled in batches."""
    spooled, path = tmp_path / "rows.arrow", tmp_path / f"rows.{kind}"
    with pa.OSFile(str(spooled), "wb") as file, pa.ipc.new_file(file, rows.schema) as ipc:
        for batch in rows.to_batches(max_chunksize=parts):
            ipc.write_batch(batch)
    with pa.memory_map(str(spooled)) as file:
        count = row_file.write(pa.ipc.open_file(file), path, kind, QUESTION, MOMENT)
    assert count == len(rows)
    return path


def head_and_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = path.read_text("utf-8").splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    return head, list(csv.reader(lines[len(head) :]))


def test_csv_has_the_question_in_comments_and_every_value_in_the_order_given(
    tmp_path: Path,
) -> None:
    head, rows = head_and_rows(written(tmp_path, row_file.CSV))
    assert head[0] == "# Tabela: Transações consolidadas\n"
    assert len(head) == len(QUESTION)
    assert rows == [
        ROWS.column_names,
        ["400000******0001", "2026-11-18", "06:31:00", "140.71", "'=1+1", "-3"],
        ["510510******0002", "", "23:59:59", "-3.50", "Compra # 1, aprovada", "0"],
        ["******0003", "2026-11-17", "", "", "", ""],
    ]


def test_excel_has_real_values_text_cells_and_the_question_twice(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(written(tmp_path, row_file.XLSX))
    assert book.sheetnames == [row_file.ROWS_SHEET, row_file.QUESTION_SHEET]
    rows = [
        tuple(cell.date() if isinstance(cell, datetime) else cell for cell in row)
        for row in book[row_file.ROWS_SHEET].iter_rows(values_only=True)
    ]
    assert rows[0] == tuple(ROWS.column_names)
    assert rows[1] == ("400000******0001", date(2026, 11, 18), time(6, 31), 140.71, "=1+1", -3)
    assert rows[3] == ("******0003", date(2026, 11, 17), None, None, None, None)
    assert book[row_file.ROWS_SHEET]["E2"].data_type == "s", "text, never a formula"
    asked = list(book[row_file.QUESTION_SHEET].iter_rows(min_row=2, values_only=True))
    assert asked == [(name, " ".join(value.split())) for name, value in QUESTION.items()]
    assert "Busca: a, =1+1" in book.properties.description
    assert book.properties.created == MOMENT.replace(tzinfo=None)


def test_parquet_has_the_types_and_the_question_in_its_metadata(tmp_path: Path) -> None:
    table = parquet.read_table(written(tmp_path, row_file.PARQUET))
    assert table.to_pylist() == ROWS.to_pylist()
    assert table.schema.field(c.VLR_TOTAL).type == pa.decimal128(18, 2)
    assert table.schema.metadata[b"Linhas"] == b"3 linhas"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1"])
def test_no_text_of_a_csv_begins_a_formula(tmp_path: Path, text: str) -> None:
    rows = pa.table({c.DES_LOG: [text], c.COD_RESPOSTA: [text]})
    content = written(tmp_path, row_file.CSV, rows).read_bytes().decode()
    assert content.count(f'"\'{text}"') == 2


def test_no_line_of_the_question_begins_a_formula_in_any_column(tmp_path: Path) -> None:
    head, _ = head_and_rows(written(tmp_path, row_file.CSV))
    for line in head:
        for cell in line.replace(";", ",").split(","):
            assert cell.strip()[:1] not in "=+-@" or not cell.strip()


@pytest.mark.parametrize("kind", row_file.KINDS)
def test_no_row_makes_a_file_with_headings(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, ROWS.slice(0, 0))
    if kind == row_file.PARQUET:
        assert parquet.read_table(path).column_names == ROWS.column_names
    elif kind == row_file.CSV:
        assert head_and_rows(path)[1] == [ROWS.column_names]
    else:
        sheet = openpyxl.load_workbook(path)[row_file.ROWS_SHEET]
        assert [cell.value for cell in sheet[1]] == ROWS.column_names


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_rows_beyond_a_sheet_go_on_in_the_next_whatever_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(row_file, "SHEET_ROWS", 3)
    rows = pa.table({c.DES_LOG: [f"texto {n % 2}" for n in range(7)], c.DIF_SEGUNDOS: range(7)})
    book = openpyxl.load_workbook(written(tmp_path, row_file.XLSX, rows, parts))
    sheets = [[row[1] for row in sheet.iter_rows(min_row=2, values_only=True)] for sheet in book]
    assert sheets[:-1] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [sheet.auto_filter.ref for sheet in book][:-1] == ["A1:B4", "A1:B4", "A1:B2"]


def test_a_workbook_holds_one_batch_of_the_rows_at_a_time(tmp_path: Path) -> None:
    texts = pa.array([f"{n:0>100}" for n in range(60_000)])
    rows = pa.table({c.DES_LOG: texts})
    before, most = pa.total_allocated_bytes(), []
    taken = row_file._batches

    def watched(batches: pa.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
        for batch in taken(batches):
            most.append(pa.total_allocated_bytes() - before)
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_file, "_batches", watched)
        written(tmp_path, row_file.XLSX, rows, 1_000)
    assert len(most) >= 60
    assert max(most) < rows.nbytes
