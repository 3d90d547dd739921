"""Reconciliations to write as workbooks, and the cells of a workbook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa

from lib.domain import columns as c
from lib.domain.reconciliation import Reconciliation
from lib.domain.requests import Period, Rule
from lib.reports import description

DAY = date(2026, 11, 12)
EXTRACTED_AT = datetime(2026, 11, 22, 9, 0, 3, tzinfo=UTC)
COVER = description.Cover("12345678000190", "Loja <&> Exemplo", False, EXTRACTED_AT, "1.2")
CLEAR = replace(COVER, clear=True)
CARD = "400000******1234"
TRANSACTION = ("***.456.789-**", CARD, None, DAY, clock(10, 30), Decimal("12.34"), COVER.merchant)
LOG = (CARD, DAY, clock(10, 30, 5), "00", "APROVADA", "0200 012345678000190")
KINDS = {
    **dict.fromkeys((c.DATA, c.DATA_TRANSA), pa.date32()),
    **dict.fromkeys((c.HORA, c.HORA_TRANSA), pa.time32("s")),
    c.VLR_TOTAL: pa.decimal128(18, 2),
}
DICTIONARY = pa.dictionary(pa.int32(), pa.string())
Records = Sequence[dict[str, Any]]


def table(names: Sequence[str], usual: Sequence[Any], rows: Records, text: Any) -> pa.Table:
    data = {
        name: pa.array([row.get(name, value) for row in rows], KINDS.get(name, text))
        for name, value in zip(names, usual, strict=True)
    }
    return pa.table(data)


def built(
    bought: Records = (),
    logged: Records = (),
    *,
    spare: int = 0,
    clear: bool = False,
    text: Any = DICTIONARY,
    rule: Rule | None = None,
) -> Reconciliation:
    """Pair each of ``bought`` with a log of its own; add ``spare`` transactions without log.

    The logs of ``logged`` are divergences.
    """
    n = len(bought)
    names = c.AUTH_LOGS_CLEAR[:-1] if clear else c.AUTH_LOGS[:-1]
    return Reconciliation(
        period=Period(DAY, date(2026, 11, 22), date(2026, 11, 22)),
        rule=rule or Rule(),
        transactions=table(c.TRANSACTIONS_QUERY, TRANSACTION, [*bought, *[{}] * spare], text),
        auth_logs=table(names, LOG[: len(names)], [*[{}] * n, *logged], text),
        transaction_rows=np.arange(n + spare),
        log_rows=np.arange(n + len(logged)),
        consolidated_rows=np.arange(n),
        pair_rows=np.arange(n),
        pair_virtual=np.arange(n) % 2 == 1,
        pair_seconds=np.ma.array(np.arange(n) - 5, mask=np.arange(n) % 3 == 2),
        matched_log_rows=np.arange(n),
        divergent_rows=np.arange(n, n + len(logged)),
        motivo=np.zeros(len(logged), np.int8),
        nearest_rows=np.full(len(logged), -1),
        without_log_rows=np.arange(n, n + spare),
        without_log_reason=np.zeros(spare, np.int8),
        duplicate_rows=np.arange(0),
        survivor_rows=np.arange(0),
    )


def cells(path: Path, sheet: str) -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(path)[sheet].iter_rows(min_row=2, values_only=True))
