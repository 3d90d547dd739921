"""The temporary folder of a report, and the names that leave room for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lib.domain.errors import ReportError
from lib.reports import report_file, temp_folder
from tests.support.sentences import pattern

HOUR = 3_600


@pytest.mark.parametrize(("hours", "stays"), [(2, True), (23, True), (25, False)])
def test_the_folder_of_another_report_is_removed_only_when_older_than_any_run(
    tmp_path: Path, hours: int, stays: bool
) -> None:
    with temp_folder.create(tmp_path / "outro.xlsx") as other:
        then = time.time() - hours * HOUR
        os.utime(other, (then, then))
        with temp_folder.create(tmp_path / "este.xlsx"):
            assert other.exists() is stays


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("relatorio.xls", report_file.WRONG_SUFFIX),
        (f"{'a' * 250}.xlsx", report_file.NAME_TOO_LONG),
        (f"{'a' * 300}.xlsx", report_file.NAME_TOO_LONG),
        (f"{'é' * 120}.xlsx", report_file.NAME_TOO_LONG),
        (f"{'a' * 300}/r.xlsx", report_file.OTHER_ERROR),
    ],
)
def test_a_name_that_no_report_can_have_is_one_sentence(
    tmp_path: Path, name: str, template: str
) -> None:
    with pytest.raises(ReportError, match=pattern(template)):
        report_file.require_target(tmp_path / name)


def test_the_longest_name_leaves_room_for_the_lock_and_the_older_reports(tmp_path: Path) -> None:
    target = tmp_path / f"{'a' * 215}.xlsx"
    report_file.require_target(target)
    for beside in (f".{target.name}.lock", f"{target.stem}_2026-11-20_20261120-101112.xlsx"):
        (tmp_path / beside).touch()
