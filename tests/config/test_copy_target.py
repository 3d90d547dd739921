"""Addresses of copies, and the credentials beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lib.config import copy_target, loader
from lib.config.copy_target import CopyTarget
from lib.config.settings import ROOT
from lib.domain.errors import ConfigError
from tests.support.command import configured
from tests.support.copies import SECRET
from tests.support.sentences import pattern
from tests.support.servers import Databases


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


def test_a_target_with_a_password_hides_it() -> None:
    assert SECRET not in repr(CopyTarget("/x", "sftp", "h", None, "u", SECRET))
