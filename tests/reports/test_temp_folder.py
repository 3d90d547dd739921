"""The folder that a report is written in, beside those of others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lib.domain.errors import ReportError
from lib.reports import publish, temp_folder

HOUR = 3_600


@pytest.mark.parametrize(("hours", "stays"), [(2, True), (23, True), (25, False)])
def test_only_what_is_older_than_any_run_is_removed_of_another_report(
    tmp_path: Path, hours: int, stays: bool
) -> None:
    with temp_folder.beside(tmp_path / "outro.xlsx") as other:
        then = time.time() - hours * HOUR
        os.utime(other, (then, then))
        with temp_folder.beside(tmp_path / "este.xlsx"):
            assert other.exists() is stays


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (f"{'a' * 250}.xlsx", "O nome da planilha tem mais de 220 bytes"),
        (f"{'a' * 300}.xlsx", "O nome da planilha tem mais de 220 bytes"),
        (f"{'é' * 120}.xlsx", "O nome da planilha tem mais de 220 bytes"),
        (f"{'a' * 300}/r.xlsx", "O sistema não deixou gravar a planilha"),
    ],
)
def test_a_name_that_no_file_can_have_is_one_sentence(
    tmp_path: Path, name: str, sentence: str
) -> None:
    with pytest.raises(ReportError, match=sentence):
        publish.require_place(tmp_path / name)


def test_the_longest_name_leaves_room_for_the_lock_and_the_older_reports(tmp_path: Path) -> None:
    target = tmp_path / f"{'a' * 215}.xlsx"
    publish.require_place(target)
    for beside in (f".{target.name}.lock", f"{target.stem}_2026-11-20_20261120-101112.xlsx"):
        (tmp_path / beside).touch()
