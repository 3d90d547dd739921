"""Copies of a report to folders of this machine, and what a failed copy leaves."""

from __future__ import annotations

import importlib
import json
import os
import re
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run
from lib.config import copy_target, file_permissions
from lib.config.settings import ROOT
from lib.database import retry
from lib.delivery import copies, copy_folders, history
from tests.support.command import Command, configured
from tests.support.copies import SECRET, copied, failed, last, right
from tests.support.faults import MERCHANT, PERIOD
from tests.support.sentences import says

pytestmark = pytest.mark.usefixtures("five_purchases", "short_waits")


def test_a_copy_has_the_bytes_and_the_name_of_the_report_and_nothing_else_stays(
    command: Command, folder: Path
) -> None:
    (folder / command.target.name).write_bytes(b"yesterday's")
    killed = folder / f".{command.target.name}.0123abcd.copia"
    killed.write_bytes(b"half")
    (folder / "outro.txt").write_text("of somebody else")
    result = copied(command, {"to": [str(folder)]})
    content = right(command, result)
    assert (folder / command.target.name).read_bytes() == content
    assert sorted(os.listdir(folder)) == ["outro.txt", command.target.name]
    assert run.COPIED.format(target=folder) in result.out.splitlines()
    [sent] = last(command).dispatches
    assert (sent.kind, sent.target) == (history.COPY, str(folder))


@pytest.mark.slow
def test_keep_holds_for_the_copies_too(command: Command, folder: Path) -> None:
    for minute in range(4):
        copied(command, {"to": [str(folder)]}, keep=2)
        os.utime(folder / command.target.name, (1_790_000_000 + minute * 60,) * 2)
    names = sorted(os.listdir(folder))
    assert len(names) == 3
    assert all(re.fullmatch(r"resultado_transacoes(_\d{8}-\d{6})?\.xlsx", name) for name in names)


def test_a_clear_report_is_its_owners_alone_in_a_mounted_folder(
    command: Command, folder: Path
) -> None:
    audit = {"path": str(command.folder / "audit.jsonl")}
    table = {"to": [str(folder)]}
    assert copied(command, table, privacy={"report": "clear"}, audit=audit).code == main.DONE
    assert stat.S_IMODE((folder / command.target.name).stat().st_mode) == 0o600
    records = map(json.loads, (command.folder / "audit.jsonl").read_text().splitlines())
    [copy] = [record for record in records if record["kind"] == "copy"]
    assert (copy["target"], copy["clear"]) == (str(folder), True)
    assert copy["sha256"] == last(command).sha256


def test_a_missing_folder_is_one_sentence_and_is_not_created(command: Command) -> None:
    gone = command.folder / "nao_montada"
    failed(command, copied(command, {"to": [str(gone)]}), copy_folders.NO_FOLDER)
    assert not gone.exists()


def test_the_folder_of_the_report_itself_takes_no_copy(command: Command) -> None:
    failed(command, copied(command, {"to": [str(command.folder)]}), copies.SAME_FOLDER)


def test_one_copy_that_fails_does_not_stop_the_next_and_several_are_counted(
    command: Command, folder: Path
) -> None:
    gone = str(command.folder / "nao_montada")
    result = copied(command, {"to": [gone, str(folder), gone]})
    assert result.code == main.FAILED
    assert result.sentence == copies.SEVERAL.format(failed=2, total=3)
    assert [bool(sent.problem) for sent in last(command).dispatches] == [True, False, True]
    assert (folder / command.target.name).read_bytes() == command.target.read_bytes()


