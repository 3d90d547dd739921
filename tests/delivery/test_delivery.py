"""Delivery of a run: the file's name, the older reports, several merchants, the log."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run, run_log
from lib.config import defaults, loader
from lib.delivery import history, run_record
from lib.domain import requests
from lib.domain.errors import ConfigError
from lib.matching import reconcile
from lib.reports import retention
from lib.security import redaction
from tests.support.command import PREVIOUS, Command, configured, finish, sheets, start
from tests.support.faults import DAY, MERCHANT, PERIOD
from tests.support.sentences import pattern, says
from tests.support.servers import MERCHANTS, Databases

pytestmark = pytest.mark.usefixtures("five_purchases")

OTHER = [cnpj for cnpj in MERCHANTS if cnpj != MERCHANT][0]


def request(databases: Databases) -> requests.Request:
    settings = loader.from_values(databases.values, "teste", {})
    return defaults.request(
        settings, date(2026, 11, 23), start=date(2026, 11, 1), end=date(2026, 11, 20)
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("resultado.xlsx", "resultado.xlsx"),
        ("{date}/r_{merchant}.xlsx", f"2026-11-23/r_{MERCHANT}.xlsx"),
        ("{start}_{end}.xlsx", "2026-11-01_2026-11-20.xlsx"),
    ],
)
def test_the_name_of_the_report_takes_its_values_from_the_request(
    databases: Databases, template: str, name: str
) -> None:
    assert retention.target(Path(template), request(databases)) == Path(name)


def test_a_placeholder_that_does_not_exist_is_named(databases: Databases) -> None:
    with pytest.raises(ConfigError) as caught:
        retention.target(Path("{data}.xlsx"), request(databases))
    assert caught.value.values == {"name": "data"}
    assert "{data}" in str(caught.value)


def test_output_path_may_hold_placeholders(command: Command) -> None:
    path = command.folder / "relatorio_{merchant}_{end}.xlsx"
    file = configured(command.folder, command.databases.values, output_path=str(path))
    result = command.say("--config", str(file), *PERIOD)
    name = f"relatorio_{MERCHANT}_{DAY}.xlsx"
    assert result.out.splitlines()[-1] == run.WRITTEN.format(name=name)
    assert len(sheets(command.folder / name).consolidated) == 5


def reports(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.xlsx"))


def test_without_keep_a_report_takes_the_place_of_the_one_before(command: Command) -> None:
    command.reported(*PERIOD)
    assert reports(command.folder) == [command.target.name]


def test_older_reports_are_kept_under_the_moment_they_were_written(command: Command) -> None:
    where = {"path": str(command.folder / "history.sqlite")}
    os.utime(command.target, (1_780_000_000,) * 2)
    for minute in range(4):
        command.reported(*PERIOD, keep=2, history=where)
        os.utime(command.target, (1_790_000_000 + minute * 60,) * 2)
    names = reports(command.folder)
    assert len(names) == 3
    assert all(re.fullmatch(r"resultado_transacoes(_\d{8}-\d{6})?\.xlsx", name) for name in names)
    # The file from before the first run is the oldest and has been removed.
    assert all((command.folder / name).read_bytes() != PREVIOUS for name in names)
    files = [record.file for record in history.History(Path(where["path"])).runs()]
    assert files[0] == command.target
    assert [path.name for path in files[1:3] if path] == sorted(names[1:], reverse=True)


def test_of_dated_reports_only_those_of_the_same_merchant_are_removed(command: Command) -> None:
    for day in range(1, 6):
        for cnpj in (MERCHANT, OTHER):
            old = command.folder / f"r_{cnpj}_2026-10-0{day}.xlsx"
            old.write_bytes(b"old")
            os.utime(old, (1_790_000_000 + day,) * 2)
    (command.folder / f"r_{MERCHANT}_rascunho.xlsx").write_bytes(b"mine")
    path = str(command.folder / "r_{merchant}_{end}.xlsx")
    file = configured(command.folder, command.databases.values, output_path=path, keep=2)
    assert command.say("--config", str(file), *PERIOD).code == main.DONE
    remaining = [name for name in reports(command.folder) if MERCHANT in name]
    assert remaining == [
        f"r_{MERCHANT}_2026-10-04.xlsx",
        f"r_{MERCHANT}_2026-10-05.xlsx",
        f"r_{MERCHANT}_{DAY}.xlsx",
        f"r_{MERCHANT}_rascunho.xlsx",
    ]
    assert len([name for name in reports(command.folder) if OTHER in name]) == 5


def test_a_failed_run_removes_and_renames_no_report(command: Command) -> None:
    command.databases.execute("auth_logs", "DROP SCHEMA authentication CASCADE")
    command.refused(*PERIOD, keep=1)
    assert reports(command.folder) == [command.target.name]


def test_all_merchants_get_a_report_each(command: Command) -> None:
    path = str(command.folder / "r_{merchant}.xlsx")
    file = configured(command.folder, command.databases.values, output_path=path)
    result = command.say("--config", str(file), "--all-merchants", *PERIOD)
    assert result.code == main.DONE
    assert len(re.findall(pattern(run.WRITTEN), result.out)) == 2
    for cnpj, rows in ((MERCHANT, 5), (OTHER, 0)):
        assert len(sheets(command.folder / f"r_{cnpj}.xlsx").consolidated) == rows


def test_one_merchant_that_fails_does_not_stop_the_others(command: Command) -> None:
    (command.folder / f"r_{MERCHANT}.xlsx").mkdir()
    path = str(command.folder / "r_{merchant}.xlsx")
    file = configured(command.folder, command.databases.values, output_path=path)
    result = command.say("--config", str(file), "--all-merchants", *PERIOD)
    sentence = run.FAILED_MERCHANTS[True, 1].format(names="Loja Exemplo")
    assert (result.code, result.sentence) == (main.FAILED, sentence)
    assert f"Loja Exemplo ({MERCHANT}): " in result.err
    assert sheets(command.folder / f"r_{OTHER}.xlsx").consolidated == []


@pytest.mark.parametrize(
    ("total", "failed", "form"),
    [
        (2, 2, (False, 0)),
        (3, 3, (False, 0)),
        (3, 2, (False, 1)),
        (3, 1, (True, 2)),
        (4, 2, (False, 2)),
    ],
)
def test_the_sentence_about_failed_merchants_agrees_with_their_number(
    command: Command, total: int, failed: int, form: tuple[bool, int]
) -> None:
    merchants = {f"{n:012}00": f"Loja {n}" for n in range(total)}
    for cnpj in list(merchants)[:failed]:
        (command.folder / f"r_{cnpj}.xlsx").mkdir()
    path = str(command.folder / "r_{merchant}.xlsx")
    values = {**command.databases.values, "merchants": merchants}
    file = configured(command.folder, values, output_path=path)
    result = command.say("--config", str(file), "--all-merchants", *PERIOD)
    names = ", ".join(f"Loja {n}" for n in range(failed))
    sentence = run.FAILED_MERCHANTS[form].format(failed=failed, total=total, names=names)
    assert (result.code, result.sentence) == (main.FAILED, sentence)


@pytest.mark.usefixtures("scrubbed")
def test_a_bug_in_one_merchants_run_does_not_stop_the_others(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = reconcile.match

    def broken(*words: Any, **keys: Any) -> Any:
        calls.append(words)
        if len(calls) == 1:
            raise RuntimeError("password=segredo")
        return original(*words, **keys)

    monkeypatch.setattr(reconcile, "match", broken)
    path, log = str(command.folder / "r_{merchant}.xlsx"), command.folder / "execucoes.log"
    file = configured(command.folder, command.databases.values, output_path=path)
    result = command.say("--config", str(file), "--all-merchants", "--log-file", str(log), *PERIOD)
    sentence = run.FAILED_MERCHANTS[True, 1].format(names="Loja Exemplo")
    assert (result.code, result.sentence) == (main.FAILED, sentence)
    unexpected = run_record.UNEXPECTED.format(kind="RuntimeError")
    assert f"Loja Exemplo ({MERCHANT}): {unexpected}" in result.err
    assert sheets(command.folder / f"r_{OTHER}.xlsx").consolidated == []
    logged = log.read_text(encoding="utf-8")
    assert "Traceback" in logged
    assert "segredo" not in logged + result.err


def test_all_merchants_need_separate_files(command: Command) -> None:
    example = "resultado_transacoes_{merchant}.xlsx"
    sentence = run.NO_MERCHANT_IN_NAME.format(example=example)
    assert command.refused("--all-merchants", *PERIOD) == sentence
    sentence = command.refused("--all-merchants", "--merchant", MERCHANT, *PERIOD)
    assert sentence == main.MERCHANT_OR_ALL


def test_a_dry_run_prints_the_counts_and_writes_nothing(command: Command) -> None:
    record = command.folder / "history.sqlite"
    result = command.run("--dry-run", *PERIOD, history={"path": str(record)})
    assert result.code == main.DONE
    assert "Transações: 5 = 5 consolidadas + 0 sem log + 0 duplicadas removidas" in result.out
    assert result.out.splitlines()[-1] == run.REHEARSED
    assert command.target.read_bytes() == PREVIOUS
    assert not record.exists()


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


@pytest.fixture
def scrubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process with redaction installed, as in the command's own process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = logging.getLogRecordFactory()
    redaction.install()
    yield
    logging.setLogRecordFactory(before)


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


def older_reports(folder: Path, count: int) -> list[Path]:
    paths = [
        folder / f"resultado_transacoes_2026110{day}-060000.xlsx" for day in range(1, count + 1)
    ]
    for path in paths:
        path.write_bytes(b"old")
    return paths


@pytest.mark.parametrize("gone_at", ["list", "sort", "removal"])
def test_an_older_report_that_somebody_removes_meanwhile_fails_no_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, gone_at: str
) -> None:
    path = older_reports(command.folder, 3)[0]
    methods = {"list": "is_file", "sort": "stat", "removal": "unlink"}
    method = getattr(Path, methods[gone_at])

    def removing(self: Path, *words: Any, **options: Any) -> Any:
        if self == path:
            os.path.lexists(path) and os.unlink(path)
        return method(self, *words, **options)

    monkeypatch.setattr(Path, methods[gone_at], removing)
    command.reported(*PERIOD, keep=1)
    assert not os.path.lexists(path)
    assert len(reports(command.folder)) == 2


@pytest.mark.parametrize("number", [errno.EPERM, errno.EBUSY, errno.EROFS])
def test_an_older_report_that_cannot_be_removed_is_a_warning(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    older = set(older_reports(command.folder, 3))
    unlink = Path.unlink

    def refusing(self: Path, missing_ok: bool = False) -> None:
        if self in older:
            raise OSError(number, os.strerror(number))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    result = command.run(*PERIOD, keep=1)
    assert result.code == main.DONE
    assert says(result.err, retention.NOT_REMOVED)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM, errno.ENAMETOOLONG])
def test_a_report_that_cannot_be_kept_is_a_warning_and_the_new_one_is_written(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    result = command.run(*PERIOD, keep=1)
    assert result.code == main.DONE
    assert says(result.err, retention.NOT_KEPT)
    assert reports(command.folder) == [command.target.name]


# Python loads it before the program, and it kills the run before a file gets this name.
MORTAL = """
import os, signal, sys

