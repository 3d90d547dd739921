"""Copies of a report: on this machine and by real servers of SFTP, S3 and SMB, and their faults."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run
from lib.config import copy_target, loader
from lib.config.copy_target import CopyTarget
from lib.config.settings import ROOT
from lib.database import retry
from lib.delivery import copies, copy_folders, history
from lib.domain.errors import ConfigError
from tests.support import copy_servers, faults
from tests.support.command import Command, Completed, configured, finish, soon, start
from tests.support.copy_servers import BUCKET, S3, Sftp, Smb
from tests.support.faults import MERCHANT, PERIOD, Line, fill
from tests.support.sentences import pattern, says
from tests.support.servers import Databases

SECRET = "s3nh@-da-copia"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    fill(databases, 5)
    return Command(databases, tmp_path, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    there = tmp_path / "montada"
    there.mkdir()
    return there


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    with copy_servers.sftp(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with copy_servers.s3() as server:
        yield server


@pytest.fixture(scope="module")
def smb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smb]:
    with copy_servers.smb(tmp_path_factory.mktemp("smb")) as server:
        yield server


def copied(command: Command, table: dict[str, Any], *words: str, **keys: Any) -> Completed:
    where = {"path": str(command.folder / "history.sqlite")}
    return command.run(*PERIOD, *words, copies=table, history=where, **keys)


def last(command: Command) -> history.Run:
    return history.History(command.folder / "history.sqlite").runs(1)[0]


def failed(command: Command, result: Completed, template: str) -> None:
    """The report is in place, the run is done but not good, and one sentence says why."""
    assert result.code == main.FAILED, result.err
    assert says(result.sentence, template), result.err
    assert "Traceback" not in result.err
    assert says(result.out, run.WRITTEN)
    run_ = last(command)
    assert (run_.outcome, run_.is_good) == (history.DONE, False)
    assert says(run_.note or "", template)
    assert hashlib.sha256(command.target.read_bytes()).hexdigest() == run_.sha256
    [sent] = run_.dispatches
    assert (sent.kind, says(sent.problem or "", template)) == (history.COPY, True)


def right(command: Command, result: Completed) -> bytes:
    assert result.code == main.DONE, result.err
    assert [sent.problem for sent in last(command).dispatches] == [None]
    assert last(command).is_good
    return command.target.read_bytes()


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


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("/mnt/relatorios", "/mnt/relatorios"),
        ("relatorios", str(ROOT / "relatorios")),
        ("sftp://ana:x@sftp.example.com/entrada/", "sftp://sftp.example.com/entrada"),
        ("sftp://sftp.example.com:2222/~/entrada", "sftp://sftp.example.com:2222/~/entrada"),
        ("sftp://[2001:db8::1]/a%20b", "sftp://[2001:db8::1]/a b"),
        ("s3://Balde/pasta", "s3://Balde/pasta"),
        ("s3://balde", "s3://balde"),
        ("smb://D;ana:x@arquivos/share/pasta", "smb://arquivos/share/pasta"),
    ],
)
def test_a_target_is_shown_by_scheme_host_and_folder(text: str, label: str) -> None:
    target = copy_target.parse(text, ROOT)
    assert target.label == label
    assert "x" not in repr(target).replace("example", "").replace("/entrada", "")


@pytest.mark.parametrize(
    "text",
    [
        *("", "ftp://h/x", "file:///mnt", "sftp:///x", "smb://h", "smb://h/", "s3://", "a\nb"),
        *("sftp://h/x?y=1", "sftp://h/x#y", "sftp://h:port/x", "sftp://h/a%0Ab"),
    ],
)
def test_other_addresses_are_refused(databases: Databases, text: str) -> None:
    values = {**databases.values, "copies": {"to": [text]}}
    with pytest.raises(ConfigError, match=pattern(loader.WRONG_VALUE)):
        loader.from_values(values, "teste", {})


@pytest.mark.parametrize(
    ("access", "template"),
    [
        ({"endpoint_url": "http://s3.example.com"}, loader.WRONG_VALUE),
        ({"endpoint_url": "https://u:p@s3.example.com"}, loader.WRONG_VALUE),
        ({"password": "a", "password_file": "/run/b"}, loader.BOTH_KEYS),
        ({"pasword": "a"}, loader.UNKNOWN_KEY),
    ],
)
def test_wrong_credentials_are_refused(
    databases: Databases, access: dict[str, str], template: str
) -> None:
    values = {**databases.values, "copies": {"to": [], "access": {"host": access}}}
    with pytest.raises(ConfigError, match=pattern(template)):
        loader.from_values(values, "teste", {})


@pytest.mark.parametrize(
    "table",
    [
        {"to": ["sftp://u:senha@host/x"]},
        {"to": [], "access": {"host": {"user": "u", "password": "senha"}}},
    ],
)
def test_a_file_with_a_password_of_a_copy_that_others_can_read_is_refused(
    databases: Databases, within_reach: Path, table: dict[str, Any]
) -> None:
    file = configured(within_reach, {**databases.values, "copies": table})
    assert loader.load(file, {}).copies.to is not None
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=pattern(loader.EXPOSED)):
        loader.load(file, {})


# Real servers, each with a folder of its own.


@pytest.mark.fault
def test_sftp_takes_a_copy_replaces_it_and_keeps_older_ones(command: Command, sftp: Sftp) -> None:
    content = right(command, copied(command, sftp.copies()))
    assert (sftp.folder / command.target.name).read_bytes() == content
    for minute in range(3):
        os.utime(sftp.folder / command.target.name, (1_790_000_000 + minute * 60,) * 2)
        content = right(command, copied(command, sftp.copies(), keep=1))
    names = sorted(os.listdir(sftp.folder))
    assert len(names) == 2
    assert (sftp.folder / command.target.name).read_bytes() == content


@pytest.mark.fault
def test_sftp_takes_a_clear_report_as_its_owners_alone(command: Command, sftp: Sftp) -> None:
    audit = {"path": str(command.folder / "audit.jsonl")}
    right(command, copied(command, sftp.copies(), privacy={"report": "clear"}, audit=audit))
    assert stat.S_IMODE((sftp.folder / command.target.name).stat().st_mode) == 0o600


@pytest.mark.fault
def test_sftp_without_renames_over_a_file_still_replaces_it(
    command: Command, sftp: Sftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncssh = importlib.import_module("asyncssh")

    async def unsupported(self: Any, old: Any, new: Any) -> None:
        raise asyncssh.SFTPOpUnsupported("posix-rename")

    monkeypatch.setattr(asyncssh.SFTPClient, "posix_rename", unsupported)
    for _ in range(2):
        content = right(command, copied(command, sftp.copies()))
    assert (sftp.folder / command.target.name).read_bytes() == content
    assert not [name for name in os.listdir(sftp.folder) if name.endswith(".copia")]


def other_key(server: Sftp) -> dict[str, Any]:
    known = server.own / "other_known_hosts"
    key = (server.own / "key.pub").read_text()
    known.write_text(f"[127.0.0.1]:{server.port} {key}")
    return {"to": [server.url], "access": server.access(known_hosts=str(known))}


def unknown_host(server: Sftp) -> dict[str, Any]:
    (server.own / "empty").write_text("")
    return {"to": [server.url], "access": server.access(known_hosts=str(server.own / "empty"))}


def no_known_hosts(server: Sftp) -> dict[str, Any]:
    return {"to": [server.url], "access": server.access(known_hosts=str(server.own / "gone"))}


def wrong_password(server: Sftp) -> dict[str, Any]:
    known = str(server.own / "known_hosts")
    access = {"password": SECRET, "known_hosts": known}
    return {"to": [server.url], "access": {"127.0.0.1": access}}


def wrong_key(server: Sftp) -> dict[str, Any]:
    return {"to": [server.url], "access": server.access(key_file=str(server.own / "host_key"))}


def no_folder(server: Sftp) -> dict[str, Any]:
    return {"to": [f"{server.url}/nada"], "access": server.access()}


@pytest.mark.fault
@pytest.mark.parametrize(
    ("table", "template"),
    [
        (other_key, copies.HOST_KEY),
        (unknown_host, copies.HOST_KEY),
        (no_known_hosts, copy_folders.NO_KNOWN_HOSTS),
        (wrong_password, copies.LOGIN),
        (wrong_key, copies.LOGIN),
        (no_folder, copy_folders.NO_FOLDER),
    ],
)
def test_what_an_sftp_server_refuses_is_one_sentence(
    command: Command, sftp: Sftp, table: Callable[[Sftp], dict[str, Any]], template: str
) -> None:
    before = sorted(os.listdir(sftp.folder))
    failed(command, copied(command, table(sftp)), template)
    assert sorted(os.listdir(sftp.folder)) == before


@pytest.mark.fault
def test_a_broken_connection_is_tried_again(command: Command, sftp: Sftp) -> None:
    with Line({"port": sftp.port}, limits=[3_000, 5_000]) as line:
        result = copied(command, sftp.copies(line.source["port"]))
        content = right(command, result)
        assert line.connections == retry.ATTEMPTS
    assert (sftp.folder / command.target.name).read_bytes() == content
    assert not [name for name in os.listdir(sftp.folder) if name.endswith(".copia")]


@pytest.mark.fault
@pytest.mark.parametrize("limit", [0, 1_000, 3_000, 4_000])
def test_a_connection_that_always_breaks_is_one_sentence(
    command: Command, sftp: Sftp, limit: int
) -> None:
    with Line({"port": sftp.port}, limits=[limit] * 3) as line:
        result = copied(command, sftp.copies(line.source["port"]))
    failed(command, result, copies.NOT_REACHED)


@pytest.mark.fault
@pytest.mark.parametrize("limit", [0, 3_000])
def test_a_server_that_falls_silent_is_left_behind(
    command: Command, sftp: Sftp, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(copies, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(copies, "_END_SECONDS", 0.5)
    with Line({"port": sftp.port}, limits=[limit] * 3, silent=True) as line:
        result = copied(command, sftp.copies(line.source["port"]))
    failed(command, result, copies.SILENT)


@pytest.mark.fault
@pytest.mark.parametrize("scheme", ["sftp", "smb", "s3"])
def test_a_server_that_never_answers_holds_no_process(command: Command, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        known = command.folder / "known_hosts"
        known.write_text("")
        keys = {"user": "u", "password": SECRET}
        if scheme == "s3":
            keys["endpoint_url"] = f"http://127.0.0.1:{port}"
            table = {"to": ["s3://balde/x"], "access": {"balde": keys}}
        else:
            keys["known_hosts"] = str(known)
            url = f"{scheme}://127.0.0.1:{port}/share/x"
            table = {"to": [url], "access": {"127.0.0.1": keys}}
        file = configured(command.folder, command.databases.values, copies=table)
        process = start("--config", str(file), "--output", str(command.target), *PERIOD)
        result = finish(process, 240)
    assert result.code == main.FAILED, result.err
    assert says(result.sentence, copies.NOT_REACHED) or says(result.sentence, copies.SILENT)


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_interrupted_while_it_copies_says_that_the_report_is_in_place(
    command: Command, folder: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        known = command.folder / "known_hosts"
        known.write_text("")
        url = f"sftp://127.0.0.1:{silent.getsockname()[1]}/x"
        table = {"to": [url, str(folder)], "access": {"127.0.0.1": {"known_hosts": str(known)}}}
        paths = {
            name: {"path": str(command.folder / file)}
            for name, file in (("history", "history.sqlite"), ("audit", "audit.jsonl"))
        }
        file = configured(command.folder, command.databases.values, copies=table, **paths)
        process = start("--config", str(file), "--output", str(command.target), *PERIOD)
        client, _ = silent.accept()
        assert soon(lambda: (folder / command.target.name).exists(), 30)
        process.send_signal(number)
        result = finish(process, 30)
        client.close()
    assert result.code == main.INTERRUPTED
    assert (says(result.out, run.WRITTEN), result.sentence) == (True, main.INTERRUPTED_SENTENCE)
    assert says(result.err, copies.INTERRUPTED), result.err
    run_ = last(command)
    content = command.target.read_bytes()
    assert (run_.outcome, run_.is_good) == (history.DONE, False)
    assert hashlib.sha256(content).hexdigest() == run_.sha256
    assert [bool(sent.problem) for sent in run_.dispatches] == [True, False]
    assert (folder / command.target.name).read_bytes() == content
    records = map(json.loads, (command.folder / "audit.jsonl").read_text().splitlines())
    assert [r["outcome"] for r in records if r["kind"] == "run"] == ["started", "done"]
    assert list(command.folder.glob(".*.lock")) == []


@pytest.mark.fault
@pytest.mark.system
@pytest.mark.parametrize("kind", ["folder", "sftp", "smb"])
def test_a_full_disk_keeps_the_copy_that_is_there_and_leaves_no_half_file(
    command: Command, folder: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    fill(command.databases, 20_000)
    if kind == "folder":
        there, table, template = folder, {"to": [str(folder)]}, copies.NO_SPACE
    else:
        server = request.getfixturevalue(kind)
        there, table = server.folder, server.copies()
        # OpenSSH says no more than that it failed.
        template = copies.OTHER if kind == "sftp" else copies.NO_SPACE
    with faults.small_disk(there, 64) as disk:
        (disk / command.target.name).write_bytes(b"yesterday's")
        failed(command, copied(command, table), template)
        assert os.listdir(disk) == [command.target.name]
        assert (disk / command.target.name).read_bytes() == b"yesterday's"


@pytest.mark.fault
def test_s3_takes_a_copy_replaces_it_and_keeps_older_ones(command: Command, s3: S3) -> None:
    for _ in range(4):
        content = right(command, copied(command, s3.copies(), keep=1))
    path = f"{BUCKET}/pasta/{command.target.name}"
    assert s3.files.cat_file(path) == content
    assert 1 <= len(s3.files.ls(f"{BUCKET}/pasta", refresh=True)) <= 2


@pytest.mark.fault
def test_a_bucket_that_does_not_exist_is_one_sentence(command: Command, s3: S3) -> None:
    table = s3.copies()
    table = {"to": ["s3://outro/pasta"], "access": {"outro": table["access"][BUCKET]}}
    failed(command, copied(command, table), copy_folders.NO_FOLDER)


@pytest.mark.fault
@pytest.mark.system
def test_smb_takes_a_copy_replaces_it_and_keeps_older_ones(command: Command, smb: Smb) -> None:
    content = right(command, copied(command, smb.copies()))
    assert (smb.folder / command.target.name).read_bytes() == content
    for minute in range(3):
        os.utime(smb.folder / command.target.name, (1_790_000_000 + minute * 60,) * 2)
        content = right(command, copied(command, smb.copies(), keep=1))
    assert len(os.listdir(smb.folder)) == 2
    assert (smb.folder / command.target.name).read_bytes() == content


@pytest.mark.fault
@pytest.mark.system
def test_servers_of_all_protocols_are_served_at_once(
    command: Command, folder: Path, sftp: Sftp, s3: S3, smb: Smb
) -> None:
    # Both servers on 127.0.0.1 share an entry of credentials; those of SMB stand in its address.
    host = smb.copies()["access"]["127.0.0.1"]
    address = smb.copies()["to"][0].replace("//", f"//{host['user']}:{host['password']}@")
    tables = [sftp.copies(), s3.copies()]
    to = [address, *(url for table in tables for url in table["to"]), str(folder)]
    access = {name: keys for table in tables for name, keys in table["access"].items()}
    result = copied(command, {"to": to, "access": access})
    assert result.code == main.DONE, result.err
    content = command.target.read_bytes()
    assert [sent.problem for sent in last(command).dispatches] == [None] * 4
    for there in (smb.folder, sftp.folder, folder):
        assert (there / command.target.name).read_bytes() == content
    assert s3.files.cat_file(f"{BUCKET}/pasta/{command.target.name}") == content


@pytest.mark.fault
@pytest.mark.system
def test_what_an_smb_server_refuses_is_one_sentence(command: Command, smb: Smb) -> None:
    failed(command, copied(command, smb.copies(password=SECRET)), copies.LOGIN)
    table = smb.copies()
    failed(
        command, copied(command, {**table, "to": [f"{table['to'][0]}/x"]}), copy_folders.NO_FOLDER
    )


@pytest.mark.fault
def test_the_protocols_are_loaded_where_they_are_configured_only() -> None:
    code = (
        "import sys; from lib.delivery import copies, delivery;"
        "print([m for m in ('fsspec', 'asyncssh', 's3fs', 'smbclient') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_target_with_a_password_hides_it() -> None:
    assert SECRET not in repr(CopyTarget("/x", "sftp", "h", None, "u", SECRET))
