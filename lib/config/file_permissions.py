"""Files that configure: read as text, or refused because of what another account may do.

That is to read a secret, or to change what is configured. Owns the sentences. Knows nothing of what
the texts mean.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from lib.domain.errors import ConfigError

_UNREADABLE: Final = "Não foi possível ler {what} em {file}: {reason}."
_EXPOSED: Final = (
    "Outras contas podem ler {what} em {file}: rode chmod 600 nesse arquivo e tente de novo."
)
_CHANGEABLE: Final = (
    "Outras contas podem alterar {what} em {file}: rode chmod go-w nesse arquivo e tente de novo."
)
_OTHERS_WRITE: Final = 0o022
_OTHERS_ENTER: Final = 0o011
_OWNERS: Final = 0o600
_ROOTS: Final = 0o640


def read_secret(file: Path, what: str) -> str:
    """The text of a file that only its owner may read; ConfigError where others may as well."""
    require_private(file, what)
    return read_text(file, what)


def require_private(file: Path, what: str) -> None:
    """Raise ConfigError, which calls the file ``what``, where other accounts may read it."""
    if is_exposed(file):
        raise ConfigError(_EXPOSED, what=what, file=file)


def is_exposed(file: Path) -> bool:
    """Whether an account that is not the owner's may read the file.

    As libpq has it: a file of root's may be readable by its group. Windows has no such bits.
    """
    try:
        found = file.stat()
    except OSError:
        return False  # whoever reads it says so
    allowed = _ROOTS if found.st_uid == 0 else _OWNERS
    return (
        os.name == "posix" and stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o77 & ~allowed)
    )


def is_within_reach(file: Path) -> bool:
    """Whether other accounts may enter every folder that leads to the file."""
    with suppress(OSError):
        return all(folder.stat().st_mode & _OTHERS_ENTER for folder in file.resolve().parents)
    return True


def require_unchangeable(file: Path, what: str) -> None:
    """Raise ConfigError, which calls the file ``what``, where its group or all may write it.

    In a folder that they cannot enter, they cannot.
    """
    try:
        found = file.stat()
    except OSError:
        return  # whoever reads it says so
    changeable = stat.S_ISREG(found.st_mode) and found.st_mode & _OTHERS_WRITE
    if os.name == "posix" and changeable and is_within_reach(file):
        raise ConfigError(_CHANGEABLE, what=what, file=file)


def read_text(file: Path, what: str) -> str:
    """The file's text; ConfigError, which calls the file ``what``, if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = "o arquivo não existe"
    except (OSError, ValueError):
        reason = "falta permissão, ou não é um arquivo de texto em UTF-8"
    raise ConfigError(_UNREADABLE, what=what, file=file, reason=reason)
