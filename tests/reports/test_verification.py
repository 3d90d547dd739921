"""A written workbook is re-read and checked against its own figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest

from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.reports import description, publish, verification
from tests.support.sentences import pattern
from tests.support.workbooks import CLEAR, COVER, DAY, built


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "resultado_transacoes.xlsx"


def test_a_verified_report_gives_its_figures(target: Path) -> None:
    bought = [{c.DATA_TRANSA: date(2026, 11, day), c.NUM_CPF: str(day)} for day in (13, 12, 20)]
    publish.write(built(bought, [{}], spare=1), COVER, target)
    report = verification.verify(target)
    assert report.rows == {c.SHEET_DIVERGENCES: 1, c.SHEET_CONSOLIDATED: 3}
    assert (report.first, report.last, report.total) == (DAY, date(2026, 11, 20), Decimal("37.02"))
    assert (report.duplicates, report.clear, report.problems) == (0, False, ())
    assert report.properties["transações sem log"] == "1"
    assert report.lines() == [
        "Aba 'Divergentes': 1 linha",
        "Aba 'Transacoes Consolidadas': 3 linhas",
        "Datas das transações: 12/11/2026 a 20/11/2026",
        "Total consolidado: 37,02",
        "Transações repetidas: 0",
    ]
    many = replace(
        report, rows={c.SHEET_DIVERGENCES: 0, c.SHEET_CONSOLIDATED: 12_345}, duplicates=1_000
    )
    assert [line for line in many.lines() if "D" not in line and "Total" not in line] == [
        "Aba 'Transacoes Consolidadas': 12.345 linhas",
        "Transações repetidas: 1.000",
    ]
    publish.write(built(), COVER, target)
    assert (verification.verify(target).first, verification.verify(target).total) == (None, 0)


def test_repeated_rows_are_a_problem_only_where_nobody_shares_a_mask(target: Path) -> None:
    publish.write(built([{}, {}], [{}]), COVER, target)
    assert (verification.verify(target).duplicates, verification.verify(target).problems) == (1, ())
    publish.write(built([{}, {}], [{}], clear=True), CLEAR, target)
    repeated = verification.REPEATED.format(count=1)
    assert verification.verify(target).problems == (repeated,)
    assert repeated in verification.verify(target).lines()[-1]


def test_a_clear_number_in_a_masked_report_is_a_problem(target: Path) -> None:
    publish.write(built([{c.NUM_CPF: "12345678901"}], [{c.NUM_CARTAO: "4" * 16}]), COVER, target)
    assert verification.verify(target).problems == (verification.UNMASKED.format(count=2),)


def edit(book: openpyxl.Workbook, part: str) -> None:
    divergences, consolidated = book
    match part:
        case "row":
            consolidated.delete_rows(2)
        case "amount":
            consolidated["F2"] = 12.35
        case "day":
            divergences["B2"] = datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None)
        case "type":
            consolidated["F2"] = "doze"
        case "header":
            divergences["A1"] = "cartao"
        case "column":
            consolidated["L1"] = "obs"
        case "sheet":
            del book[divergences.title]
        case "description":
            book.properties.subject = ""


def difference(key: str, described: str, counted: str) -> str:
    return verification.DIFFERENCE.format(key=key, described=described, counted=counted)


@pytest.mark.parametrize(
    ("part", "template", "values"),
    [
        (
            "row",
            verification.CONTRADICTION,
            {
                "differences": "; ".join(
                    (
                        difference(description.CONSOLIDADAS, "2", "1"),
                        difference(description.TOTAL, "24,68", "12,34"),
                    )
                )
            },
        ),
        (
            "amount",
            verification.CONTRADICTION,
            {"differences": difference(description.TOTAL, "24,68", "24,69")},
        ),
        (
            "day",
            verification.CONTRADICTION,
            {
                "differences": verification.DAY_OUTSIDE.format(
                    key=description.PERIODO, period="12/11/2026 a 22/11/2026"
                )
            },
        ),
        ("type", verification.DAMAGED, {}),
        ("header", verification.WRONG_COLUMNS, {"name": c.SHEET_DIVERGENCES}),
        ("column", verification.WRONG_COLUMNS, {"name": c.SHEET_CONSOLIDATED}),
        (
            "sheet",
            verification.WRONG_SHEETS,
            {"expected": f"{c.SHEET_DIVERGENCES}, {c.SHEET_CONSOLIDATED}"},
        ),
        ("description", verification.NO_DESCRIPTION, {}),
    ],
)
def test_an_edited_report_no_longer_verifies(
    target: Path, part: str, template: str, values: dict[str, str]
) -> None:
    publish.write(built([{}, {}], [{}]), COVER, target)
    book = openpyxl.load_workbook(target)
    edit(book, part)
    book.save(target)
    with pytest.raises(ReportError) as caught:
        verification.verify(target)
    assert str(caught.value) == template.format(path=target, **values)


def test_a_file_that_is_no_whole_workbook_is_refused_in_one_sentence(target: Path) -> None:
    with pytest.raises(ReportError, match=pattern(verification.MISSING)):
        verification.verify(target)
    with pytest.raises(ReportError, match=pattern(verification.UNREADABLE)):
        verification.verify(target.parent)
    publish.write(built([{}]), COVER, target)
    whole = target.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", b"num_cpf;num_cartao", whole[:-99], flipped):
        target.write_bytes(damaged)
        with pytest.raises(ReportError, match=pattern(verification.DAMAGED)):
            verification.verify(target)