def test_folders_are_served_at_once(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = command.folder / "outra"
    other.mkdir()
    both = threading.Barrier(2, timeout=30)
    require = copy_folders._Local.require

    def met(self: copy_folders._Local) -> None:
        both.wait()
        require(self)

    monkeypatch.setattr(copy_folders._Local, "require", met)
    result = copied(command, {"to": [str(folder), str(other)]})
    assert result.code == main.DONE, result.err
    assert [sent.target for sent in last(command).dispatches] == [str(folder), str(other)]


def test_folders_of_one_server_are_served_in_turn() -> None:
    addresses = ["smb://a/x", "sftp://a/x", "/mnt/x", "smb://a/y/z", "/mnt/y", "smb://a:1445/x"]
    targets = [copy_target.parse(address, ROOT) for address in addresses]
    assert copies._turns(targets) == [[0, 3], [1], [2], [4], [5]]


@pytest.mark.slow
def test_a_copy_that_reads_back_differently_is_tried_again_and_removed(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def digest(self: object, name: str, pulse: object) -> str:
        tried.append(name)
        return "other"

    monkeypatch.setattr(copy_folders._Local, "digest", digest)
    (folder / command.target.name).write_bytes(b"yesterday's")
    failed(command, copied(command, {"to": [str(folder)]}), copies.DIFFERENT)
    assert len(set(tried)) == retry.ATTEMPTS
    assert os.listdir(folder) == [command.target.name]
    assert (folder / command.target.name).read_bytes() == b"yesterday's"


@pytest.mark.slow
def test_a_folder_that_hangs_is_left_behind(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    monkeypatch.setattr(copies, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(copies, "_END_SECONDS", 0.1)
    monkeypatch.setattr(copy_folders._Local, "files", lambda self: (folder / "pipe").open() and {})
    failed(command, copied(command, {"to": [str(folder)]}), copies.SILENT)


@pytest.mark.slow
def test_all_merchants_get_their_copies_and_one_that_lacks_is_named(
    command: Command, folder: Path
) -> None:
    (folder / f"r_{MERCHANT}.xlsx").mkdir()
    path = str(command.folder / "r_{merchant}.xlsx")
    table = {"to": [str(folder)]}
    file = configured(command.folder, command.databases.values, output_path=path, copies=table)
    result = command.say("--config", str(file), "--all-merchants", *PERIOD)
    assert result.code == main.FAILED
    assert result.sentence == run.FAILED_MERCHANTS[True, 1].format(names="Loja Exemplo")
    assert says(result.err, copies.OTHER)
    assert len([entry for entry in folder.iterdir() if entry.is_file()]) == 1


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        ("sftp", "sshfs"),
        pytest.param("s3", "s3fs", marks=pytest.mark.slow),
        pytest.param("smb", "smbclient", marks=pytest.mark.slow),
    ],
)
def test_a_missing_package_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    load = importlib.import_module

    def imported(name: str, *arguments: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(copy_folders.importlib, "import_module", imported)
    result = copied(command, {"to": [f"{scheme}://servidor/pasta"]})
    failed(command, result, copy_folders.MISSING_PACKAGE)
    assert package.replace("smbclient", "smbprotocol") in result.sentence


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")
def test_known_hosts_that_others_can_change_end_a_copy_in_the_accounts_own_place_too(
    command: Command, within_reach: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = within_reach / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text("")
    known.chmod(0o666)
    monkeypatch.setenv("HOME", str(within_reach))
    result = copied(command, {"to": ["sftp://u@127.0.0.1:1/x"]})
    failed(command, result, file_permissions.CHANGEABLE)
    assert str(known) in result.sentence


@pytest.mark.parametrize("scheme", ["sftp", pytest.param("smb", marks=pytest.mark.slow)])
def test_credentials_of_an_address_are_never_shown_or_recorded(
    command: Command, scheme: str
) -> None:
    url = f"{scheme}://u:{SECRET.replace('@', '%40')}@127.0.0.1:1/pasta/x"
    log = command.folder / "log.txt"
    known = command.folder / "known_hosts"
    known.write_text("")
    audit = {"path": str(command.folder / "audit.jsonl")}
    table = {"to": [url], "access": {"127.0.0.1": {"known_hosts": str(known)}}}
    result = copied(command, table, "--log-file", str(log), audit=audit)
    assert result.code == main.FAILED
    with closing(sqlite3.connect(command.folder / "history.sqlite")) as connection:
        stored = "\n".join(connection.iterdump())
    for text in (result.out, result.err, log.read_text(), Path(audit["path"]).read_text(), stored):
        assert SECRET not in text
        assert SECRET.replace("@", "%40") not in text
    assert f"{scheme}://127.0.0.1:1/pasta/x" in stored
