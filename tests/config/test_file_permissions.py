"""Files that another account may read, change or replace are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.config import file_permissions
from lib.config.file_permissions import require_private, require_unchangeable
from lib.config.settings import ROOT
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


@pytest.fixture
def secrets_mount(secrets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Mount a password in the stand-in for /run/secrets as `options` say; another account's."""

    def mount(options: str) -> Path:
        secret = secrets_folder / "password"
        secret.touch()
        secret.chmod(0o444)
        os.chown(secret, STRANGER, -1)
        table = secrets_folder.parent / "mountinfo"
        table.write_text(
            "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
            f"22 21 8:1 /home/ana/password {secret} {options} shared:1 - ext4 /dev/root rw\n"
        )
        monkeypatch.setattr(file_permissions, "_MOUNTS", table)
        return secret

    return mount


@as_root
@pytest.mark.parametrize("check", CHECKS)
def test_a_secret_that_compose_mounted_read_only_may_belong_to_any_account_of_the_host(
    check: Check, secrets_mount: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secrets_mount("ro,relatime")
    assert refusal(check, secret) is None
    monkeypatch.setattr(file_permissions, "_SECRETS", Path("/run/secrets"))
    assert refusal(check, secret) is not None, "mounted elsewhere"


@as_root
@pytest.mark.parametrize("check", CHECKS)
def test_one_that_is_mounted_writable_may_not(
    check: Check, secrets_mount: Callable[[str], Path]
) -> None:
    assert refusal(check, secrets_mount("rw,relatime,errors=remount-ro")) is not None


@as_root
def test_a_mounted_secret_that_others_may_write_is_refused(
    secrets_mount: Callable[[str], Path],
) -> None:
    secret = secrets_mount("ro,relatime")
    secret.chmod(0o666)
    assert refusal(require_private, secret) == file_permissions.EXPOSED


# Arguments: a file, and a folder to mount it in; both mounts end with the process's own namespace.
MOUNT = """
mount --bind "$1" "$2/password" && mount -o remount,bind,ro "$2/password" && exec "$3" -c '
import sys
from pathlib import Path
from lib.config import file_permissions
file_permissions._SECRETS = Path(sys.argv[1])
file_permissions.require_private(Path(sys.argv[1], "password"), "a senha")' "$2"
"""


@as_root
@pytest.mark.system
def test_a_real_mount_is_found_in_the_systems_table(tmp_path: Path) -> None:
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("needs mount namespaces")
    folder, secret = tmp_path / "run secrets", tmp_path / "password"
    folder.mkdir()
    (folder / "password").touch()
    secret.touch()
    secret.chmod(0o444)
    os.chown(secret, STRANGER, -1)
    arguments = [str(secret), str(folder), sys.executable]
    command = ["unshare", "-m", "sh", "-ec", MOUNT, "sh", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
