"""What a report says of itself in its document properties, and whether its cells agree.

Owns the lines of the description, written there by `lib.reports.publish` and read back here.
Needs only the file: no configuration, no database, no clock. Never repeats a cell's value.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.domain.messages import counted, thousands
from lib.domain.reconciliation import CARD_TIME, Reconciliation

PERIODO: Final = "período"
ESTABELECIMENTO: Final = "estabelecimento"
REGRA: Final = "regra"
DADOS: Final = "dados"
LOGS: Final = "logs extraídos"
CONCILIADOS: Final = "logs conciliados"
DIVERGENTES: Final = "logs divergentes"
TRANSACOES: Final = "transações extraídas"
CONSOLIDADAS: Final = "transações consolidadas"
SEM_LOG: Final = "transações sem log"
DUPLICADAS: Final = "duplicadas removidas"
TOTAL: Final = "total consolidado"
AUDITORIA, RESPONSAVEL, MOTIVO = "auditoria", "exportado por", "motivo da exportação em claro"

_Read = TypeVar("_Read")
_MASKED, _CLEAR = "mascarados", "em claro"
SUBJECT: Final = "Conciliação de transações com logs de autenticação"
# A masked card shows at most six digits in a row, a masked CPF three.
_UNMASKED: Final = re.compile(r"\d{7}")
_PURCHASE: Final = itemgetter(*map(c.CONSOLIDATED.index, c.DUPLICATE_KEY))
# What openpyxl, zipfile and the XML parser raise on files that only look like workbooks.
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError),
    *(KeyError, ValueError, TypeError, RuntimeError),
)


@dataclass(frozen=True)
class Cover:
    """What the document properties say beyond the reconciliation, ``marks`` last; aware moment."""

    merchant: str
    merchant_name: str
    clear: bool
    extracted_at: datetime
    version: str
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """A report that agrees with itself; ``problems`` are sentences about what it should not hold.

    ``duplicates`` counts the rows that repeat an earlier one on `columns.DUPLICATE_KEY`: a problem
    in a clear report, and nothing in a masked one, where two people may share a mask.
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
        """The figures as sentences for a terminal, the problems last."""
        days = "nenhuma" if self.first is None else f"{self.first:%d/%m/%Y} a {self.last:%d/%m/%Y}"
        return [
            *(f"Aba '{name}': {counted(n, 'linha', 'linhas')}" for name, n in self.rows.items()),
            f"Datas das transações: {days}",
            f"Total consolidado: {_money(self.total)}",
            f"Transações repetidas: {thousands(self.duplicates)}",
            *(f"Atenção: {sentence}" for sentence in self.problems),
        ]


def verify(path: Path) -> Verification:
    """Re-read a report; ReportError where it is none, is damaged or contradicts its properties."""
    return _reading(path, _verified)


def properties(path: Path) -> dict[str, str]:
    """What a report says of itself, its cells unread. Raises ReportError."""
    return _reading(path, _introduced)


def _reading(path: Path, how: Callable[[Path, IO[bytes]], _Read]) -> _Read:
    try:
        with path.open("rb") as file:
            return how(path, file)
    except FileNotFoundError as exc:
        raise ReportError("A planilha {path} não existe: confira o nome.", path=path) from exc
    except OSError as exc:
        raise ReportError(
            "A planilha {path} não pôde ser lida: confira se é um arquivo e se a conta tem acesso.",
            path=path,
        ) from exc
    except _UNREADABLE as exc:
        raise ReportError(
            "{path} não é uma planilha íntegra deste programa: gere o relatório de novo.", path=path
        ) from exc


def sheet_title(name: str, part: int) -> str:
    """The title of the part-th sheet (from 1) that holds the rows of ``name``."""
    return name if part == 1 else f"{name} ({part})"


def describe(reconciliation: Reconciliation, cover: Cover) -> dict[str, str]:
    """The lines of the description, each ``chave: valor``, in their order."""
    r, rule = reconciliation, reconciliation.rule
    timed = rule.name == CARD_TIME
    amounts = pa.array(r.transactions[c.VLR_TOTAL].take(r.consolidated_rows).array)
    lines = {
        PERIODO: f"{r.period.start:%d/%m/%Y} a {r.period.end:%d/%m/%Y}",
        ESTABELECIMENTO: f"{cover.merchant} ({cover.merchant_name})",
        REGRA: rule.name,
        "tolerância": f"{rule.tolerance_seconds / 60:g} min" if timed else "não se aplica",
        "códigos aprovados": ", ".join(rule.approved_codes),
        DADOS: _CLEAR if cover.clear else _MASKED,
        LOGS: len(r.matched_log_rows) + len(r.divergent_rows),
        CONCILIADOS: len(r.matched_log_rows),
        DIVERGENTES: len(r.divergent_rows),
        TRANSACOES: len(r.consolidated_rows) + len(r.without_log_rows) + len(r.duplicate_rows),
        CONSOLIDADAS: len(r.consolidated_rows),
        SEM_LOG: len(r.without_log_rows),
        DUPLICADAS: len(r.duplicate_rows),
        TOTAL: _money(pc.sum(amounts).as_py() or Decimal(0)),
        "extraído em": f"{cover.extracted_at:%d/%m/%Y %H:%M:%S %z}",
        "versão": cover.version,
        **cover.marks,
    }
    return {key: _one_line(str(value)) for key, value in lines.items()}


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}".replace(".", ",")


