"""The description of a report in its document properties: labels, and the lines of a report.

`lib.reports.verification` holds a report's cells against these lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from lib.domain import columns as c
from lib.domain.requests import CARD_TIME

if TYPE_CHECKING:
    from lib.domain.cases import Labels
    from lib.domain.reconciliation import Reconciliation

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
MASKED, CLEAR = "mascarados", "em claro"
SUBJECT: Final = "Conciliação de transações com logs de autenticação"


@dataclass(frozen=True)
class Cover:
    """The values of the document properties that the reconciliation does not contain.

    ``extracted_at`` is aware; ``marks`` are further lines, put last.
    """

    merchant: str
    merchant_name: str
    clear: bool
    extracted_at: datetime
    version: str
    marks: Mapping[str, str] = field(default_factory=dict)
    labels: Labels | None = None


def sheet_title(name: str, part: int) -> str:
    """Return the title of the part-th sheet (from 1) of ``name``."""
    return name if part == 1 else f"{name} ({part})"


def describe(reconciliation: Reconciliation, cover: Cover) -> dict[str, str]:
    """Return the lines of the description, key to value, in their order."""
    r, rule = reconciliation, reconciliation.rule
    timed = rule.name == CARD_TIME
    total = pc.sum(r.transactions[c.VLR_TOTAL].take(r.consolidated_rows)).as_py() or Decimal(0)
    lines = {
        PERIODO: f"{r.period.start:%d/%m/%Y} a {r.period.end:%d/%m/%Y}",
        ESTABELECIMENTO: f"{cover.merchant} ({cover.merchant_name})",
        REGRA: rule.name,
        "tolerância": f"{rule.tolerance_seconds / 60:g} min" if timed else "não se aplica",
        "códigos aprovados": ", ".join(rule.approved_codes),
        DADOS: CLEAR if cover.clear else MASKED,
        LOGS: len(r.matched_log_rows) + len(r.divergent_rows),
        CONCILIADOS: len(r.matched_log_rows),
        DIVERGENTES: len(r.divergent_rows),
        TRANSACOES: len(r.consolidated_rows) + len(r.without_log_rows) + len(r.duplicate_rows),
        CONSOLIDADAS: len(r.consolidated_rows),
        SEM_LOG: len(r.without_log_rows),
        DUPLICADAS: len(r.duplicate_rows),
        TOTAL: money(total),
        "extraído em": f"{cover.extracted_at:%d/%m/%Y %H:%M:%S %z}",
        "versão": cover.version,
        **cover.marks,
    }
    return {key: _one_line(str(value)) for key, value in lines.items()}


def money(amount: Decimal) -> str:
    """Format an amount as in the description: two decimals after a comma."""
    return f"{amount:.2f}".replace(".", ",")


def _one_line(value: str) -> str:
    return " ".join("".join(x if x.isprintable() else " " for x in value).split())
