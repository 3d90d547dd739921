"""Verify a report: hold its cells against its document properties.

Needs only the file: no configuration, database or clock. Never
repeats a cell's value.
"""

from __future__ import annotations

import errno
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from lib.domain import columns as c
from lib.domain import file_system
from lib.domain.errors import ReportError
from lib.domain.messages import counted, thousands
from lib.reports.description import (
    CLEAR,
    CONCILIADOS,
    CONSOLIDADAS,
    DADOS,
    DIVERGENTES,
    DUPLICADAS,
    LOGS,
    PERIODO,
    SEM_LOG,
    SUBJECT,
    TOTAL,
    TRANSACOES,
    money,
    sheet_title,
)

_Result = TypeVar("_Result")

MISSING: Final = "A planilha {path} não existe: confira o nome."
UNREADABLE: Final = (
    "A planilha {path} não pôde ser lida: confira se é um arquivo e se a conta tem acesso."
)
DAMAGED: Final = "{path} não é uma planilha íntegra deste programa: gere o relatório de novo."
NO_DESCRIPTION: Final = (
    "{path} não é um relatório deste programa: faltam as propriedades do documento."
)
WRONG_SHEETS: Final = "As abas de {path} não são as de um relatório: esperava {expected}."
WRONG_COLUMNS: Final = "A aba {name} de {path} não tem as colunas de um relatório."
CONTRADICTION: Final = (
    "{path} contradiz as próprias propriedades ({differences}): gere o relatório de novo."
)
DIFFERENCE: Final = "{key}: {described} nas propriedades, {counted} na conta"
DAY_OUTSIDE: Final = "há datas fora do {key} {period}"
REPEATED: Final = "Há transações repetidas: {count}."
UNMASKED: Final = "Há linhas com cartão ou CPF sem máscara: {count}."

# A masked card shows at most six digits in a row, a masked CPF three.
_CLEAR_NUMBER: Final = re.compile(r"\d{7}")
_PURCHASE: Final = itemgetter(*map(c.CONSOLIDATED.index, c.DUPLICATE_KEY))
# Raised by openpyxl, zipfile and the XML parser for files that only look like workbooks.
_FORMAT_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, AttributeError, AssertionError),
    *(LookupError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, struct.error),
)
# A sheet of a report shrinks to a tenth, never to a hundredth; a zip bomb to a thousandth.
_LEAST_SHARE: Final = 0.005
_SMALL_BYTES: Final = 50 << 20
# The parts that are read whole.
_MOST_BYTES_OF_A_PART: Final = 64 << 20
_SHEETS_FOLDER: Final = "xl/worksheets/"
_SHEET_ROWS: Final = 1_048_576


