"""Files that another account may read, change or replace are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.config import file_permissions
from lib.config.file_permissions import require_private, require_unchangeable
from lib.domain.errors import ConfigError

STRANGER = 54321
CHECKS = (require_private, require_unchangeable)
Check = Callable[[Path, str], None]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs owners and modes")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "secret"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    return path


def refusal(check: Check, file: Path) -> str | None:
    """The template of the refusal, None where the file is accepted."""
    try:
        check(file, "a senha")
    except ConfigError as problem:
        return problem.template
    return None


@pytest.mark.parametrize("check", CHECKS)
def test_a_file_of_this_account_in_its_own_folder_is_accepted(check: Check, file: Path) -> None:
    assert refusal(check, file) is None


@as_root
@pytest.mark.parametrize("check", CHECKS)
def test_a_file_of_another_account_is_refused(check: Check, file: Path) -> None:
    os.chown(file, STRANGER, -1)
    assert refusal(check, file) == file_permissions.FOREIGN


@as_root
@pytest.mark.parametrize("check", CHECKS)
def test_a_file_in_a_folder_of_another_account_is_refused(check: Check, file: Path) -> None:
    os.chown(file.parent, STRANGER, -1)
    assert refusal(check, file) == file_permissions.REPLACEABLE


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("mode", "accepted"), [(0o777, False), (0o722, False), (0o1777, True)])
def test_a_folder_that_others_can_write_is_refused_unless_sticky(
    check: Check, file: Path, mode: int, accepted: bool
) -> None:
    file.parent.chmod(mode)
    assert (refusal(check, file) is None) == accepted


@pytest.mark.parametrize("check", CHECKS)
def test_a_folder_further_up_counts_too(check: Check, file: Path) -> None:
    file.parent.parent.chmod(0o777)
    assert refusal(check, file) == file_permissions.REPLACEABLE


@pytest.mark.parametrize("check", CHECKS)
def test_a_link_counts_with_the_folder_it_stands_in_and_the_one_it_leads_to(
    check: Check, file: Path, tmp_path: Path
) -> None:
    link = tmp_path / "links" / "secret"
    link.parent.mkdir(mode=0o700)
    link.symlink_to(file)
    assert refusal(check, link) is None
    link.parent.chmod(0o777)
    assert refusal(check, link) == file_permissions.REPLACEABLE
    link.parent.chmod(0o700)
    file.parent.chmod(0o777)
    assert refusal(check, link) == file_permissions.REPLACEABLE


@as_root
def test_a_group_of_several_accounts_is_others_and_the_owners_own_is_not(file: Path) -> None:
    file.parent.chmod(0o770)
    assert refusal(require_private, file) is None, "root's own group"
    os.chown(file.parent, -1, STRANGER)
    assert refusal(require_private, file) == file_permissions.REPLACEABLE


@pytest.fixture
def secrets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for /run/secrets."""
    folder = tmp_path / "run" / "secrets"
    folder.mkdir(parents=True)
    monkeypatch.setattr(file_permissions, "_SECRETS", folder)
    return folder


@as_root
@pytest.mark.parametrize("mode", [0o444, 0o644, 0o440])
def test_a_secret_that_root_mounted_into_a_container_may_be_readable(
    secrets_folder: Path, mode: int
) -> None:
    secret = secrets_folder / "password"
    secret.touch()
    secret.chmod(mode)
    assert refusal(require_private, secret) is None
    secret.chmod(0o666)
    assert refusal(require_private, secret) == file_permissions.EXPOSED
    secret.chmod(mode)
    os.chown(secret, STRANGER, -1)
    assert refusal(require_private, secret) is not None


@as_root
def test_the_same_file_elsewhere_is_refused(file: Path) -> None:
    file.chmod(0o444)
    assert refusal(require_private, file) == file_permissions.EXPOSED
