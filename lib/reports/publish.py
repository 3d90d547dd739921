"""Write the two-sheet workbook and move it into place atomically.

Owns the sheets and the document properties. Decides nothing about the rows; knows no
configuration and no screen.
"""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from lib.domain import columns as c
from lib.domain import file_system
from lib.domain.errors import ReportError
from lib.domain.reconciliation import Reconciliation
from lib.reports import temp_folder, xlsx_writer
from lib.reports.description import SUBJECT, Cover, describe, sheet_title
from lib.reports.report_file import Written, place, require_target, write_error
from lib.reports.xlsx_parts import Sheet

SHEET_ROWS: Final = 1_048_575

_WIDTHS: Final = {
    c.NUM_CPF: 17,
    c.NUM_CARTAO: 22,
    c.VLR_TOTAL: 20,
    c.DES_LOG: 48,
    c.MOTIVO: 26,
    c.DES_LINHA_RECEBIMENTO: 80,
}

MASKING_MISMATCH: Final = "Os dados extraídos e a planilha pedida discordam sobre o mascaramento."


def write(
    reconciliation: Reconciliation,
    cover: Cover,
    target: Path,
    *,
    rows_per_sheet: int = SHEET_ROWS,
    approve: Callable[[Written], object] = lambda written: None,
) -> Written:
    """Write the workbook and move it to ``target``; the previous file stays if anything fails.

    ``approve`` is called with the finished file before it is moved, and may raise to stop it.
    Raises ReportError if the file cannot be written or moved, or if cover and rows disagree about
    masking.
    """
    if cover.clear != (c.DES_LINHA_RECEBIMENTO in reconciliation.auth_logs.column_names):
        raise ReportError(MASKING_MISMATCH)
    require_target(target)
    # Replaces the file that a link leads to, not the link.
    destination = Path(os.path.realpath(target))
    try:
        with temp_folder.create(destination) as folder:
            path = folder / "planilha.xlsx"
            if cover.clear:
                path.touch(mode=0o600)
            lines = describe(reconciliation, cover)
            sheets = list(_sheets(reconciliation, cover, rows_per_sheet, _heading(lines)))
            xlsx_writer.write(path, sheets, _core_properties(lines, cover))
            rows = {sheet.title: sheet.rows for sheet in sheets}
            with path.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file_system.flush(file.fileno())
            written = Written(target, rows, path.stat().st_size, digest)
            approve(written)
            place(path, destination, clear=cover.clear)
    except OSError as exc:
        raise write_error(exc, target) from exc
    file_system.flush_folder(destination.parent)
    return written


def _sheets(
    reconciliation: Reconciliation, cover: Cover, limit: int, heading: str
) -> Iterator[Sheet]:
    r = reconciliation
    divergences: Callable[[slice], pa.Table] = r.divergences
    if cover.labels is not None:
        # Of all rows at once: identical rows are numbered.
        labels = cover.labels.columns(r.divergences(), clear=cover.clear)

        def labelled(rows: slice) -> pa.Table:
            table = r.divergences(rows)
            for name in labels.column_names:
                table = table.append_column(name, labels[name][rows])
            return table

        divergences = labelled
    yield from _parts(c.SHEET_DIVERGENCES, divergences, len(r.divergent_rows), limit, heading)
    yield from _parts(
        c.SHEET_CONSOLIDATED, r.consolidated, len(r.consolidated_rows), limit, heading
    )


def _parts(
    name: str, rows_at: Callable[[slice], pa.Table], rows: int, limit: int, heading: str
) -> Iterator[Sheet]:
    for part, start in enumerate(range(0, max(rows, 1), limit), 1):
        table = rows_at(slice(start, start + limit))
        widths = column_widths(table.column_names)
        yield Sheet.of(sheet_title(name, part), table, widths, heading)


def column_widths(headers: Iterable[str]) -> list[int]:
    """Return the widths of a sheet's columns in characters."""
    return [_WIDTHS.get(header, max(13, len(header) + 4)) for header in headers]


def _heading(lines: Mapping[str, str]) -> str:
    period, merchant, *_ = lines.values()
    return f"{merchant}, {period}"


def _core_properties(lines: Mapping[str, str], cover: Cover) -> str:
    _, merchant, *choices = list(lines.values())[:6]
    texts = {"dc:subject": SUBJECT, "cp:keywords": "; ".join((merchant, *choices))}
    return core_properties(_heading(lines), lines, cover.extracted_at, texts)


def core_properties(
    title: str, lines: Mapping[str, str], moment: datetime, more: Mapping[str, str]
) -> str:
    """Return the XML of a workbook's properties: the lines as its description, ``more`` by tag."""
    stamp = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    texts = {
        "dc:title": title,
        "dc:creator": "Marketing Data Aggregator",
        "dc:description": "\n".join(f"{key}: {value}" for key, value in lines.items()),
        **more,
    }
    dates = "".join(
        f'<dcterms:{kind} xsi:type="dcterms:W3CDTF">{stamp}</dcterms:{kind}>'
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
