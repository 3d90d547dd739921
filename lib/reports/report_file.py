"""The file of a report: valid paths, the replacement of the previous file, and what can fail.

Knows no sheet and no row.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lib.domain import file_system
from lib.domain.errors import ReportError

# File systems allow 255 bytes; the names of the lock and of the older reports are longer.
_MAX_NAME_BYTES: Final = 220

WRONG_SUFFIX: Final = "{target} não tem nome de planilha: escolha um que termine em .xlsx."
NAME_TOO_LONG: Final = "O nome da planilha tem mais de {longest} bytes: escolha um mais curto."
NOT_A_FILE: Final = "{target} já existe e não é um arquivo: escolha outro."
NOT_REPLACEABLE: Final = (
    "Não foi possível substituir {target}: feche o arquivo se estiver aberto (no Excel, "
    "por exemplo) e confira se a conta pode alterá-lo; ele continua como estava."
)
NO_FOLDER: Final = "A pasta {folder} não existe: crie-a ou escolha outra para a planilha."
NOT_A_FOLDER: Final = "{folder} não é uma pasta: escolha outra para a planilha."
NO_SPACE: Final = (
    "Acabou o espaço em disco ao gravar a planilha em {folder}: libere espaço ali e rode de novo; "
    "a planilha anterior continua intacta."
)
NOT_WRITABLE: Final = (
    "Sem permissão para gravar na pasta {folder}: peça acesso a ela ou escolha outra pasta."
)
OTHER_ERROR: Final = (
    "O sistema não deixou gravar a planilha em {folder} (erro {code}): confira a pasta."
)
_MESSAGES: Final = {
    errno.ENOENT: NO_FOLDER,
    errno.EEXIST: NOT_A_FOLDER,
    errno.ENOTDIR: NOT_A_FOLDER,
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: NO_SPACE,
    errno.EACCES: NOT_WRITABLE,
    errno.EPERM: NOT_WRITABLE,
    errno.EROFS: NOT_WRITABLE,
}


@dataclass(frozen=True)
class Written:
    """A published workbook: rows by sheet in sheet order, size and digest."""

    path: Path
    rows: Mapping[str, int]
    size_bytes: int
    sha256: str


def require_target(target: Path) -> None:
    """Raise ReportError unless a workbook can have this path."""
    if target.suffix.lower() not in ("", ".xlsx"):
        raise ReportError(WRONG_SUFFIX, target=target)
    if len(os.fsencode(target.name)) > _MAX_NAME_BYTES:
        raise ReportError(NAME_TOO_LONG, longest=_MAX_NAME_BYTES)
    try:
        not_a_file = file_system.exists(target) and not target.is_file()
    except OSError as exc:
        raise write_error(exc, target) from exc
    if not_a_file:
        raise ReportError(NOT_A_FILE, target=target)


def place(path: Path, destination: Path, *, clear: bool) -> None:
    """Move a finished workbook over the previous one. Raises OSError.

    A clear one is its owner's alone, whatever stood there; a masked one takes the mode of the
    previous file, as far as the file system has modes.
    """
    if clear:
        file_system.set_mode(path, 0o600)
    else:
        with contextlib.suppress(OSError):
            path.chmod(stat.S_IMODE(destination.stat().st_mode))
    os.replace(path, destination)


def write_error(exc: OSError, target: Path) -> ReportError:
    """Translate an OSError raised while writing the report."""
    if isinstance(exc, PermissionError) and exc.filename2 is not None:  # from os.replace
        return ReportError(NOT_REPLACEABLE, target=target)
    number = exc.errno or 0
    if os.path.islink(target):  # the folder in the way is the one that it leads to
        target = Path(os.path.realpath(target))
    return ReportError(
        _MESSAGES.get(number, OTHER_ERROR),
        folder=target.parent,
        code=errno.errorcode.get(number, "desconhecido"),
    )
