"""Workbooks that are damaged, or that somebody wrote: `verify` says so in one sentence."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.domain.errors import ReportError
from lib.reports import publish, verification
from tests.support.sentences import pattern
from tests.support.workbooks import COVER, built

SHEET = "xl/worksheets/sheet2.xml"
CORE = "docProps/core.xml"
TYPES = "[Content_Types].xml"
Change = Callable[[bytes], bytes]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.xlsx"
    publish.write(built([{}, {}]), COVER, path)
    return path


def rewritten(report: Path, part: str, change: Change) -> Path:
    """The report with one part changed."""
    target = report.with_name("changed.xlsx")
    with zipfile.ZipFile(report) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
    return target


def replaced(old: bytes, new: bytes) -> Change:
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return change


AMOUNT, DAY = b"<v>12.34</v>", b"<v>46338</v>"
HOSTILE: dict[str, tuple[str, Change]] = {
    "an amount of 1E308": (SHEET, replaced(AMOUNT, b"<v>1E308</v>")),
    "an amount beyond floats": (SHEET, replaced(AMOUNT, b"<v>1E999</v>")),
    "an amount that is no number": (SHEET, replaced(AMOUNT, b"<v>NaN</v>")),
    "an endless amount": (SHEET, replaced(AMOUNT, b"<v>-INF</v>")),
    "an amount of 5,000 digits": (SHEET, replaced(AMOUNT, b"<v>" + b"9" * 5_000 + b"</v>")),
    "a day after the last": (SHEET, replaced(DAY, b"<v>99999999999</v>")),
    "a day before the first": (SHEET, replaced(DAY, b"<v>-99999999999</v>")),
    "a day beyond floats": (SHEET, replaced(DAY, b"<v>1E308</v>")),
    "a row beyond the last": (SHEET, replaced(b'<row r="3"', b'<row r="2000000000"')),
    "cells without end": (SHEET, lambda content: content[: len(content) // 2]),
    "nested elements": (SHEET, lambda content: content.replace(b"<sheetData>", b"<a>" * 100_000)),
    "a description of nothing": (CORE, lambda content: b""),
    "counts that are no numbers": (CORE, replaced(b"divergentes: 0", b"divergentes: x")),
    "types without a workbook": (TYPES, lambda content: b"<a/>"),
    "types nested deeply": (TYPES, lambda content: b"<a>" * 200_000 + b"</a>" * 200_000),
    "entities that grow": (
        CORE,
        lambda content: (
            b"<!DOCTYPE x ["
            + b'<!ENTITY a "aaaaaaaaaa">'
            + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
            + b"]><x>&m;</x>"
        ),
    ),
}


@pytest.mark.parametrize(("part", "change"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_cell_or_property_is_one_sentence(
    report: Path, part: str, change: Change
) -> None:
    with pytest.raises(ReportError) as caught:
        verification.verify(rewritten(report, part, change))
    assert caught.value.template != verification.UNREADABLE


def test_a_directory_of_parts_outside_the_file_is_damage(report: Path) -> None:
    content = report.read_bytes()
    end = content.rindex(b"PK\x05\x06") + 16
    report.write_bytes(content[:end] + b"\xf0\xff\xff\xff" + content[end + 4 :])
    with pytest.raises(ReportError, match=pattern(verification.DAMAGED)):
        verification.verify(report)


@pytest.mark.parametrize("part", [SHEET, CORE, "xl/styles.xml"])
def test_a_part_that_unpacks_to_gigabytes_is_not_unpacked(report: Path, part: str) -> None:
    bomb = rewritten(report, part, lambda content: content + b" " * (200 << 20))
    for read in (verification.verify, verification.properties):
        with pytest.raises(ReportError, match=pattern(verification.DAMAGED)):
            read(bomb)


def test_a_report_of_equal_rows_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    publish.write(built([{}] * 50_000), COVER, path)
    with zipfile.ZipFile(path) as archive:
        sizes = [(entry.compress_size, entry.file_size) for entry in archive.infolist()]
    assert all(packed > size * verification._LEAST_SHARE for packed, size in sizes)
    assert verification.verify(path).rows["Transacoes Consolidadas"] == 50_000
