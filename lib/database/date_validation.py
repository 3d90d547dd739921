"""Check that returned dates lie in the requested window.

A query file that ignores ``:start`` or ``:end``, or shifts its dates, would report records of
another period.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from lib.domain import columns as c
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side, Window

OUTSIDE_WINDOW: Final = (
    "{side}: a consulta devolveu datas fora do período pedido (de {first:%d/%m/%Y} a "
    "{last:%d/%m/%Y}); use :start e :end no query_file."
)
DATES: Final = {"transactions": c.DATA_TRANSA, "auth_logs": c.DATA}
"""The date column that the period applies to, by side."""


def require_dates(side: Side, days: Any, window: Window) -> None:
    """Raise ContractError if any of the side's dates (an arrow array) is outside the window.

    Null dates are accepted.
    """
    extremes = pc.min_max(days)
    first, last = extremes["min"].as_py(), extremes["max"].as_py()
    if first is not None and (first < window.start or last > window.end):
        raise ContractError(OUTSIDE_WINDOW, side=side, first=first, last=last)