def _one_line(value: str) -> str:
    return " ".join("".join(x if x.isprintable() else " " for x in value).split())


def _verified(path: Path, file: IO[bytes]) -> Verification:
    with zipfile.ZipFile(file) as archive:
        if archive.testzip():
            raise zipfile.BadZipFile
    with _opened(file) as workbook:
        return _tallied(path, workbook, _said(path, workbook))


def _introduced(path: Path, file: IO[bytes]) -> dict[str, str]:
    with _opened(file) as workbook:
        return _said(path, workbook)


def _opened(file: IO[bytes]) -> closing[Any]:
    import openpyxl  # a run writes without it, and starts sooner

    return closing(openpyxl.load_workbook(file, read_only=True))


def _said(path: Path, workbook: Any) -> dict[str, str]:
    text = workbook.properties.description or ""
    said = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if workbook.properties.subject != SUBJECT:
        raise ReportError(
            "{path} não é um relatório deste programa: faltam as propriedades do documento.",
            path=path,
        )
    return said


def _tallied(path: Path, workbook: Any, said: dict[str, str]) -> Verification:
    clear = said[DADOS] == _CLEAR
    rows = dict.fromkeys(_sheets(path, workbook.sheetnames), 0)
    unmasked = cents = 0
    logged: set[date] = set()
    bought: set[date] = set()
    purchases: set[tuple[object, ...]] = set()

    header = (*c.DIVERGENCES, *((c.DES_LINHA_RECEBIMENTO,) if clear else ()))
    for card, day, *_ in _records(path, workbook, c.SHEET_DIVERGENCES, header, rows):
        unmasked += _is_unmasked(card)
        logged |= _days(day)
    divergences = sum(rows.values())

    for row in _records(path, workbook, c.SHEET_CONSOLIDATED, c.CONSOLIDATED, rows):
        cpf, card, virtual, day, _, amount, *_ = row
        unmasked += _is_unmasked(cpf) or _is_unmasked(card) or _is_unmasked(virtual)
        bought |= _days(day)
        cents += 0 if amount is None else round(amount * 100)
        purchases.add(_PURCHASE(row))
    consolidated = sum(rows.values()) - divergences

    total = Decimal(cents).scaleb(-2)
    found = {DIVERGENTES: str(divergences), CONSOLIDADAS: str(consolidated), TOTAL: _money(total)}
    _hold(path, said, found, logged | bought)
    duplicates = consolidated - len(purchases)
    problems = []
    if clear and duplicates:
        problems.append(f"Há transações repetidas: {thousands(duplicates)}.")
    if unmasked and not clear:
        problems.append(f"Há linhas com cartão ou CPF sem máscara: {thousands(unmasked)}.")
    return Verification(
        path=path,
        rows=rows,
        first=min(bought, default=None),
        last=max(bought, default=None),
        total=total,
        duplicates=duplicates,
        clear=clear,
        properties=said,
        problems=tuple(problems),
    )


def _sheets(path: Path, names: list[str]) -> list[str]:
    """The names, once they are those of a report: every part of one sheet, then of the other."""
    expected = [
        sheet_title(base, part + 1)
        for base in (c.SHEET_DIVERGENCES, c.SHEET_CONSOLIDATED)
        for part in range(max(1, sum(name.startswith(base) for name in names)))
    ]
    if names != expected:
        raise ReportError(
            "As abas de {path} não são as de um relatório: esperava {expected}.",
            path=path,
            expected=", ".join(expected),
        )
    return names


def _records(
    path: Path, workbook: Any, base: str, header: tuple[str, ...], rows: dict[str, int]
) -> Iterator[tuple[Any, ...]]:
    """The rows below the header of every part of a sheet, counted into ``rows`` as they pass."""
    for name in [name for name in rows if name.startswith(base)]:
        cells = workbook[name].iter_rows(values_only=True)
        if tuple(value for value in next(cells, ()) if value is not None) != header:
            raise ReportError(
                "A aba {name} de {path} não tem as colunas de um relatório.", name=name, path=path
            )
        for row in cells:
            if any(value is not None for value in row):
                rows[name] += 1
                yield row


def _days(value: object) -> set[date]:
    """The day of a date cell; before March 1900 Excel has no dates and the cell is ISO text."""
    if value is None:
        return set()
    return {value.date() if isinstance(value, datetime) else date.fromisoformat(str(value))}


def _is_unmasked(value: object) -> bool:
    return value is not None and _UNMASKED.search(str(value)) is not None


def _hold(path: Path, said: dict[str, str], found: dict[str, str], days: set[date]) -> None:
    """Hold the properties against each other and against the cells."""
    start, end = (date(*map(int, reversed(x.split("/")))) for x in said[PERIODO].split(" a "))
    logs = int(said[CONCILIADOS]) + int(said[DIVERGENTES])
    transactions = sum(int(said[key]) for key in (CONSOLIDADAS, SEM_LOG, DUPLICADAS))
    found = {**found, LOGS: str(logs), TRANSACOES: str(transactions)}
    differences = [
        f"{key}: {said[key]} nas propriedades, {value} na conta"
        for key, value in found.items()
        if said[key] != value
    ]
    if any(not start <= day <= end for day in days):
        differences.append(f"há datas fora do {PERIODO} {said[PERIODO]}")
    if differences:
        raise ReportError(
            "{path} contradiz as próprias propriedades ({differences}): gere o relatório de novo.",
            path=path,
            differences="; ".join(differences),
        )
