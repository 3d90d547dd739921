"""Delivery of a run: several merchants, a dry run, and what killed runs left."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run
from lib.delivery import run_record
from lib.matching import reconcile
from tests.support.command import PREVIOUS, Command, configured, finish, sheets, start
from tests.support.faults import DAY, MERCHANT, PERIOD
from tests.support.sentences import pattern
from tests.support.servers import MERCHANTS

pytestmark = pytest.mark.usefixtures("five_purchases")

OTHER = [cnpj for cnpj in MERCHANTS if cnpj != MERCHANT][0]


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
