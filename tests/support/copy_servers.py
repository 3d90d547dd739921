"""Servers that take copies of reports, on this machine: OpenSSH's SFTP, S3 by moto, and Samba."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.support.command import soon
from tests.support.ports import free_port

BUCKET = "relatorios"
PASSWORD = "senha@certa"
S3_KEY = {"user": "chave", "password": "segredo"}


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Sftp:
    """An OpenSSH server with a key for this account, whose folder gets the copies."""

    folder: Path
    own: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{self.folder}"

    def access(self, **changes: Any) -> dict[str, Any]:
        keys = {"key_file": str(self.own / "key"), "known_hosts": str(self.own / "known_hosts")}
        return {"127.0.0.1": keys | changes}

    def copies(self, port: int | None = None) -> dict[str, Any]:
        """The table `[aggregator.copies]`; ``port`` of a line to this server."""
        if port is None:
            return {"to": [self.url], "access": self.access()}
        known_hosts = self.own / f"known_hosts_{port}"
        key = (self.own / "host_key.pub").read_text()
        known_hosts.write_text(f"[127.0.0.1]:{port} {key}")
        url = self.url.replace(f":{self.port}", f":{port}")
        return {"to": [url], "access": self.access(known_hosts=str(known_hosts))}


@contextmanager
def sftp(own: Path) -> Iterator[Sftp]:
    """Run a server with its files in this folder; copies go to its `copias`."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs OpenSSH's sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port, folder = free_port(), own / "copias"
    folder.mkdir(parents=True)
    for name in ("host_key", "key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(own / name)
        key.write_public_key(own / f"{name}.pub")
        (own / name).chmod(0o600)
    (own / "known_hosts").write_text(f"[127.0.0.1]:{port} {(own / 'host_key.pub').read_text()}")
    (own / "authorized_keys").write_text((own / "key.pub").read_text())
    (own / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {own}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {own}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    log = (own / "sshd.log").open("wb")
    process = subprocess.Popen([program, "-D", "-e", "-f", own / "sshd_config"], stderr=log)
    try:
        assert soon(lambda: answers(port)), (own / "sshd.log").read_text()
        yield Sftp(folder, own, port, process)
    finally:
        process.terminate()
        process.wait()
        log.close()


_MOTO = "from moto.server import main; import sys; main(['-p', sys.argv[1]])"


@dataclass
class S3:
    """A server of S3's protocol with one bucket."""

    port: int
    files: Any

    def copies(self, folder: str = "/pasta", **changes: Any) -> dict[str, Any]:
        access = {**S3_KEY, "endpoint_url": f"http://127.0.0.1:{self.port}", **changes}
        return {"to": [f"s3://{BUCKET}{folder}"], "access": {BUCKET: access}}


@contextmanager
def s3() -> Iterator[S3]:
    import s3fs

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert soon(lambda: answers(port))
        files = s3fs.S3FileSystem(
            key=S3_KEY["user"],
            secret=S3_KEY["password"],
            endpoint_url=f"http://127.0.0.1:{port}",
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        files.mkdir(BUCKET)
        yield S3(port, files)
    finally:
        process.terminate()
        process.wait()


@dataclass
class Smb:
    """A Samba server with one share."""

    folder: Path
    port: int

    def copies(self, **changes: Any) -> dict[str, Any]:
        access = {"user": getpass.getuser(), "password": PASSWORD, **changes}
        return {
            "to": [f"smb://127.0.0.1:{self.port}/relatorios/pasta"],
            "access": {"127.0.0.1": access},
        }


@contextmanager
def smb(own: Path) -> Iterator[Smb]:
    """Run a server with its files in this folder; copies go to its `share/pasta`."""
    program = shutil.which("smbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs Samba's smbd")
    port, share = free_port(), own / "share"
    (share / "pasta").mkdir(parents=True)
    state = own / "state"
    state.mkdir()
    folders = "".join(
        f"{name} = {state}\n"
        for name in (
            *("private dir", "lock directory", "state directory", "cache directory"),
            *("pid directory", "ncalrpc dir"),
        )
    )
    config = own / "smb.conf"
    config.write_text(
        f"[global]\n{folders}smb ports = {port}\ninterfaces = 127.0.0.1\n"
        f"bind interfaces only = yes\nlog file = {own}/smbd.log\nload printers = no\n"
        "disable spoolss = yes\nserver role = standalone server\n"
        f"[relatorios]\npath = {share}\nread only = no\n"
    )
    subprocess.run(
        ["smbpasswd", "-c", config, "-a", "-s", getpass.getuser()],
        input=f"{PASSWORD}\n{PASSWORD}\n".encode(),
        check=True,
        capture_output=True,
    )
    process = subprocess.Popen(
        [program, "-F", "--no-process-group", "-s", config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert soon(lambda: answers(port))
        yield Smb(share / "pasta", port)
    finally:
        process.terminate()
        process.wait()