def hook(event, arguments):
    ends = event == "os.rename" and str(arguments[1]).endswith(os.environ["KILLED_BEFORE"])
    if ends and ".relatorio-" not in str(arguments[1]):  # where workers write the workbook
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.mark.fault
@pytest.mark.parametrize("next_kind", ["memory", "chunked"])
@pytest.mark.parametrize("killed_before", [".xlsx", "manifest.json", "staged.json"])
def test_what_a_run_killed_in_clear_left_is_removed_by_the_next_run_of_another_report(
    command: Command, tmp_path: Path, killed_before: str, next_kind: str
) -> None:
    mortal, reports = tmp_path / "mortal", tmp_path / "relatorios"
    for folder in (mortal, reports):
        folder.mkdir()
    (mortal / "sitecustomize.py").write_text(MORTAL)
    keys: dict[str, Any] = {"output_path": str(reports / "r_{start}.xlsx")}
    keys["privacy"] = {"report": "clear"}
    engine = {"kind": "chunked", "workers": 1, "staging_dir": str(tmp_path / "staging")}
    file = str(configured(tmp_path, command.databases.values, engine=engine, **keys))
    environment = {"PYTHONPATH": str(mortal), "KILLED_BEFORE": killed_before}
    killed = finish(start("--config", file, "--start", DAY, "--end", DAY, env=environment))
    assert killed.code == -signal.SIGKILL, killed.err
    assert {path.suffix for path in tmp_path.rglob("*")} & {".arrow", ".parquet"}, "clear rows"

    engine["kind"] = next_kind
    configured(tmp_path, command.databases.values, engine=engine, **keys)
    other = ("--start", "2026-11-01", "--end", DAY)
    assert command.say("--config", file, *other).code == main.DONE

    published = reports / "r_2026-11-01"
    left = [path for path in tmp_path.rglob("*.parquet") if published not in path.parents]
    assert left == []
    assert list((tmp_path / "staging").iterdir()) == []
    assert [path.name for path in reports.iterdir() if path.suffix not in (".xlsx", ".lock")] == (
        [published.name] if next_kind == "chunked" else []
    )


def test_a_register_of_runs_that_cannot_be_kept_stops_no_report(command: Command) -> None:
    (command.folder / "arquivo").touch()
    command.reported(*PERIOD, engine={"staging_dir": str(command.folder / "arquivo")})


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '["a"]', "[" * 100_000, "\x00"])
def test_a_damaged_entry_in_the_register_of_runs_stops_no_report(
    command: Command, content: str
) -> None:
    staging = command.folder / "staging"
    staging.mkdir()
    (staging / "run-0123456789abcdef.json").write_text(content)
    command.reported(*PERIOD, engine={"staging_dir": str(staging)})
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--days", "36500"), ("--rule", "card_time")])
def test_the_longest_window_gives_a_report(command: Command, words: tuple[str, ...]) -> None:
    assert len(command.reported(*words, window_days=36_500).consolidated) == 5
