"""Holds what a source returned against the dates it was asked for.

A query file that overlooks ``:start`` or ``:end``, or moves its dates, would put records into a
period that they are not of. Reads nothing and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from lib.domain import columns as c
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side, Window

DATES: Final = {"transactions": c.DATA_TRANSA, "auth_logs": c.DATA}
"""The column of each side that the period is about."""


def require_dates(side: Side, days: Any, window: Window) -> None:
    """Raise ContractError if one of these dates (arrow) of the side's records is not the window's.

    Records without a date are of every window.
    """
    found = pc.min_max(days)
    first, last = found["min"].as_py(), found["max"].as_py()
    if first is not None and (first < window.start or last > window.end):
        raise ContractError(
            "{side}: a consulta devolveu datas fora do período pedido (de {first:%d/%m/%Y} a "
            "{last:%d/%m/%Y}); use :start e :end no query_file.",
            side=side,
            first=first,
            last=last,
        )
