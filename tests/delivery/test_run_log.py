"""The log of a run: its lines, its file, and what is never in it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from lib.cli import main, run_log
from lib.config import loader
from lib.delivery import history, run_record
from lib.matching import reconcile
from lib.security import redaction
from tests.support.command import PREVIOUS, Command
from tests.support.faults import PERIOD

pytestmark = pytest.mark.usefixtures("five_purchases")


def test_the_log_writes_counts_as_the_command_line_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lib.cli.run_log")
    for rows in (1, 1_234_567):
        with run_log.stages(lambda stage, rows: None) as report:
            report("writing", rows)
    messages = [record.getMessage().split(" em ")[0] for record in caplog.records]
    assert messages == ["writing: 1 registro", "writing: 1.234.567 registros"]


def test_the_log_has_a_line_a_stage_with_records_and_seconds(command: Command) -> None:
    log = command.folder / "execucoes.log"
    command.reported("--log-file", str(log), *PERIOD)
    text = log.read_text(encoding="utf-8")
    for stage, rows in (("transactions", 5), ("auth_logs", 5), ("matching", 10), ("writing", 5)):
        assert re.search(rf"INFO {stage}: {rows} registros em \d+\.\d s\n", text)
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d INFO início: ", text)
    assert "concluída: " in text.splitlines()[-1]


@pytest.mark.usefixtures("scrubbed")
def test_the_log_names_a_merchant_whose_cnpj_could_be_a_card_number(command: Command) -> None:
    cnpj = next(f"{n:014}" for n in range(10**13, 10**13 + 10) if redaction.luhn(f"{n:014}"))
    log = command.folder / "execucoes.log"
    result = command.run("--log-file", str(log), *PERIOD, merchants={cnpj: "Loja do Acaso"})
    assert result.code == main.DONE
    first = log.read_text(encoding="utf-8").splitlines()[0]
    assert "início: Loja do Acaso (******), 2026-11-20 a 2026-11-20, regra card" in first


def test_a_failure_is_the_last_line_of_the_log(command: Command) -> None:
    log = command.folder / "execucoes.log"
    command.databases.execute("auth_logs", "DROP SCHEMA authentication CASCADE")
    sentence = command.refused("--log-file", str(log), *PERIOD)
    assert log.read_text(encoding="utf-8").splitlines()[-1].endswith(f"falha: {sentence}")


def test_json_lines_go_to_the_file_or_else_to_standard_error(command: Command) -> None:
    log = command.folder / "execucoes.jsonl"
    command.reported("--log-file", str(log), "--json-log", *PERIOD)
    result = command.run("--json-log", *PERIOD)
    for text in (log.read_text(encoding="utf-8"), result.err.partition("\n")[2]):
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        stages = {line["stage"]: line["rows"] for line in lines if "stage" in line}
        assert stages == {"transactions": 5, "auth_logs": 5, "matching": 10, "writing": 5}
        assert lines[-1]["outcome"] == "concluída"
        assert lines[-1]["consolidated"] == 5


def test_the_log_is_rotated(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "FILE_BYTES", 1_000)
    log = command.folder / "execucoes.log"
    for _ in range(12):
        command.reported("--log-file", str(log), *PERIOD)
    files = sorted(command.folder.glob("execucoes.log*"))
    assert len(files) == run_log.FILES + 1
    assert all(file.stat().st_size <= 1_000 for file in files)


@pytest.mark.usefixtures("scrubbed")
def test_an_unexpected_failure_is_a_scrubbed_traceback_in_the_log_and_after_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = sys.excepthook

    def broken(*_: Any) -> None:
        raise RuntimeError("password=segredo")

    monkeypatch.setattr(reconcile, "match", broken)
    log = command.folder / "execucoes.jsonl"
    with pytest.raises(RuntimeError):
        command.run("--log-file", str(log), "--json-log", *PERIOD)
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert "RuntimeError" in last["traceback"]
    assert "segredo" not in log.read_text(encoding="utf-8")
    assert sys.excepthook is hook
    [recorded] = history.of(loader.from_values(command.databases.values, "teste", {})).runs()
    message = run_record.UNEXPECTED.format(kind="RuntimeError")
    assert (recorded.outcome, recorded.message) == (history.FAILED, message)
    assert command.target.read_bytes() == PREVIOUS


def test_a_log_that_cannot_be_written_is_reported_before_anything_is_read(command: Command) -> None:
    log = command.folder / "nada" / "execucoes.log"
    sentence = command.refused("--log-file", str(log), *PERIOD)
    assert sentence == run_log.NOT_WRITABLE.format(file=log)
