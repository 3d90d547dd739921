"""Runs in the audit trail, and the command that checks the trail and workbooks against it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from lib.cli import audit, main
from lib.config.settings import ROOT
from lib.domain.errors import AuditError
from lib.reports import description, verification
from lib.security import audit_trail
from tests.support.command import PREVIOUS, Command, start
from tests.support.sentences import pattern, says
from tests.support.servers import Databases
from tests.support.trails import add, records


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_a_scheduled_run_is_recorded_before_and_after_and_its_workbook_has_the_anchor(
    command: Command, databases: Databases
) -> None:
    command.reported()
    trail = Path(databases.values["audit"]["path"])
    change, began, ended = records(trail)
    assert [r.get("outcome") for r in (change, began, ended)] == [None, "started", "done"]
    assert began["merchant"] == next(iter(databases.values["merchants"]))
    assert date.fromisoformat(began["start"]) <= date.fromisoformat(began["end"])
    assert began["clear"] is False
    assert ended["rows"] == dict.fromkeys(began and ended["rows"], 0)
    properties = verification.properties(command.target)
    assert properties[description.AUDITORIA] == f"{began['seq']}:{began['seal']}"
    result = command.say("audit", "verify", str(trail), "--workbook", str(command.target))
    assert (result.code, result.out.splitlines()[-1]) == (main.DONE, audit.INTACT)


def test_verify_finds_the_truncation_that_a_workbook_gives_away(
    command: Command, databases: Databases
) -> None:
    command.reported()
    trail = Path(databases.values["audit"]["path"])
    trail.write_bytes(trail.read_bytes().splitlines(keepends=True)[0])
    alone = command.say("audit", "verify", str(trail))
    assert alone.code == main.DONE, "the file alone does not show it"
    result = command.say("audit", "verify", str(trail), "--workbook", str(command.target))
    assert result.code == main.FAILED
    problem = audit_trail.WRONG_ANCHOR.format(origin=command.target, sequence=2)
    assert result.sentence == audit.DAMAGED.format(file=trail, problem=problem)


def test_verify_finds_a_workbook_that_was_edited_and_kept_its_anchor(
    command: Command, databases: Databases
) -> None:
    command.reported()
    trail = databases.values["audit"]["path"]
    workbook = openpyxl.load_workbook(command.target)
    workbook.worksheets[0]["A2"] = "outro valor"
    workbook.save(command.target)
    assert verification.properties(command.target)[description.AUDITORIA]
    result = command.say("audit", "verify", trail, "--workbook", str(command.target))
    assert result.code == main.FAILED
    problem = audit.EDITED.format(file=command.target)
    assert result.sentence == audit.DAMAGED.format(file=trail, problem=problem)


def test_a_finished_report_that_cannot_take_its_place_is_recorded_as_failed(
    command: Command, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.replace

    def busy(old: Path, new: Path) -> None:
        if Path(new) == command.target:
            raise OSError(errno.EBUSY, "Device or resource busy")
        real(old, new)

    monkeypatch.setattr(os, "replace", busy)
    sentence = command.refused()
    trail = Path(databases.values["audit"]["path"])
    assert [r.get("outcome") for r in records(trail)] == [None, "started", "done", "failed"]
    assert records(trail)[-1]["message"] == sentence


def test_a_failed_run_is_recorded_with_its_sentence(command: Command, databases: Databases) -> None:
    databases.execute("transactions", "DROP TABLE transactions CASCADE")
    sentence = command.refused()
    trail = Path(databases.values["audit"]["path"])
    assert [r.get("outcome") for r in records(trail)] == [None, "started", "failed"]
    assert records(trail)[-1]["message"] == sentence


_CUT_OFF = """
import sys
from pathlib import Path
from lib.config import defaults, loader
from lib.security import audit_events
settings = loader.load(Path(sys.argv[1]))
asked = defaults.request(settings, defaults.local_today(settings))
rui = audit_events.Actor("rui", "10.1.2.3")
with audit_events.operation(settings, "export", rui, asked, clear=False):
    print("begun", flush=True)
    sys.stdin.readline()
"""


def test_an_operation_killed_with_its_process_is_counted_apart_and_is_no_damage(
    command: Command, databases: Databases, tmp_path: Path
) -> None:
    command.reported()
    with subprocess.Popen(
        [sys.executable, "-c", _CUT_OFF, str(tmp_path / "aggregator.toml")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.kill()
    command.reported()
    trail = Path(databases.values["audit"]["path"])
    began = [r for r in records(trail) if r.get("outcome") == "started"]
    result = command.say("audit", "verify", str(trail))
    assert result.code == main.DONE
    assert [line for line in result.out.splitlines() if says(line, audit.UNENDED)] == [
        audit.UNENDED.format(count=1, last=began[1]["seq"])
    ]


def test_a_dry_run_is_recorded_as_one_with_what_it_read(
    command: Command, databases: Databases
) -> None:
    assert command.run("--dry-run").code == main.DONE
    _, began, ended = records(Path(databases.values["audit"]["path"]))
    assert (began["outcome"], ended["outcome"]) == ("started", "done")
    assert began["dry_run"] is ended["dry_run"] is True
    assert ended["rows"]["transactions"] == 0
    assert "file" not in ended


def test_where_the_audit_cannot_be_written_no_report_is(
    command: Command, databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "audit.jsonl"
    sentence = command.refused(audit={"path": str(nowhere)})
    assert sentence == audit_trail.NOT_WRITABLE.format(path=nowhere)


def test_where_the_audit_fails_at_the_end_the_previous_report_stays(
    command: Command, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = audit_trail.append

    def append(path: Path, key: Path, make: Any) -> audit_trail.Anchor:
        if path.exists():
            raise AuditError("não deu")
        return real(path, key, make)

    monkeypatch.setattr(audit_trail, "append", append)
    assert command.refused() == "não deu"
    assert command.target.read_bytes() == PREVIOUS


@pytest.mark.parametrize("words", [["--anchor", "x"], ["/gone"], ["--workbook", "/gone"]])
def test_a_file_that_verify_cannot_read_is_one_sentence(
    words: list[str], trail: Path, command: Command
) -> None:
    add(trail, "a")
    result = command.say("audit", "verify", *([str(trail)] if words[0] != "/gone" else []), *words)
    assert result.code == main.FAILED
    assert result.err.count("\n") == 1


@pytest.mark.timeout(60)
def test_a_pipe_is_neither_a_trail_nor_a_workbook(trail: Path, command: Command) -> None:
    add(trail, "a")
    pipe = command.folder / "pipe"
    os.mkfifo(pipe, 0o600)
    for words in (["verify", str(pipe)], ["audit", "verify", str(trail), "--workbook", str(pipe)]):
        assert says(command.say(*words).sentence, verification.UNREADABLE)
    assert says(command.say("audit", "verify", str(pipe)).sentence, audit_trail.NO_TRAIL)
    with pytest.raises(AuditError, match=pattern(audit_trail.NOT_WRITABLE)):
        add(pipe, "b")


def test_verify_needs_no_configuration(trail: Path) -> None:
    add(trail, "a")
    process = start("audit", "verify", str(trail), cwd="/")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "Registros: 1" in out
