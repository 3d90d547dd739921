"""Read configuration files and check their permissions.

Refuses a file with secrets that other accounts can read, and a configuration that they can change.
Messages name a file by its ``label``. Does not interpret the contents.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

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
_WRITABLE_BY_OTHERS: Final = 0o022
_ENTERED_BY_OTHERS: Final = 0o011
_OWNER_MODE: Final = 0o600
_ROOT_MODE: Final = 0o640


def read_secret(file: Path, label: str) -> str:
    """The text of a file that only its owner may read. Raises ConfigError."""
    require_private(file, label)
    return read_text(file, label)


def require_private(file: Path, label: str) -> None:
    """Raise ConfigError if other accounts may read the file."""
    if is_exposed(file):
        raise ConfigError(EXPOSED, what=label, file=file)


def is_exposed(file: Path) -> bool:
    """Check if an account other than the owner's may read the file.

    As in libpq, a file that root owns may be readable by its group. Always False on Windows,
    which has no permission bits.
    """
    try:
        status = file.stat()
    except OSError:
        return False  # reading the file reports the error
    allowed = _ROOT_MODE if status.st_uid == 0 else _OWNER_MODE
    exposed = stat.S_ISREG(status.st_mode) and status.st_mode & 0o77 & ~allowed
    return os.name == "posix" and bool(exposed)


def is_within_reach(file: Path) -> bool:
    """Check if other accounts may enter every folder on the path to the file."""
    with suppress(OSError):
        return all(folder.stat().st_mode & _ENTERED_BY_OTHERS for folder in file.resolve().parents)
    return True


def require_unchangeable(file: Path, label: str) -> None:
    """Raise ConfigError if the file's group or everybody may write it.

    A file in a folder that other accounts cannot enter is safe.
    """
    try:
        status = file.stat()
    except OSError:
        return  # reading the file reports the error
    changeable = stat.S_ISREG(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS
    if os.name == "posix" and changeable and is_within_reach(file):
        raise ConfigError(CHANGEABLE, what=label, file=file)


def read_text(file: Path, label: str) -> str:
    """The file's text in UTF-8. Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = NO_FILE
    except (OSError, ValueError):
        reason = NOT_READABLE_TEXT
    raise ConfigError(UNREADABLE, what=label, file=file, reason=reason)
