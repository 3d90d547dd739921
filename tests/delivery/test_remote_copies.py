"""Copies of a report by SFTP, S3 and SMB, to real servers."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run
from lib.config.settings import ROOT
from lib.database import retry
from lib.delivery import copies, copy_folders, history
from tests.support import copy_servers, faults
from tests.support.command import Command, configured, finish, soon, start
from tests.support.copies import SECRET, copied, failed, last, right
from tests.support.copy_servers import BUCKET, S3, Sftp, Smb
from tests.support.faults import PERIOD, Line, fill
from tests.support.sentences import says

pytestmark = pytest.mark.usefixtures("five_purchases", "short_waits")


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


def check_replaced_and_kept(command: Command, server: Sftp | Smb) -> None:
    there = server.folder / command.target.name
    content = right(command, copied(command, server.copies()))
    assert there.read_bytes() == content
    for minute in range(3):
        os.utime(there, (1_790_000_000 + minute * 60,) * 2)
        content = right(command, copied(command, server.copies(), keep=1))
    assert len(os.listdir(server.folder)) == 2
    assert there.read_bytes() == content


@pytest.mark.fault
def test_sftp_takes_a_copy_replaces_it_and_keeps_older_ones(command: Command, sftp: Sftp) -> None:
    check_replaced_and_kept(command, sftp)


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
    check_replaced_and_kept(command, smb)


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
