"""Writes the workbook: two sheets, its cover in the document properties, never half a file.

Owns what the sheets hold and how a finished file takes the target's place; the file itself is
`lib.reports.xlsx_writer`'s, what the cover says, and re-reading it, `lib.reports.verification`'s.
Decides nothing about the rows it is handed and knows no configuration and no screen.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import html
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa

from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.domain.reconciliation import Reconciliation
from lib.reports import temp_folder, xlsx_writer
from lib.reports.verification import SUBJECT, Cover, Verification, describe, sheet_title, verify

__all__ = ["Cover", "Verification", "Written", "refusal", "verify", "write"]

SHEET_ROWS: Final = 1_048_575

# Of the 255 that file systems take, the lock and the older reports need some.
_LONGEST_NAME: Final = 220

_WIDTHS: Final = {
    c.NUM_CPF: 17,
    c.NUM_CARTAO: 22,
    c.VLR_TOTAL: 15,
    c.DES_LOG: 48,
    c.MOTIVO: 26,
    c.DES_LINHA_RECEBIMENTO: 80,
}

_NO_SPACE: Final = (
    "Acabou o espaço em disco ao gravar a planilha em {folder}: libere espaço ali e rode de novo; "
    "a planilha anterior continua intacta."
)
_NOT_WRITABLE: Final = (
    "Sem permissão para gravar na pasta {folder}: peça acesso a ela ou escolha outra pasta."
)
_REFUSALS: Final = {
    errno.ENOENT: "A pasta {folder} não existe: crie-a ou escolha outra para a planilha.",
    errno.EEXIST: "{folder} não é uma pasta: escolha outra para a planilha.",
    errno.ENOTDIR: "{folder} não é uma pasta: escolha outra para a planilha.",
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: _NO_SPACE,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: _NOT_WRITABLE,
}


@dataclass(frozen=True)
class Written:
    """A published workbook: its rows by sheet in sheet order, its size and its digest."""

    path: Path
    rows: Mapping[str, int]
    size_bytes: int
    sha256: str


def write(
    reconciliation: Reconciliation,
    cover: Cover,
    target: Path,
    *,
    rows_per_sheet: int = SHEET_ROWS,
    approve: Callable[[Written], object] = lambda written: None,
) -> Written:
    """Put the whole workbook under ``target`` at once, or leave what is there as it was.

    What ``approve`` raises over the finished file keeps it out of its place. Raises ReportError
    where the folder, the disk or the old file is in the way, or where the cover says masked and
    the rows are clear (or the reverse).
    """
    if cover.clear != (c.DES_LINHA_RECEBIMENTO in reconciliation.auth_logs.columns):
        raise ReportError("Os dados extraídos e a planilha pedida discordam sobre o mascaramento.")
    require_place(target)
    # A link stays one, and leads to the new report.
    place = Path(os.path.realpath(target))
    try:
        with temp_folder.beside(place) as folder:
            path = folder / "planilha.xlsx"
            sheets = list(_sheets(reconciliation, rows_per_sheet))
            xlsx_writer.write(path, sheets, _core_properties(reconciliation, cover))
            rows = {sheet.title: sheet.table.num_rows for sheet in sheets}
            with path.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            written = Written(target, rows, path.stat().st_size, digest)
            approve(written)
            if place.exists():
                shutil.copymode(place, path)
            elif cover.clear:
                path.chmod(0o600)
            os.replace(path, place)
    except OSError as exc:
        raise refusal(exc, target) from exc
    flush_folder(place.parent)
    return written


def require_place(target: Path) -> None:
    """Raise ReportError where no workbook can take this name."""
    if target.suffix.lower() not in ("", ".xlsx"):
        raise ReportError(
            "{target} não tem nome de planilha: escolha um que termine em .xlsx.", target=target
        )
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise ReportError(
            "O nome da planilha tem mais de {longest} bytes: escolha um mais curto.",
            longest=_LONGEST_NAME,
        )
    try:
        taken = target.exists() and not target.is_file()
    except OSError as exc:
        raise refusal(exc, target) from exc
    if taken:
        raise ReportError("{target} já existe e não é um arquivo: escolha outro.", target=target)


def _sheets(reconciliation: Reconciliation, limit: int) -> Iterator[xlsx_writer.Sheet]:
    r = reconciliation
    yield from _parts(c.SHEET_DIVERGENCES, r.divergences, len(r.divergent_rows), limit)
    yield from _parts(c.SHEET_CONSOLIDATED, r.consolidated, len(r.consolidated_rows), limit)


def _parts(
    name: str, rows_at: Callable[[slice], pd.DataFrame], rows: int, limit: int
) -> Iterator[xlsx_writer.Sheet]:
    for part, start in enumerate(range(0, max(rows, 1), limit), 1):
        table = pa.Table.from_pandas(rows_at(slice(start, start + limit)), preserve_index=False)
        widths = [_WIDTHS.get(header, max(13, len(header) + 4)) for header in table.column_names]
        yield xlsx_writer.Sheet(sheet_title(name, part), table, widths)


def _core_properties(reconciliation: Reconciliation, cover: Cover) -> str:
    lines = describe(reconciliation, cover)
    period, merchant, *how = list(lines.values())[:6]
    moment = f"{cover.extracted_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    texts = {
        "dc:title": f"{merchant}, {period}",
        "dc:subject": SUBJECT,
        "dc:creator": "Marketing Data Aggregator",
        "cp:keywords": "; ".join((merchant, *how)),
        "dc:description": "\n".join(f"{key}: {value}" for key, value in lines.items()),
    }
    dates = "".join(
        f'<dcterms:{kind} xsi:type="dcterms:W3CDTF">{moment}</dcterms:{kind}>'
        for kind in ("created", "modified")
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<cp:coreProperties '
        'xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for tag, text in texts.items())
        + f"{dates}</cp:coreProperties>"
    )


def flush_folder(folder: Path) -> None:
    """Have the names in this folder on the disk, where that can be asked for."""
    # Windows opens no folder and some network shares flush none; the file itself is on the disk.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refusal(exc: OSError, target: Path) -> ReportError:
    """The sentence for what the system refused when the report was to be written."""
    folder = target.parent
    if isinstance(exc, PermissionError) and exc.filename2 is not None:
        return ReportError(
            "Não foi possível substituir {target}: feche o arquivo se estiver aberto (no Excel, "
            "por exemplo) e confira se a conta pode alterá-lo; ele continua como estava.",
            target=target,
        )
    unknown = "O sistema não deixou gravar a planilha em {folder} (erro {code}): confira a pasta."
    return ReportError(
        _REFUSALS.get(exc.errno or 0, unknown),
        folder=folder,
        code=errno.errorcode.get(exc.errno or 0, "desconhecido"),
    )
