"""The key of an audit trail: a file of 64 hexadecimal digits that only its owner may read.

Made whole or not at all, and never anew where a trail has records. Seals nothing.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final

from lib.config.file_permissions import is_exposed
from lib.domain.errors import AuditError

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL

_NO_KEY: Final = (
    "Falta a chave da auditoria em {path}: recupere-a da cópia de segurança, ou guarde a auditoria "
    "em outro lugar para que uma nova comece."
)
_BAD_KEY: Final = (
    "A chave da auditoria em {path} não serve: ela tem 64 algarismos hexadecimais e só o dono "
    "pode lê-la (chmod 600)."
)


def find(path: Path, *, make: bool) -> bytes:
    """The key; a new one where there is none and one may be made. Raises AuditError, OSError."""
    if make and not path.exists():
        # A full disk leaves no half of a key, which would be in the way ever after.
        draft = path.with_name(f"{path.name}.tmp")
        draft.unlink(missing_ok=True)
        try:
            _write(draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return read(path)


def read(path: Path) -> bytes:
    """The key that is there. Raises AuditError."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError as problem:
        raise AuditError(_NO_KEY, path=path) from problem
    except (OSError, ValueError) as problem:
        raise AuditError(_BAD_KEY, path=path) from problem
    if is_exposed(path) or not _KEY.fullmatch(text):
        raise AuditError(_BAD_KEY, path=path)
    return bytes.fromhex(text)


def _write(path: Path) -> None:
    descriptor = os.open(path, _FLAGS, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secrets.token_hex(32)}\n")
        file.flush()
        os.fsync(descriptor)
