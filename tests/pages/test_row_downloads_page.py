""" "Baixar estas linhas": exactly the rows that the page shows, with the question, audited."""

from __future__ import annotations

import csv
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pyarrow import parquet
from streamlit.testing.v1 import AppTest

from lib.dashboard import export_worker
from lib.domain import columns as c
from lib.reports import row_file
from lib.ui import case_words, downloads, file_export, row_downloads, table_filters
from lib.ui.formatting import plain
from tests.support import judging
from tests.support.dashboard import Dashboard, frames, texts
from tests.support.scenario import BULK, PHYSICAL, UNKNOWN, VIRTUAL, masked, today


def asked(at: AppTest, table: str, kind: str) -> AppTest:
    """The page after the kind of file is chosen and the worker has ended."""
    at.menu_button(key=f"{table}_baixar").click(kind).run()
    deadline = time.monotonic() + 120
    while not downloads._OFFERS and not at.error and time.monotonic() < deadline:
        time.sleep(0.1)
        at.run()
    return at


def downloaded(at: AppTest, table: str, kind: str) -> downloads.File:
    """The file that this session is offered."""
    downloads._OFFERS.clear()
    asked(at, table, kind)
    assert not at.exception
    [offer] = downloads._OFFERS.values()
    return offer.file


def rows_of(path: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The question and the rows of a file."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        question = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
        return question, [{k: str(v) for k, v in row.items()} for row in table.to_pylist()]
    if path.suffix == ".csv":
        lines = path.read_text("utf-8").splitlines()
        head = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
        return dict(head), list(csv.DictReader(lines[len(head) :]))
    book = openpyxl.load_workbook(path)
    names, *rows = book[row_file.ROWS_SHEET].iter_rows(values_only=True)
    asked_rows = book[row_file.QUESTION_SHEET].iter_rows(min_row=2, values_only=True)
    return dict(asked_rows), [dict(zip(names, row, strict=True)) for row in rows]


def content(file: downloads.File) -> Path:
    assert isinstance(file.content, Path)
    return file.content


@pytest.mark.parametrize("kind", row_file.KINDS)
def test_the_file_has_what_the_filter_finds_in_the_order_shown_and_the_question(
    morning: Dashboard, kind: str
) -> None:
    at = morning.open(
        "consolidated",
        consolidated_busca="simples",
        consolidated_ordem="-vlr_total",
        consolidated_tipo_match="físico",
        consolidated_colunas=[c.NUM_CARTAO, c.VLR_TOTAL],
    )
    file = downloaded(at, "consolidated", kind)
    assert file.name.startswith("Loja Exemplo ")
    assert file.name.endswith(f".{kind}")
    question, rows = rows_of(content(file))
    assert [list(row) for row in rows] == [[c.NUM_CARTAO, c.VLR_TOTAL]] * BULK
    amounts = [float(row[c.VLR_TOTAL]) for row in rows]
    assert amounts == [number + 0.5 for number in range(BULK - 1, -1, -1)]
    assert question["Busca"] == "simples"
    assert question["Filtros"] == "Encontrado por = físico"
    assert question["Ordem"] == "Valor ▼"
    assert question["Estabelecimento"] == "Loja Exemplo · 12.345.678/0001-90"
    assert question["Linhas"].startswith(f"{BULK} linhas, de {BULK + 3}")
    assert question["Regra"] == "Cartão"
    days = [f"{today() - timedelta(days=n):%d/%m/%Y}" for n in (10, 0)]
    assert question["Período"] == " a ".join(days)
    assert question["Baixado em"][:10] == days[1]


def test_rows_sorted_by_their_cases_are_in_that_order_in_the_file_which_says_so(
    morning: Dashboard, tmp_path: Path
) -> None:
    judging.judge(tmp_path)
    for mark, order in (("▲", case_words.SITUATION), ("▼", f"-{case_words.SITUATION}")):
        at = morning.open("divergences", divergences_ordem=order)
        shown = list(frames(at)[0][c.NUM_CARTAO])
        assert shown[0] == masked(UNKNOWN)
        question, rows = rows_of(content(downloaded(at, "divergences", row_file.CSV)))
        assert question["Ordem"] == f"Situação {mark}"
        assert [row[c.NUM_CARTAO] for row in rows] == shown


@pytest.mark.parametrize(
    ("page", "tab", "table", "card"),
    [
        ("consolidated", "", "consolidated", PHYSICAL),
        ("divergences", "divergencias", "divergences", None),
        ("divergences", "sem-log", "without_log", None),
        ("divergences", "duplicatas", "duplicates", None),
    ],
)
def test_every_table_has_its_download_masked_as_the_page(
    morning: Dashboard, page: str, tab: str, table: str, card: str | None
) -> None:
    at = morning.open(page, **({"aba": tab} if tab else {}))
    file = downloaded(at, table, row_file.CSV)
    question, rows = rows_of(content(file))
    assert question["Ordem"] == table_filters.NEWEST_FIRST
    assert rows
    said = content(file).read_text("utf-8")
    assert PHYSICAL not in said
    assert VIRTUAL not in said
    assert card is None or masked(card) in said


def test_a_download_is_audited_with_its_question_and_its_digest(
    morning: Dashboard,
) -> None:
    at = morning.open("consolidated", consolidated_busca=f"cartão {PHYSICAL}")
    at.text_input(key="consolidated_busca").set_value("11:00").run()
    file = downloaded(at, "consolidated", row_file.CSV)
    trail = Path(morning.databases.values["audit"]["path"]).read_text("utf-8")
    began, ended = [r for r in map(json.loads, trail.splitlines()) if r["kind"] == "export"]
    assert (began["outcome"], ended["outcome"]) == ("started", "done")
    assert (ended["sha256"], ended["file"]) == (file.sha256, file.name)
    assert (ended["search"], ended["format"], ended["page"]) == ("11:00", "csv", "consolidated")
    assert (ended["rows"], ended["clear"]) == ({"selected": 1}, False)
    assert PHYSICAL not in trail


def test_a_download_that_fails_is_one_sentence(
    morning: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.dashboard import export_queue

    monkeypatch.setattr(export_worker, "ROOT", tmp_path)  # where there is no worker to run
    at = asked(morning.open("consolidated"), "consolidated", row_file.XLSX)
    assert [error.value for error in at.error] == [plain(export_queue.DIED)]
    assert downloads._OFFERS == {}


def test_a_download_that_cannot_be_audited_does_not_begin(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.domain.errors import AuditError
    from lib.security import audit_trail

    def full(*_: object) -> None:
        raise AuditError("full disk")

    at = morning.open("consolidated")
    monkeypatch.setattr(audit_trail, "append", full)
    asked(at, "consolidated", row_file.CSV)
    assert "full disk" in texts(at)
    assert not file_export.running(row_downloads.SLOT)
    assert downloads._OFFERS == {}


def test_a_table_without_rows_offers_no_download(morning: Dashboard) -> None:
    at = morning.open("consolidated", consolidated_busca="nada disso")
    assert not at.menu_button


def test_a_day_narrowed_by_a_click_is_the_period_of_the_file(morning: Dashboard) -> None:
    day = today() - timedelta(days=1)
    at = morning.open("consolidated", dia=day.isoformat())
    question, rows = rows_of(content(downloaded(at, "consolidated", row_file.PARQUET)))
    assert question["Período"] == f"{day:%d/%m/%Y}"
    whole = f"{today() - timedelta(days=10):%d/%m/%Y} a {today():%d/%m/%Y}"
    assert question["Dentro da conciliação de"] == whole
    assert len(rows) == 3
