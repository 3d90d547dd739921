"""Read written workbooks back cell by cell, and produce each failure of writing for real."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from openpyxl.utils.escape import unescape

from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.domain.requests import CARD_TIME, Rule
from lib.reports import file_lock, publish, report_file, retention, verification, xlsx_cells
from tests.support import faults
from tests.support.sentences import pattern, says
from tests.support.workbooks import (
    CARD,
    CLEAR,
    COVER,
    DAY,
    DICTIONARY,
    EXTRACTED_AT,
    LOG,
    built,
    cells,
)


def texts(path: Path) -> list[Any]:
    return [row[4] for row in cells(path, c.SHEET_DIVERGENCES)]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "resultado_transacoes.xlsx"


def test_an_empty_report_has_both_sheets_with_their_headers_ready_to_filter(target: Path) -> None:
    publish.write(built(), COVER, target)
    book = openpyxl.load_workbook(target)
    assert book.sheetnames == ["Divergentes", "Transacoes Consolidadas"]
    for sheet, names in zip(book, (c.DIVERGENCES, c.CONSOLIDATED), strict=True):
        assert [cell.value for cell in sheet[1]] == list(names)
        assert all(cell.font.b for cell in sheet[1])
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == f"A1:{sheet[1][-1].coordinate}"
        assert all(sheet.column_dimensions[cell.column_letter].width > 10 for cell in sheet[1])


def test_headings_stand_like_their_values_and_text_keeps_its_distance(target: Path) -> None:
    publish.write(built([{}], [{}]), COVER, target)
    for sheet in openpyxl.load_workbook(target):
        for heading, value in zip(sheet[1], sheet[2], strict=True):
            assert heading.alignment.horizontal == value.alignment.horizontal
            assert heading.alignment.indent == value.alignment.indent
            assert value.alignment.horizontal == "center" or value.alignment.indent > 0


def test_a_printed_sheet_is_landscape_one_page_wide_with_its_header_on_each_page(
    target: Path,
) -> None:
    publish.write(built([{}], [{}]), replace(COVER, merchant_name="Pão & Cia"), target)
    for sheet in openpyxl.load_workbook(target):
        assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
        assert sheet.print_title_rows == "$1:$1"
        heading = f"{COVER.merchant} (Pão && Cia), 12/11/2026 a 22/11/2026"
        assert sheet.oddHeader.left.text == heading
        assert sheet.oddHeader.right.text == sheet.title
        assert sheet.oddFooter.right.text == "Página &P de &N"


@pytest.mark.parametrize("text", [DICTIONARY, pa.string()])
def test_every_cell_comes_back_with_its_value_and_its_type(target: Path, text: Any) -> None:
    written = publish.write(
        built([{}, {c.NUM_CARTAO_VIRTUAL: "00012"}], [{}], text=text), COVER, target
    )
    first, second = openpyxl.load_workbook(target)[c.SHEET_CONSOLIDATED].iter_rows(min_row=2)
    midnight = datetime(2026, 11, 12)  # noqa: DTZ001
    usual = ("***.456.789-**", CARD, None, midnight, clock(10, 30), 12.34, COVER.merchant, "00")
    assert tuple(x.value for x in first) == (*usual, "APROVADA", "físico", -5)
    assert second[2].value == "00012"
    assert (second[9].value, second[10].value) == ("virtual", -4)
    formats = ["@", "@", "@", "dd/mm/yyyy", "hh:mm:ss", '"R$" #,##0.00', "@", "@", "@", "@", "0"]
    assert [x.number_format for x in first] == formats
    assert isinstance(first[10].value, int)
    assert cells(target, c.SHEET_DIVERGENCES) == [
        (CARD, midnight, clock(10, 30, 5), "00", "APROVADA", "negada")
    ]
    content = target.read_bytes()
    assert written.rows == {c.SHEET_DIVERGENCES: 1, c.SHEET_CONSOLIDATED: 2}
    assert written.size_bytes == len(content)
    assert written.sha256 == hashlib.sha256(content).hexdigest()


def test_a_null_is_an_empty_cell(target: Path) -> None:
    blank = dict.fromkeys(c.TRANSACTIONS_QUERY)
    publish.write(built([blank] * 3, [dict.fromkeys(c.AUTH_LOGS)]), COVER, target)
    assert cells(target, c.SHEET_CONSOLIDATED)[2][:7] == (None,) * 7
    assert cells(target, c.SHEET_CONSOLIDATED)[2][10] is None
    assert cells(target, c.SHEET_DIVERGENCES)[0][:5] == (None,) * 5


def test_the_seconds_of_a_day_come_back_exactly(target: Path) -> None:
    seconds = [*range(0, 86_400, 61), 86_399]
    times = [clock(s // 3600, s // 60 % 60, s % 60) for s in seconds]
    publish.write(built(logged=[{c.HORA: at} for at in times]), COVER, target)
    assert [row[2] for row in cells(target, c.SHEET_DIVERGENCES)] == times


@pytest.mark.parametrize("text", [DICTIONARY, pa.string()])
def test_a_text_stays_that_text_whatever_is_in_it(target: Path, text: Any) -> None:
    values = ["=cmd()", "+1", "-1", "@x", "000123", " a ", "1e5", "NaN", "2026-11-12", "http://a.b"]
    values += ["a\tb\nc", "é😀<&>\"'", "_x0041_", "a\x01b\x1f", "a\r\nb", "_x0001_\x02", "\ufffe"]
    publish.write(built(logged=[{c.DES_LOG: value} for value in values], text=text), COVER, target)
    column = openpyxl.load_workbook(target)[c.SHEET_DIVERGENCES]["E"][1:]
    assert {cell.data_type for cell in column} == {"s"}
    assert [unescape(cell.value) for cell in column] == values


@pytest.mark.parametrize("text", [DICTIONARY, pa.string()])
def test_a_text_longer_than_a_cell_is_cut_visibly_in_excels_own_units(
    target: Path, text: Any
) -> None:
    fits, wide, long = "a" * 32_767, "é" * 32_767, "😀" * 16_384
    logs = [{c.DES_LOG: x} for x in (fits, wide, None, long, fits + "b")]
    publish.write(built(logged=logs, text=text), COVER, target)
    whole, same, blank, pairs, cut = texts(target)
    assert (whole, same, blank) == (fits, wide, None)
    assert cut == "a" * 32_756 + xlsx_cells.CUT_MARK
    assert pairs == "😀" * 16_378 + xlsx_cells.CUT_MARK


def test_rows_beyond_a_sheet_go_on_in_the_next_one(target: Path) -> None:
    bought = [{c.VLR_TOTAL: Decimal(n)} for n in range(5)]
    written = publish.write(built(bought, [{}] * 4), COVER, target, rows_per_sheet=2)
    more = "Transacoes Consolidadas"
    assert list(written.rows) == [
        "Divergentes",
        "Divergentes (2)",
        more,
        f"{more} (2)",
        f"{more} (3)",
    ]
    assert openpyxl.load_workbook(target).sheetnames == list(written.rows)
    amounts = [row[5] for sheet in list(written.rows)[2:] for row in cells(target, sheet)]
    assert amounts == [0, 1, 2, 3, 4]
    assert verification.verify(target).total == 10


def test_the_properties_hold_the_request_and_the_counts(target: Path) -> None:
    timed = Rule(CARD_TIME, 150, ("00", "10"))
    publish.write(built([{}, {}], [{}], spare=3, rule=timed), COVER, target)
    properties = openpyxl.load_workbook(target).properties
    assert properties.title == "12345678000190 (Loja <&> Exemplo), 12/11/2026 a 22/11/2026"
    assert properties.created == properties.modified == EXTRACTED_AT.replace(tzinfo=None)
    assert properties.description.replace("\n", " | ") == (
        "período: 12/11/2026 a 22/11/2026 | estabelecimento: 12345678000190 (Loja <&> Exemplo) | "
        "regra: card_time | tolerância: 2.5 min | códigos aprovados: 00, 10 | dados: mascarados | "
        "logs extraídos: 3 | logs conciliados: 2 | logs divergentes: 1 | transações extraídas: 5 | "
        "transações consolidadas: 2 | transações sem log: 3 | duplicadas removidas: 0 | "
        "total consolidado: 24,68 | extraído em: 22/11/2026 09:00:03 +0000 | versão: 1.2"
    )
    with zipfile.ZipFile(target) as archive:
        assert sorted(set(archive.namelist())) == sorted(archive.namelist())


def test_only_a_clear_report_has_the_raw_line(target: Path) -> None:
    publish.write(built([{}], [{}], clear=True), CLEAR, target)
    assert cells(target, c.SHEET_DIVERGENCES)[0][6] == LOG[-1]
    with pytest.raises(ReportError, match=pattern(publish.MASKING_MISMATCH)):
        publish.write(built([{}], [{}], clear=True), COVER, target)


def test_the_mode_is_that_of_any_new_file_and_nothing_else_is_left(target: Path) -> None:
    before = os.umask(0o027)
    try:
        publish.write(built(), COVER, target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(target.parent.iterdir()) == [target]


def test_a_new_report_in_clear_is_its_owners_only(target: Path) -> None:
    before = os.umask(0o022)
    try:
        publish.write(built([{}], [{}], clear=True), CLEAR, target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o600


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def refused(target: Path) -> str:
    with pytest.raises(ReportError) as caught:
        publish.write(built([{}], [{}]), COVER, target)
    return str(caught.value)


def test_a_name_that_is_no_text_is_a_name_like_any_other(within_reach: Path) -> None:
    target = Path(os.fsdecode(os.fsencode(within_reach) + b"/Pre\xe7os.xlsx"))
    with file_lock.exclusive_lock(target):
        publish.write(built([{}], [{}]), COVER, target)
    assert target.stat().st_size > 0


def test_each_thing_in_the_way_is_named_in_one_sentence(within_reach: Path) -> None:
    (within_reach / "arquivo").touch()
    (within_reach / "pasta.xlsx").mkdir()
    new, file = within_reach / "nova", within_reach / "arquivo"
    assert refused(new / "a.xlsx") == report_file.NO_FOLDER.format(folder=new)
    assert refused(file / "a.xlsx") == report_file.NOT_A_FOLDER.format(folder=file)
    target = within_reach / "pasta.xlsx"
    assert refused(target) == report_file.NOT_A_FILE.format(target=target)
    (within_reach / "link.xlsx").symlink_to(new / "a.xlsx")
    assert refused(within_reach / "link.xlsx") == report_file.NO_FOLDER.format(folder=new)
    within_reach.chmod(0o555)
    with unprivileged():
        assert refused(within_reach / "a.xlsx") == report_file.NOT_WRITABLE.format(
            folder=within_reach
        )


@pytest.mark.system
def test_a_target_that_may_not_be_replaced_is_left_as_it_was(within_reach: Path) -> None:
    target = within_reach / "a.xlsx"
    target.write_text("anterior")
    within_reach.chmod(0o1777)
    with unprivileged():
        assert refused(target) == report_file.NOT_REPLACEABLE.format(target=target)
    assert target.read_text() == "anterior"
    assert list(within_reach.iterdir()) == [target]


def test_a_link_stays_one_and_the_file_behind_it_keeps_its_mode(tmp_path: Path) -> None:
    shared, link = tmp_path / "shared.xlsx", tmp_path / "link.xlsx"
    shared.write_text("anterior")
    shared.chmod(0o664)
    link.symlink_to(shared.name)
    publish.write(built([{}], [{}]), COVER, link)
    assert link.is_symlink()
    assert verification.verify(shared).problems == ()
    assert shared.stat().st_mode & 0o777 == 0o664
    assert set(tmp_path.iterdir()) == {shared, link}


def test_a_full_disk_is_one_sentence_and_keeps_the_previous_report(within_reach: Path) -> None:
    with faults.small_disk(within_reach, 64):
        target = within_reach / "a.xlsx"
        target.write_text("anterior")
        with pytest.raises(ReportError, match=pattern(report_file.NO_SPACE)):
            publish.write(
                built([{c.NUM_CARTAO: os.urandom(99).hex()} for _ in range(999)]), COVER, target
            )
        assert target.read_text() == "anterior"
        assert list(within_reach.iterdir()) == [target]


@contextlib.contextmanager
def child(target: Path, setup: str) -> Iterator[subprocess.Popen[str]]:
    """Write a report in a process of its own, with ``setup`` before; it may define ``approve``."""
    code = (
        "import resource, sys, time; from pathlib import Path\n"
        "from lib.domain.errors import ReportError; from lib.reports import publish\n"
        "from tests.support.workbooks import COVER, built\n"
        f"approve = print\n{setup}\n"
        "report = built([{}] * 20_000)\n"
        "try: publish.write(report, COVER, Path(sys.argv[1]), approve=approve)\n"
        "except ReportError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(target)]
    root, quiet = Path(__file__).parents[2], subprocess.DEVNULL
    with subprocess.Popen(command, cwd=root, text=True, stdout=-1, stderr=quiet) as run:
        yield run


def test_a_file_that_may_not_grow_is_a_full_disk_too(target: Path) -> None:
    with child(target, "resource.setrlimit(resource.RLIMIT_FSIZE, (99_999, 99_999))") as run:
        assert says(run.communicate()[0], report_file.NO_SPACE)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_cut_short_leaves_the_previous_report_and_the_next_run_cleans_up(
    target: Path, signal_number: signal.Signals
) -> None:
    target.write_text("anterior")
    with child(target, "approve = lambda written: time.sleep(600)") as run:
        while run.poll() is None and not list(target.parent.glob("*/*")):
            time.sleep(0.001)
        run.send_signal(signal_number)
    assert run.returncode == -signal_number
    assert target.read_text() == "anterior"
    leftovers = [path for path in target.parent.iterdir() if path != target]
    assert len(leftovers) == (signal_number == signal.SIGKILL)
    (target.parent / ".relatorio-de-agora.tmp").mkdir()
    for path in leftovers:
        os.utime(path, (0, 0))
    publish.write(built(), COVER, target)
    assert {path.name for path in target.parent.iterdir()} == {
        target.name,
        ".relatorio-de-agora.tmp",
    }


def test_a_day_excel_does_not_have_is_kept_as_text(target: Path) -> None:
    old = built([{c.DATA_TRANSA: DAY}, {c.DATA_TRANSA: date(1900, 2, 28)}])
    publish.write(replace(old, period=replace(old.period, start=date(1900, 1, 1))), COVER, target)
    assert cells(target, c.SHEET_CONSOLIDATED)[1][3] == "1900-02-28"
    assert verification.verify(target).first == date(1900, 2, 28)


@pytest.mark.parametrize("mode", [0o644, 0o664, 0o400])
def test_a_clear_report_is_its_owners_alone_whatever_stood_there(target: Path, mode: int) -> None:
    publish.write(built([{}]), COVER, target)
    target.chmod(mode)
    publish.write(built([{}], clear=True), CLEAR, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


REFUSED = ("chmod", "utime", "fsync", "link")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EACCES])
def test_a_share_that_knows_no_modes_and_flushes_takes_every_report(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in REFUSED:
        monkeypatch.setattr(os, name, refuse)
    for cover in (COVER, CLEAR, COVER):
        retention.keep_previous(target)
        publish.write(built([{}], clear=cover.clear), cover, target)
        assert cells(target, c.SHEET_CONSOLIDATED) != []
    assert list(target.parent.glob("resultado_transacoes_*.xlsx")) != []
