"""Manifests that are damaged, or that somebody wrote: one sentence, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.engines import parquet_result, result_index, result_tables, result_writer
from tests.support.sentences import pattern

VERSION = "0123456789abcdef"
COUNTS = ("logs", "logs_matched", "divergences", "transactions", "consolidated", "without_log")
AMOUNTS = ("amount", "amount_consolidated", "amount_without_log", "amount_duplicates")


def manifest() -> dict[str, Any]:
    """A valid manifest with one file in its first table."""
    books = dict.fromkeys((*COUNTS, "duplicates"), 0) | dict.fromkeys(AMOUNTS, "0.00")
    entry = {"path": f"{VERSION}/a/dia=2026-11-01/0000.parquet", "day": "2026-11-01", "rows": 1}
    days = {"start": "2026-11-01", "end": "2026-11-02", "today": "2026-11-02"}
    return {
        "format": parquet_result.FORMAT,
        "version": VERSION,
        "merchant": "12345678000195",
        "merchant_name": "Loja",
        "period": days,
        "rule": {"name": "card", "tolerance_seconds": 300, "approved_codes": ["00"]},
        "clear": False,
        "extracted_at": "2026-11-02T06:00:00-03:00",
        "books": books,
        "days": [{"day": "2026-11-01", **books}, {"day": None, **books}],
        "codes": [{"code": "00", "matched": 0, "divergences": 0}],
        "motivos": dict.fromkeys(c.MOTIVOS, 0),
        "pieces": {name: [] for name in result_tables.NAMES} | {result_tables.NAMES[0]: [entry]},
    }


def changed(*path: Any, to: object) -> Callable[[], str]:
    def text() -> str:
        content = manifest()
        inner: Any = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to
        return json.dumps(content)

    return text


FIRST = ("pieces", result_tables.NAMES[0], 0)
HOSTILE: dict[str, Callable[[], str]] = {
    "no pieces": changed("pieces", to=[]),
    "null pieces": changed("pieces", to=None),
    "a table without pieces": changed("pieces", to={}),
    "a null name": changed("merchant_name", to=None),
    "a null merchant": changed("merchant", to=None),
    "a null code": changed("codes", 0, "code", to=None),
    "a null rule": changed("rule", "name", to=None),
    "a rule of text": changed("rule", to="card"),
    "nested arrays": lambda: "[" * 10_000,
    "nested closed arrays": lambda: "[" * 10_000 + "]" * 10_000,
    "nested objects": lambda: '{"a":' * 10_000,
    "nested within a value": lambda: json.dumps(manifest()).replace('"Loja"', "[" * 10_000),
    "a number": lambda: "7",
    "nothing": lambda: "",
    "bytes": lambda: "\x00\x01",
    "an endless number": lambda: '{"format": ' + "9" * 10_000 + "}",
    "a day that is none": changed("days", 0, "day", to="2026-13-40"),
    "a day of another kind": changed("days", 0, "day", to=20_261_101),
    "a count of text": changed("days", 0, "logs", to="many"),
    "an amount that is none": changed("books", "amount", to="NaN"),
    "an amount of text": changed("days", 0, "amount", to="much"),
    "motivos of text": changed("motivos", to="many"),
    "a motivo that is missing": changed("motivos", to={}),
    "a moment that is none": changed("extracted_at", to="yesterday"),
    "clear by another kind": changed("clear", to="false"),
    "rows below nothing": changed(*FIRST, "rows", to=-1),
    "rows of text": changed(*FIRST, "rows", to="1"),
    "a file elsewhere": changed(*FIRST, "path", to="/etc/passwd"),
    "a file above": changed(*FIRST, "path", to=f"{VERSION}/../../secret.parquet"),
    "a file of another version": changed(*FIRST, "path", to="fedcba9876543210/a.parquet"),
    "a file without a name": changed(*FIRST, "path", to=""),
    "a null file": changed(*FIRST, "path", to=None),
    "a version above": changed("version", to=".."),
    "a null version": changed("version", to=None),
}


def written(folder: Path, text: str) -> Path:
    (folder / result_index.MANIFEST).write_text(text, encoding="utf-8")
    return folder


def test_the_manifest_that_the_others_are_made_of_is_read(tmp_path: Path) -> None:
    result = parquet_result.open_result(written(tmp_path, json.dumps(manifest())))
    assert (result.version, result.rows(result_tables.NAMES[0])) == (VERSION, 1)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_other_manifest_is_one_sentence(tmp_path: Path, text: Callable[[], str]) -> None:
    with pytest.raises(ReportError, match=pattern(parquet_result.UNREADABLE)):
        parquet_result.open_result(written(tmp_path, text()))


@pytest.mark.parametrize("text", [HOSTILE["no pieces"], HOSTILE["nested arrays"]])
def test_an_unreadable_manifest_keeps_its_files_and_not_those_of_killed_runs(
    tmp_path: Path, text: Callable[[], str]
) -> None:
    (written(tmp_path, text()) / VERSION).mkdir()
    (tmp_path / f"_{VERSION}").mkdir()
    (tmp_path / result_writer.SEALED).write_text(json.dumps(manifest()))
    result_writer.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {result_index.MANIFEST, VERSION}
