"""Writes the workbook: two sheets, its cover in the document properties, never half a file.

Owns the cells (types, formats, limits) and how a finished file takes the target's place; what
the cover says, and re-reading it, is `lib.verify`'s. Decides nothing about the rows it is handed
and knows no configuration and no screen.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import html
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xlsxturbo
from xlsxturbo.types import SheetOptions

from lib import columns as c
from lib import scaffold
from lib.errors import ReportError
from lib.reconciliation import Reconciliation
from lib.verify import SUBJECT, Cover, Verification, describe, sheet_title, verify

__all__ = ["Cover", "Verification", "Written", "refusal", "verify", "write"]

SHEET_ROWS: Final = 1_048_575
CELL_UNITS: Final = 32_767
CUT_MARK: Final = " […cortado]"

_CORE: Final = "docProps/core.xml"
# Level 6 takes 1.3 to 1.8 times as long for a fifth less, level 1 a tenth less for a third more.
_COMPRESSION: Final = 2
# Cautiously low (58 measured): what a cell takes in the sheet that grows in the temporary folder.
_CELL_BYTES: Final = 40

_EXCEL_EPOCH_DAYS: Final = 25_569
_EXCEL_FIRST_DAY: Final = date(1900, 3, 1)
_DATE, _TIME, _AMOUNT, _INTEGER, _TEXT = "dd/mm/yyyy", "hh:mm:ss", "#,##0.00", "0", "@"
_WIDTHS: Final = {
    c.NUM_CPF: 17,
    c.NUM_CARTAO: 22,
    c.VLR_TOTAL: 15,
    c.DES_LOG: 48,
    c.MOTIVO: 26,
    c.DES_LINHA_RECEBIMENTO: 80,
}

_NO_SPACE: Final = (
    "Acabou o espaço em disco ao gravar a planilha em {folder}: libere espaço ali e na pasta "
    "temporária {temporary} e rode de novo; a planilha anterior continua intacta."
)
_NOT_WRITABLE: Final = (
    "Sem permissão para gravar na pasta {folder}: peça acesso a ela ou escolha outra pasta."
)
_REFUSALS: Final = {
    errno.ENOENT: "A pasta {folder} não existe: crie-a ou escolha outra para a planilha.",
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
    if os.path.exists(target) and not os.path.isfile(target):
        raise ReportError("{target} já existe e não é um arquivo: escolha outro.", target=target)
    try:
        with scaffold.beside(target) as folder:
            path = folder / "planilha.xlsx"
            rows = _fill(path, list(_sheets(reconciliation, rows_per_sheet)))
            _sign(path, _core_properties(reconciliation, cover))
            with path.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            written = Written(target, rows, path.stat().st_size, digest)
            approve(written)
            os.replace(path, target)
    except OSError as exc:
        raise refusal(exc, target) from exc
    _flush_folder(target.parent)
    return written


_Sheet = tuple[pd.DataFrame, str, SheetOptions]


def _sheets(reconciliation: Reconciliation, limit: int) -> Iterator[_Sheet]:
    r = reconciliation
    yield from _parts(c.SHEET_DIVERGENCES, r.divergences, len(r.divergent_rows), limit)
    yield from _parts(c.SHEET_CONSOLIDATED, r.consolidated, len(r.consolidated_rows), limit)


def _parts(
    name: str, rows_at: Callable[[slice], pd.DataFrame], rows: int, limit: int
) -> Iterator[_Sheet]:
    for part, start in enumerate(range(0, max(rows, 1), limit), 1):
        table = pa.Table.from_pandas(rows_at(slice(start, start + limit)), preserve_index=False)
        cells = {header: _cells(table[header]) for header in table.column_names}
        options: SheetOptions = {
            "column_formats": {header: {"num_format": f} for header, (_, f) in cells.items()},
            "column_widths": {
                at: _WIDTHS.get(header, max(13, len(header) + 4)) for at, header in enumerate(cells)
            },
        }
        frame = pd.DataFrame({header: values for header, (values, _) in cells.items()}, copy=False)
        yield frame, sheet_title(name, part), options


def _cells(column: Any) -> tuple[Any, str]:
    """What xlsxturbo is handed for an arrow column, and its number format.

    Plain float64 with NaN for NULL is its quickest way in, and dates and times are numbers anyway.
    """
    kind = column.type
    if pa.types.is_date32(kind):
        first = pc.min(column).as_py()
        if first is not None and first < _EXCEL_FIRST_DAY:
            # Excel has no such day; left as a date, xlsxturbo writes it as ISO text.
            return pd.arrays.ArrowExtensionArray(column), _DATE
        return _floats(column.cast(pa.int32())) + _EXCEL_EPOCH_DAYS, _DATE
    if pa.types.is_time32(kind):
        return _floats(column.cast(pa.int32())) / 86_400, _TIME
    if pa.types.is_decimal(kind):
        # Arrow's own cast is off by a last bit for one amount in seven.
        cents = pc.multiply(column, Decimal(100)).cast(pa.int64())
        return _floats(cents) / 100, _AMOUNT
    if pa.types.is_integer(kind):
        return _floats(column), _INTEGER
    return pd.arrays.ArrowExtensionArray(_cut(column)), _TEXT


def _floats(column: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _cut(column: Any) -> Any:
    """The texts, none longer than a cell holds; Excel counts in UTF-16 units."""
    values = pa.types.is_dictionary(column.type)
    longest = max((_most_bytes(x.dictionary if values else x) for x in column.chunks), default=0)
    if longest <= CELL_UNITS:
        return column
    texts = column.cast(pa.large_string()).combine_chunks()
    long = pc.fill_null(pc.greater(pc.binary_length(texts), CELL_UNITS), False)
    cut = [_shortened(text) for text in texts.filter(long).to_pylist()]
    return pc.replace_with_mask(texts, long, pa.array(cut, pa.large_string()))


def _most_bytes(texts: Any) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _shortened(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_UNITS:
        return text
    return units[: 2 * (CELL_UNITS - len(CUT_MARK))].decode("utf-16-le", "ignore") + CUT_MARK


def _fill(path: Path, sheets: list[_Sheet]) -> dict[str, int]:
    needed = sum(frame.size for frame, _, _ in sheets) * _CELL_BYTES
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # xlsxturbo gives a new file mode 0644 whatever the umask, but keeps that of a file it replaces.
    path.touch()
    try:
        xlsxturbo.dfs_to_xlsx(
            sheets,
            path,
            constant_memory=True,
            freeze_panes=True,
            autofilter=True,
            header_format={"bold": True},
            compression_level=_COMPRESSION,
        )
    except BaseException as exc:
        # A temporary folder that fills up makes its Rust panic, and a panic is no Exception.
        if type(exc).__name__ == "PanicException" and "Couldn't write" in str(exc):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from exc
        raise
    return {title: len(frame) for frame, title, _ in sheets}


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


def _sign(path: Path, core: str) -> None:
    """Replace the core properties; they stand near the end, so no sheet is compressed again."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        start = archive.getinfo(_CORE).header_offset
        tail = [entry for entry in archive.filelist if entry.header_offset >= start]
        parts = {entry.filename: archive.read(entry) for entry in tail} | {_CORE: core.encode()}
        for entry in tail:
            archive.filelist.remove(entry)
            del archive.NameToInfo[entry.filename]
        archive.start_dir = start
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _flush_folder(folder: Path) -> None:
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
        temporary=tempfile.gettempdir(),
        code=errno.errorcode.get(exc.errno or 0, "desconhecido"),
    )
