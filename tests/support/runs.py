"""The figures of a run, as the history records them."""

from __future__ import annotations

from datetime import date
from typing import Any

from lib.delivery import history

FIELDS: dict[str, Any] = {
    "origin": history.SCHEDULED,
    "merchant": "12345678000190",
    "merchant_name": "Loja Exemplo",
    "period_start": date(2026, 11, 13),
    "period_end": date(2026, 11, 23),
    "rule": "card",
    "tolerance_seconds": 300,
    "clear": False,
}
BOOKS = {"logs": 10, "divergences": 1}
