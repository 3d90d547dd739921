"""Read configuration files and check their permissions.

Refuses a file with secrets that other accounts can read, and a configuration that they can change
or replace: an account is trusted with a file if it is root or runs this process. A secret that is
mounted into a container is decided by its mount: see `is_exposed`.
Messages name a file by its ``label``. Does not interpret the contents.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lib.domain import file_system
from lib.domain.errors import ConfigError

UNREADABLE: Final = "Não foi possível ler {what} em {file}: {reason}."
NO_FILE: Final = "o arquivo não existe"
NOT_READABLE_TEXT: Final = "falta permissão, ou não é um arquivo de texto em UTF-8"
EXPOSED: Final = (
    "Outras contas podem ler {what} em {file}: rode chmod 600 nesse arquivo e tente de novo."
)
CHANGEABLE: Final = (
    "Outras contas podem alterar {what} em {file}: rode chmod go-w nesse arquivo e tente de novo."
)
FOREIGN: Final = (
    "{what} em {file} é de outra conta (uid {owner}): use um arquivo da conta que roda o programa, "
    "ou do root."
)
REPLACEABLE: Final = (
    "Outras contas podem trocar {what} em {file}: a pasta {folder} é de outra conta, ou outras "
    "podem gravar nela; rode chmod go-w nessa pasta, ou mude o dono."
)
_ROOT: Final = 0
_WRITABLE_BY_GROUP: Final = 0o020
_WRITABLE_BY_ALL: Final = 0o002
_WRITABLE_BY_OTHERS: Final = _WRITABLE_BY_GROUP | _WRITABLE_BY_ALL
_ENTERED_BY_OTHERS: Final = 0o011
_OWNER_MODE: Final = 0o600
_ROOT_MODE: Final = 0o640
_SECRETS: Final = Path("/run/secrets")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_SYSTEM_FOLDERS: Final = frozenset({"/", "/dev/shm", "/run", "/run/lock", "/tmp", "/var/tmp"})  # noqa: S108


def read_secret(file: Path, label: str) -> str:
    """The text of a file that only its owner may read. Raises ConfigError."""
    require_private(file, label)
    return read_text(file, label)


def require_private(file: Path, label: str) -> None:
    """Raise ConfigError if other accounts may read the file, or put another in its place."""
    if is_exposed(file):
        raise ConfigError(EXPOSED, what=label, file=file)
    _require_trusted(file, label)


def is_exposed(file: Path) -> bool:
    """Check if an account other than the owner's may read the file.

    As in libpq, a file that root owns may be readable by its group. Always False on Windows,
    which has no permission bits, and for a secret that is mounted into a container, where the mode
    is 0444 or 0644 by default: one of root's, or anyone's that is mounted read-only in
    `/run/secrets`, where Compose leaves it to the account of the file on the host.
    """
    try:
        status = file.stat()
    except OSError:
        return False  # reading the file reports the error
    allowed = _ROOT_MODE if status.st_uid == 0 else _OWNER_MODE
    exposed = stat.S_ISREG(status.st_mode) and status.st_mode & 0o77 & ~allowed
    if os.name != "posix" or not exposed:
        return False
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return True
    return not (status.st_uid == _ROOT and _is_secret_of_root(file)) and not _secret_mount(file)


def is_within_reach(file: Path) -> bool:
    """Check if other accounts may enter every folder on the path to the file."""
    with suppress(OSError):
        return all(folder.stat().st_mode & _ENTERED_BY_OTHERS for folder in file.resolve().parents)
    return True


def require_unchangeable(file: Path, label: str) -> None:
    """Raise ConfigError if another account may write the file, or put another in its place.

    A file in a folder that other accounts cannot enter may have any mode.
    """
    try:
        status = file.stat()
    except OSError:
        return  # reading the file reports the error
    changeable = stat.S_ISREG(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS
    if os.name == "posix" and changeable and is_within_reach(file):
        raise ConfigError(CHANGEABLE, what=label, file=file)
    _require_trusted(file, label)


def _require_trusted(file: Path, label: str) -> None:
    """Raise ConfigError if the file, or a folder on its path, can be changed by another account.

    A link is followed, and both paths count. In a sticky folder, such as /tmp, nobody replaces
    another account's file, and in a secret's read-only mount nobody changes anything.
    """
    if os.name != "posix":
        return
    trusted = {_ROOT, os.geteuid()}
    try:
        owner = file.stat().st_uid
        folders = {*file.absolute().parents, *file.resolve().parents}
        statuses = {folder: folder.stat() for folder in sorted(folders)}
    except OSError:
        return  # reading the file reports the error
    mount = _secret_mount(file)
    if mount is None and owner not in trusted:
        raise ConfigError(FOREIGN, what=label, file=file, owner=owner)
    for folder, status in statuses.items():
        if mount and folder.is_relative_to(mount.path):
            continue
        if status.st_uid not in trusted or _is_writable_by_others(status):
            raise ConfigError(REPLACEABLE, what=label, file=file, folder=folder)


def _is_writable_by_others(folder: os.stat_result) -> bool:
    if folder.st_mode & stat.S_ISVTX:
        return False
    if folder.st_mode & _WRITABLE_BY_ALL:
        return True
    return bool(folder.st_mode & _WRITABLE_BY_GROUP) and not _is_private_group(folder)


def _is_private_group(folder: os.stat_result) -> bool:
    """Check if the folder's group is its owner's own, with nobody else in it."""
    import grp
    import pwd

    with suppress(KeyError):
        owner, group = pwd.getpwuid(folder.st_uid), grp.getgrgid(folder.st_gid)
        alone = not set(group.gr_mem) - {owner.pw_name}
        return alone and owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name
    return False


@dataclass(frozen=True)
class _Mount:
    path: Path
    kind: str
    read_only: bool


def _mount_of(path: Path) -> _Mount | None:
    """The mount that a resolved path is in; None where the system has no table of mounts."""
    mounts = {}
    with suppress(OSError):
        for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
            fields, _, kind = line.partition(" - ")
            folder, options = fields.split(" ")[4:6]
            folder = folder.replace(r"\040", " ")
            mounts[folder] = _Mount(Path(folder), kind.split(" ")[0], "ro" in options.split(","))
    return next((mounts[str(f)] for f in (path, *path.parents) if str(f) in mounts), None)


def _secret_mount(file: Path) -> _Mount | None:
    """The read-only mount in /run/secrets that the file is in, if it is."""
    mount = _mount_of(file.resolve())
    inside = mount is not None and mount.read_only and mount.path.is_relative_to(_SECRETS)
    return mount if inside else None


def _is_secret_of_root(file: Path) -> bool:
    """Check if a file of root's was mounted as a secret: by Docker, Podman, systemd or Kubernetes.

    It stands in /run/secrets, is a mount of its own, or in a mount in memory that is no folder of
    the system itself.
    """
    path = file.resolve()
    if path.is_relative_to(_SECRETS):
        return True
    mount = _mount_of(path)
    if mount is None:
        return False
    in_memory = mount.kind in _IN_MEMORY and str(mount.path) not in _SYSTEM_FOLDERS
    return mount.path == path or in_memory


def read_text(file: Path, label: str) -> str:
    """The file's text in UTF-8. Raises ConfigError."""
    try:
        return file_system.read_text(file)
    except FileNotFoundError:
        reason = NO_FILE
    except (OSError, ValueError):
        reason = NOT_READABLE_TEXT
    raise ConfigError(UNREADABLE, what=label, file=file, reason=reason)