@dataclass(frozen=True)
class Verification:
    """The figures of a report that agrees with its properties, and the problems in its rows.

    ``duplicates`` counts rows that repeat an earlier one on `columns.DUPLICATE_KEY`. They are a
    problem only in a clear report: in a masked one two people may share a mask.
    """

    path: Path
    rows: Mapping[str, int]
    first: date | None
    last: date | None
    total: Decimal
    duplicates: int
    clear: bool
    properties: Mapping[str, str]
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the figures as lines for a terminal, the problems last."""
        days = "nenhuma" if self.first is None else f"{self.first:%d/%m/%Y} a {self.last:%d/%m/%Y}"
        return [
            *(f"Aba '{name}': {counted(n, 'linha', 'linhas')}" for name, n in self.rows.items()),
            f"Datas das transações: {days}",
            f"Total consolidado: {money(self.total)}",
            f"Transações repetidas: {thousands(self.duplicates)}",
            *(f"Atenção: {sentence}" for sentence in self.problems),
        ]


def verify(path: Path) -> Verification:
    """Re-read a report and count its rows.

    Raises ReportError if the file is not a report, is damaged or contradicts its properties.
    """
    return _with_file(path, _verification)


def properties(path: Path) -> dict[str, str]:
    """Read the lines of the description; reads no cell. Raises ReportError."""
    return _with_file(path, _properties)


def _with_file(path: Path, read: Callable[[Path, IO[bytes]], _Result]) -> _Result:
    try:
        file_system.require_regular(path)
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values and extensions that no report has
            return read(path, file)
    except FileNotFoundError as exc:
        raise ReportError(MISSING, path=path) from exc
    except OSError as exc:
        # openpyxl gives its own no number, and a place before the file's beginning is invalid.
        damaged = exc.errno is None or (exc.errno == errno.EINVAL and path.is_file())
        raise ReportError(DAMAGED if damaged else UNREADABLE, path=path) from exc
    except _FORMAT_ERRORS as exc:
        raise ReportError(DAMAGED, path=path) from exc


def _verification(path: Path, file: IO[bytes]) -> Verification:
    with zipfile.ZipFile(file) as archive:
        _require_sizes(archive)
        if archive.testzip():
            raise zipfile.BadZipFile
    with _opened(file) as workbook:
        return _counted(path, workbook, _description(path, workbook))


def _properties(path: Path, file: IO[bytes]) -> dict[str, str]:
    with zipfile.ZipFile(file) as archive:
        _require_sizes(archive)
    with _opened(file) as workbook:
        return _description(path, workbook)


def _require_sizes(archive: zipfile.ZipFile) -> None:
    """Raise BadZipFile if the archive unpacks to more than a report can."""
    for entry in archive.infolist():
        bomb = entry.file_size > _SMALL_BYTES and (
            entry.compress_size < entry.file_size * _LEAST_SHARE
        )
        is_sheet = entry.filename.startswith(_SHEETS_FOLDER)
        if bomb or (not is_sheet and entry.file_size > _MOST_BYTES_OF_A_PART):
            raise zipfile.BadZipFile


def _opened(file: IO[bytes]) -> closing[Any]:
    import openpyxl  # slow to import, and a run writes without it

    return closing(openpyxl.load_workbook(file, read_only=True))


def _description(path: Path, workbook: Any) -> dict[str, str]:
    if workbook.properties.subject != SUBJECT:
        raise ReportError(NO_DESCRIPTION, path=path)
    text = workbook.properties.description or ""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _counted(path: Path, workbook: Any, description: dict[str, str]) -> Verification:
    clear = description[DADOS] == CLEAR
    rows = dict.fromkeys(_report_sheets(path, workbook.sheetnames), 0)
    unmasked = cents = 0
    log_days: set[date] = set()
    transaction_days: set[date] = set()
    purchases: set[tuple[object, ...]] = set()

    header = (*c.DIVERGENCES, *((c.DES_LINHA_RECEBIMENTO,) if clear else ()))
    header += _case_columns(workbook)
    for card, day, *_ in _records(path, workbook, c.SHEET_DIVERGENCES, header, rows):
        unmasked += _is_unmasked(card)
        log_days |= _days(day)
    divergences = sum(rows.values())

    for row in _records(path, workbook, c.SHEET_CONSOLIDATED, c.CONSOLIDATED, rows):
        cpf, card, virtual, day, _, amount, *_ = row
        unmasked += _is_unmasked(cpf) or _is_unmasked(card) or _is_unmasked(virtual)
        transaction_days |= _days(day)
        cents += 0 if amount is None else round(amount * 100)
        purchases.add(_PURCHASE(row))
    consolidated = sum(rows.values()) - divergences

    total = Decimal(cents).scaleb(-2)
    counts = {DIVERGENTES: str(divergences), CONSOLIDADAS: str(consolidated), TOTAL: money(total)}
    _require_agreement(path, description, counts, log_days | transaction_days)
    duplicates = consolidated - len(purchases)
    problems = []
    if clear and duplicates:
        problems.append(REPEATED.format(count=thousands(duplicates)))
    if unmasked and not clear:
        problems.append(UNMASKED.format(count=thousands(unmasked)))
    return Verification(
        path=path,
        rows=rows,
        first=min(transaction_days, default=None),
        last=max(transaction_days, default=None),
        total=total,
        duplicates=duplicates,
        clear=clear,
        properties=description,
        problems=tuple(problems),
    )


def _report_sheets(path: Path, names: list[str]) -> list[str]:
    """Return the names, or raise ReportError unless they are exactly a report's, in order."""
    expected = [
        sheet_title(base, part + 1)
        for base in (c.SHEET_DIVERGENCES, c.SHEET_CONSOLIDATED)
        for part in range(max(1, sum(name.startswith(base) for name in names)))
    ]
    if names != expected:
        raise ReportError(WRONG_SHEETS, path=path, expected=", ".join(expected))
    return names


def _case_columns(workbook: Any) -> tuple[str, ...]:
    """Return the columns about cases if the first sheet ends with them."""
    size = {"max_row": 1, "max_col": len(c.DIVERGENCES) + 1 + len(c.CASE_COLUMNS)}
    cells = next(workbook[c.SHEET_DIVERGENCES].iter_rows(values_only=True, **size), ())
    names = tuple(value for value in cells if value is not None)
    return c.CASE_COLUMNS if names[-len(c.CASE_COLUMNS) :] == c.CASE_COLUMNS else ()


def _records(
    path: Path, workbook: Any, base: str, header: tuple[str, ...], rows: dict[str, int]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows below the header of all parts of a sheet, and count them in ``rows``."""
    for name in [name for name in rows if name.startswith(base)]:
        # One column more than there should be, and no gap of a billion rows.
        size = {"max_row": _SHEET_ROWS, "max_col": len(header) + 1}
        cells = workbook[name].iter_rows(values_only=True, **size)
        if tuple(value for value in next(cells, ()) if value is not None) != header:
            raise ReportError(WRONG_COLUMNS, name=name, path=path)
        for row in cells:
            if any(value is not None for value in row):
                rows[name] += 1
                yield row


def _days(value: object) -> set[date]:
    """Return the day of a date cell, if any; days before March 1900 are ISO text."""
    if value is None:
        return set()
    return {value.date() if isinstance(value, datetime) else date.fromisoformat(str(value))}


def _is_unmasked(value: object) -> bool:
    return value is not None and _CLEAR_NUMBER.search(str(value)) is not None


def _require_agreement(
    path: Path, description: dict[str, str], counts: dict[str, str], days: set[date]
) -> None:
    """Raise ReportError if the description contradicts the cells or itself."""
    period = description[PERIODO]
    start, end = (date(*map(int, reversed(day.split("/")))) for day in period.split(" a "))
    logs = sum(int(description[key]) for key in (CONCILIADOS, DIVERGENTES))
    transactions = sum(int(description[key]) for key in (CONSOLIDADAS, SEM_LOG, DUPLICADAS))
    counts = {**counts, LOGS: str(logs), TRANSACOES: str(transactions)}
    differences = [
        DIFFERENCE.format(key=key, described=description[key], counted=count)
        for key, count in counts.items()
        if description[key] != count
    ]
    if any(not start <= day <= end for day in days):
        differences.append(DAY_OUTSIDE.format(key=PERIODO, period=period))
    if differences:
        raise ReportError(CONTRADICTION, path=path, differences="; ".join(differences))
