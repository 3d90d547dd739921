"""The export button: its workbook is the command line's, and sessions share one worker."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.cli import main
from lib.config import loader
from lib.dashboard import export_queue, export_worker
from lib.domain import columns as c
from lib.ui import export, file_export, table_cells
from lib.ui.file_export import EXPORTS
from lib.ui.formatting import plain
from tests.support.command import Sheets, sheets
from tests.support.dashboard import Dashboard, frames, texts
from tests.support.scenario import BULK, MERCHANT, today


def press_export(at: AppTest) -> None:
    at.button(key=export.START).click().run()


def exported(at: AppTest, target: Path) -> Sheets:
    """The sheets of the workbook that this session exports."""
    press_export(at)
    deadline = time.monotonic() + 120
    while not finished(at) and time.monotonic() < deadline:
        time.sleep(0.1)
        at.run()
    assert not at.exception
    assert not at.error, texts(at)
    shared = EXPORTS.find(version(at))
    assert shared is not None
    target.write_bytes(shared.future.result().path.read_bytes())
    return sheets(target)


def finished(at: AppTest) -> bool:
    return export.REPEAT in [button.key for button in at.button]


def read(
    dashboard: Dashboard, name: str, columns: tuple[str, ...], address: dict[str, Any]
) -> list[tuple[str, ...]]:
    """The sheet's columns in all pages of a table, as they are shown."""
    at = dashboard.open(name, **address)
    rows: list[tuple[str, ...]] = []
    for number in range(1, 99):
        if number > 1:
            at.get("pagination")[0].set_value(number).run()
        page = frames(at)[0][[*columns]]
        rows += page.itertuples(index=False, name=None)
        if not at.get("pagination") or number == at.get("pagination")[0].num_pages:
            return rows
    raise AssertionError("the table has no end")


def as_shown(row: tuple[Any, ...], columns: tuple[str, ...]) -> tuple[str, ...]:
    """A workbook's row as the page writes it."""
    return tuple(map(_shown, row, columns))


def _shown(cell: Any, column: str) -> str:
    if column in (c.COD_RESPOSTA, c.DIF_SEGUNDOS):
        return table_cells.written(column, cell)
    if isinstance(cell, datetime):
        return f"{cell:%d/%m/%Y}"
    if isinstance(cell, float):
        return f"R$\xa0{cell:,.2f}".translate(str.maketrans(",.", ".,"))
    if cell == MERCHANT:
        return "12.345.678/0001-90"
    return "" if cell is None else str(cell)


def version(at: AppTest) -> str:
    return str(at.session_state[export.SLOT].export.key)


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_the_workbook_is_the_command_lines_cell_by_cell(
    morning: Dashboard, tmp_path: Path, rule: str
) -> None:
    day = today() - timedelta(days=2)
    at = morning.open(periodo=[day.isoformat(), today().isoformat()], regra=rule)
    mine = exported(at, tmp_path / "dashboard.xlsx")
    target = tmp_path / "command.xlsx"
    words = ["--start", f"{day}", "--end", f"{today()}", "--rule", rule, "--output", str(target)]
    assert main.main(["--config", loader.os.environ[loader.FILE_VARIABLE], *words]) == main.DONE
    theirs = sheets(target)
    assert mine == theirs
    assert len(theirs.consolidated) > 100
    address = {"periodo": [day.isoformat(), today().isoformat()], "regra": rule}
    for name, columns, written in (
        ("consolidated", c.CONSOLIDATED, mine.consolidated),
        ("divergences", c.DIVERGENCES, mine.divergences),
    ):
        in_sheet_order = {f"{name}_ordem": next(n for n in columns if n in (c.DATA, c.DATA_TRANSA))}
        asked = address | in_sheet_order | {f"{name}_colunas": columns}
        shown = [as_shown(row, columns) for row in written]
        assert read(morning, name, columns, asked) == shown


def test_zero_rows_make_a_workbook_with_headers(dashboard: Dashboard, tmp_path: Path) -> None:
    assert exported(dashboard.open(), tmp_path / "empty.xlsx") == Sheets([], [])


def test_the_progress_stands_in_the_page_until_the_file_does(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_export, "_SOON_SECONDS", 0)
    at = morning.open()
    press_export(at)
    assert at.get("progress")
    assert at.button(key=export.START).disabled


def test_a_failed_export_is_one_sentence_and_may_be_tried_again(
    morning: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = morning.open()
    with monkeypatch.context() as broken:
        broken.setattr(export_worker, "ROOT", tmp_path)  # where there is no worker to run
        press_export(at)
        deadline = time.monotonic() + 120
        while not at.error and time.monotonic() < deadline:
            time.sleep(0.1)
            at.run()
    assert at.error[0].value == plain(export_queue.DIED)
    assert len(exported(at, tmp_path / "again.xlsx").consolidated) == BULK + 3


def test_the_name_is_one_that_a_person_would_give(morning: Dashboard) -> None:
    at = morning.open(periodo=[(today() - timedelta(days=1)).isoformat(), today().isoformat()])
    press_export(at)
    days = f"{today() - timedelta(days=1)} a {today()}"
    assert at.session_state[export.SLOT].name == f"Loja Exemplo {days}.xlsx"


def test_sessions_that_ask_at_once_share_one_worker(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(export_worker.subprocess, "Popen", _counted(begun))
    sessions = [morning.open() for _ in range(5)]
    for at in sessions:
        press_export(at)
    versions = {version(at) for at in sessions}
    assert len(versions) == 1
    shared = EXPORTS.find(versions.pop())
    assert shared is not None
    shared.future.result(timeout=120)
    assert len(begun) == 1


def _counted(begun: list[object]) -> type:
    class Counted(export_worker.subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **keys: object) -> None:
            begun.append(arguments)
            super().__init__(*arguments, **keys)  # type: ignore[call-overload]

    return Counted
