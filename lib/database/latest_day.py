"""Find the latest day with records of a merchant, without fetching any record."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from lib.database import column_types, date_validation, sessions, source_query

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side, Window

# Days back from the end of the window: the nearest records are found without reading older ones.
_DAYS_BACK: Final = (31, 366)


def latest_day(settings: Settings, side: Side, window: Window) -> date | None:
    """Return the last day of the window with a record, None without one."""
    limit = float(sessions.source_of(settings, side).statement_timeout)
    query = source_query.load(settings, side)
    day = f"q.{date_validation.DATES[side]}::date"
    select = f"SELECT max({day}) FROM (\n{query}\n) AS q WHERE {day} <= :last"
    starts = [max(window.start, window.end - timedelta(days=days)) for days in _DAYS_BACK]
    with sessions.session(settings, side, window.user, limit=limit) as cursor:
        for start in dict.fromkeys([*starts, window.start]):
            part = replace(window, start=start)
            layout = column_types.examine(cursor, settings, side, part)
            wide = column_types.widened(settings, side, part, layout).parameters
            own = {"last": window.end}
            cursor.execute(source_query.render(cursor, side, select, wide | own))
            (found,) = cursor.fetchone()
            if found is not None:
                latest: date = found
                return latest
    return None
