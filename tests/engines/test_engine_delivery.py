"""Runs by an engine on the command line: the same files, records and output as in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lib.cli import main, progress
from lib.cli import run as scheduled
from lib.database import error_translation
from lib.delivery import history
from lib.domain import columns as c
from lib.engines import chunked, parquet_result, result_index, result_workbooks, runner
from lib.engines.totals import UNBALANCED
from lib.reports import report_file
from lib.reports.description import AUDITORIA
from lib.reports.verification import verify
from tests.support import engine_data
from tests.support.command import PREVIOUS, Command, with_source
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Databases

pytestmark = pytest.mark.slow

SHEETS = (c.SHEET_DIVERGENCES, c.SHEET_CONSOLIDATED)
PERIOD = ("--start", f"{engine_data.START}", "--end", f"{engine_data.END}")


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    engine_data.fill(databases, 2_000)
    folder = tmp_path / "saida"
    folder.mkdir()
    return Command(databases, folder, capsys)


def engine(command: Command, **keys: Any) -> dict[str, Any]:
    """Configuration keys of an engine, its history and its audit trail."""
    staging = command.folder.parent / "staging"
    keys = {"workers": 1, "memory_limit": "200 MB", "staging_dir": str(staging)} | keys
    return {
        "engine": keys,
        "history": {"path": str(command.folder.parent / "history.sqlite")},
        "audit": {"path": str(command.folder.parent / "audit.jsonl")},
    }


def recorded(command: Command) -> list[history.Run]:
    return history.History(command.folder.parent / "history.sqlite").runs()


def audited(command: Command) -> list[dict[str, Any]]:
    lines = (command.folder.parent / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if '"run"' in line]


def test_a_run_by_an_engine_says_and_writes_what_one_in_memory_does(command: Command) -> None:
    by_memory = command.run(*PERIOD, **engine(command, kind="memory"))
    expected = {name: pd.read_excel(command.target, sheet_name=name) for name in SHEETS}

    by_engine = command.run(*PERIOD, **engine(command, kind="chunked"))

    # But for the line about the cases: the first run has judged them.
    said = [
        [line for line in run.out.splitlines() if not line.startswith("Casos: ")]
        for run in (by_memory, by_engine)
    ]
    assert (by_engine.code, said[1]) == (main.DONE, said[0])
    assert by_engine.out.splitlines()[-1] == scheduled.WRITTEN.format(name=command.target.name)
    for stage in progress.STAGES.values():
        assert stage in by_engine.err
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(pd.read_excel(command.target, sheet_name=name), frame)
    assert parquet_result.open_result(command.target.with_suffix("")).books.transactions > 0
    assert list((command.folder.parent / "staging").iterdir()) == []
    assert {p.name for p in command.folder.iterdir()} == {
        *("aggregator.toml", command.target.name, command.target.stem)
    }

    newest, older = recorded(command)
    assert (newest.outcome, newest.books) == (history.DONE, older.books)
    assert newest.file == command.target
    done = [line for line in audited(command) if line["outcome"] == "done"]
    assert done[-1]["file"] == str(command.target)
    assert done[-1]["rows"] == done[0]["rows"]
    assert done[-2]["file"] == str(command.target.with_suffix("") / result_index.MANIFEST)
    started = [line for line in audited(command) if line["outcome"] == "started"]
    anchor = verify(command.target).properties[AUDITORIA]
    assert anchor == f"{started[-1]['seq']}:{started[-1]['seal']}"


def test_a_period_beyond_the_memory_limit_is_run_by_the_engine(command: Command) -> None:
    for side in ("transactions", "auth_logs"):
        command.databases.execute(side, "ANALYZE")

    sheets = command.reported(*PERIOD, **engine(command, memory_limit="1 MB"))

    assert (command.target.with_suffix("") / result_index.MANIFEST).exists()
    assert len(sheets.consolidated) == recorded(command)[0].books["consolidated"]


def test_a_run_in_memory_writes_no_result(command: Command) -> None:
    command.reported(*PERIOD, **engine(command))

    assert not command.target.with_suffix("").exists()


def test_a_rehearsal_by_an_engine_writes_nothing(command: Command) -> None:
    by_memory = command.run(*PERIOD, "--dry-run", **engine(command, kind="memory"))

    run = command.run(*PERIOD, "--dry-run", **engine(command, kind="chunked"))

    assert (run.code, run.out) == (main.DONE, by_memory.out)
    assert run.out.splitlines()[-1] == scheduled.REHEARSED
    assert command.target.read_bytes() == PREVIOUS
    assert not command.target.with_suffix("").exists()
    assert recorded(command) == []


def test_a_clear_report_by_an_engine_has_the_raw_line(command: Command) -> None:
    keys = engine(command, kind="chunked") | {"privacy": {"report": "clear"}}

    sheets = command.reported(*PERIOD, **keys)

    assert len(sheets.divergences[0]) == 7
    assert sheets.divergences[0][6].endswith(engine_data.MERCHANT)
    assert parquet_result.open_result(command.target.with_suffix("")).clear
    assert recorded(command)[0].clear


def test_books_that_do_not_balance_leave_everything_as_it_was(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = engine(command, kind="chunked")
    command.reported(*PERIOD, **keys)
    command.target.write_bytes(PREVIOUS)
    before = parquet_result.open_result(command.target.with_suffix(""))
    staged = chunked._staged

    def count_one_more(*arguments: Any) -> Any:
        read = staged(*arguments)
        return type(read)(**vars(read) | {"auth_logs": read.auth_logs + 1})

    monkeypatch.setattr(chunked, "_staged", count_one_more)

    sentence = command.refused(*PERIOD, **keys)

    assert says(sentence, UNBALANCED)
    assert parquet_result.open_result(command.target.with_suffix("")).version == before.version
    assert recorded(command)[0].outcome == history.FAILED


def test_a_workbook_that_cannot_be_written_keeps_the_older_result(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = engine(command, kind="chunked")
    command.reported(*PERIOD, **keys)
    command.target.write_bytes(PREVIOUS)
    before = parquet_result.open_result(command.target.with_suffix(""))

    def refuse(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result_workbooks, "write", refuse)

    assert says(command.refused(*PERIOD, **keys), report_file.NO_SPACE)
    names = {entry.name for entry in before.folder.iterdir()}
    assert names == {result_index.MANIFEST, before.version}


def test_a_workbook_a_day_takes_the_place_of_the_one_before(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_sheets = partial(result_workbooks.planned, rows_per_sheet=1_000)
    monkeypatch.setattr(result_workbooks, "planned", small_sheets)
    keys = engine(command, kind="chunked")

    run = command.run(*PERIOD, **keys)
    again = command.run(*PERIOD, keep=1, **keys)

    days = [engine_data.START + timedelta(days=number) for number in range(7)]
    names = [f"{command.target.stem}_{day}.xlsx" for day in days]
    assert run.out.splitlines()[-7:] == [scheduled.WRITTEN.format(name=name) for name in names]
    assert again.code == main.DONE, again.err
    assert not command.target.exists()
    reports = list(command.folder.glob("*.xlsx"))
    assert {path.name for path in reports} > set(names)
    assert len(reports) == 14
    rows = sum(sum(verify(command.folder / name).rows.values()) for name in names)
    books = recorded(command)[0].books
    assert rows == books["consolidated"] + books["divergences"]


@pytest.mark.parametrize("keep", [0, 1])
def test_each_workbook_of_several_is_copied_and_none_of_the_whole_period_stays(
    command: Command, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    small_sheets = partial(result_workbooks.planned, rows_per_sheet=1_000)
    monkeypatch.setattr(result_workbooks, "planned", small_sheets)
    there = command.folder.parent / "montada"
    there.mkdir()
    (there / command.target.name).write_bytes(PREVIOUS)

    keys = engine(command, kind="chunked") | {"copies": {"to": [str(there)]}, "keep": keep}
    run = command.run(*PERIOD, **keys)

    assert run.code == main.DONE, run.err
    here = [path.read_bytes() for path in command.folder.glob("*.xlsx")]
    assert len(here) == 7 + keep
    assert sorted(path.read_bytes() for path in there.iterdir()) == sorted(here)
    assert not (there / command.target.name).exists()
    [sent] = recorded(command)[0].dispatches
    assert (sent.target, sent.problem) == (str(there), None)


def test_several_merchants_do_not_share_one_result_folder(command: Command) -> None:
    keys = engine(command, kind="chunked", result_dir=str(command.folder / "resultado"))
    keys["output_path"] = str(command.folder / "r_{merchant}.xlsx")
    output = ("--output", keys["output_path"])

    run = command.run(*PERIOD, *output, "--all-merchants", **keys)

    assert run.code == main.FAILED
    assert run.sentence == scheduled.NO_MERCHANT_IN_RESULT_DIR.format()


def test_each_merchant_has_its_own_result(command: Command) -> None:
    keys = engine(command, kind="chunked", result_dir=str(command.folder / "{merchant}"))
    output = ("--output", str(command.folder / "r_{merchant}.xlsx"))

    run = command.run(*PERIOD, *output, "--all-merchants", **keys)

    assert run.code == main.DONE, run.err
    opened = [parquet_result.open_result(command.folder / cnpj) for cnpj in MERCHANTS]
    assert [result.merchant for result in opened] == list(MERCHANTS)


def test_an_unreachable_server_is_named_in_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.database.retry.FIRST_WAIT_SECONDS", 0.01)
    source = with_source(command.databases.values, "auth_logs", host="127.0.0.1", port=1)
    keys = engine(command) | source

    assert says(command.refused(*PERIOD, **keys), error_translation.NOT_CONNECTED)


def test_a_result_is_published_after_its_workbooks(databases: Databases, tmp_path: Path) -> None:
    """A run killed between them leaves a result that is unpublished, and so is swept."""
    engine_data.fill(databases, 200)
    configured = engine_data.settings(databases, tmp_path / "staging")
    request = engine_data.request(configured, "card")
    targets = runner.Targets(tmp_path / "r.xlsx", tmp_path / "r")
    published = []

    def place(workbook: Path, written: report_file.Written) -> None:
        published.append((targets.result / result_index.MANIFEST).exists())
        workbook.replace(written.path)

    runner.produce(configured, request, "chunked", targets, runner.Hooks(place=place), clear=True)
    assert published == [False]
    assert parquet_result.open_result(targets.result).clear
