"""Check that a query returns the dates of the requested window, all of them and no others.

A query file that ignores ``:start`` or ``:end``, or shifts its dates, would report records of
another period. One that compares an instant with ``:end``, and returns its date, would lose the
last day from its first second on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lib.database import column_types, sessions, source_query
from lib.domain import columns as c
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.column_types import Layout
    from lib.domain.requests import Side, Window

OUTSIDE_WINDOW: Final = (
    "{side}: a consulta devolveu datas fora do período pedido (de {first:%d/%m/%Y} a "
    "{last:%d/%m/%Y}); use :start e :end no query_file."
)
LAST_DAY_CUT: Final = (
    "{side}: a consulta perde os registros do último dia depois da meia-noite; no query_file, "
    "compare a data e hora com < :end + 1, e não com BETWEEN ou <= :end."
)
DATES: Final = {"transactions": c.DATA_TRANSA, "auth_logs": c.DATA}
"""The date column that the period applies to, by side."""
_TIMES: Final = {"transactions": c.HORA_TRANSA, "auth_logs": c.HORA}


def require_dates(side: Side, days: Any, window: Window) -> None:
    """Raise ContractError if any of the side's dates (an arrow array) is outside the window.

    Null dates are accepted.
    """
    extremes = pc.min_max(days)
    first, last = extremes["min"].as_py(), extremes["max"].as_py()
    if first is not None and (first < window.start or last > window.end):
        raise ContractError(OUTSIDE_WINDOW, side=side, first=first, last=last)


def may_cut(settings: Settings, side: Side, layout: Layout) -> bool:
    """True for a query file that returns dates: it may compare them as instants.

    Returned instants are read with `column_types.widened`.
    """
    return sessions.source_of(settings, side).query_file is not None and not layout.instants


def reached(side: Side, table: pa.Table, window: Window, after: int = 0) -> bool:
    """True if a record read is of the window's last day, later than ``after`` (a second)."""
    last = pc.equal(table[DATES[side]], window.end)
    late = pc.greater(table[_TIMES[side]].cast(pa.int32()), after)
    return bool(pc.any(pc.and_(last, late)).as_py())


def require_last_day(
    cursor: Any, settings: Settings, side: Side, window: Window, after: int = 0
) -> None:
    """Raise ContractError if the query has such records only in a window that is a day longer.

    For a read that has not `reached` them; reads at most one record.
    """
    longer = replace(window, start=window.end, end=column_types.following(window))
    if _has_later(cursor, settings, side, longer, {"last": window.end, "after": after}):
        raise ContractError(LAST_DAY_CUT, side=side)


def require_whole(cursor: Any, settings: Settings, side: Side, day: Window) -> None:
    """Raise ContractError if the query cuts this window of one day at its first midnight."""
    if not _has_later(cursor, settings, side, day, {"last": day.end, "after": 0}):
        require_last_day(cursor, settings, side, day)


def _has_later(
    cursor: Any, settings: Settings, side: Side, window: Window, own: dict[str, object]
) -> bool:
    later = f"q.{DATES[side]}::date = :last"
    later += f" AND date_part('epoch', q.{_TIMES[side]}::time) >= :after + 1"
    query = source_query.load(settings, side)
    sql = f"SELECT EXISTS (SELECT FROM (\n{query}\n) AS q WHERE {later})"
    cursor.execute(source_query.render(cursor, side, sql, window.parameters | own))
    (has,) = cursor.fetchone()
    return bool(has)
