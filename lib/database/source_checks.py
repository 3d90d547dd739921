"""Check a source without fetching its records: columns, permissions, counts and clock.

Serves `lib.delivery.diagnosis`; a run does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lib.database import copy_reader, sessions
from lib.domain import columns as c
from lib.domain import requests

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side

_STATEMENTS: Final = 4.0
"""The survey's time limit, in statement timeouts."""


@dataclass(frozen=True)
class Survey:
    """Result of `survey`; ``server_time`` is the server's clock in seconds since 1970 UTC.

    ``odd_cards`` counts card numbers with characters other than digits, ``end_of_day`` times
    written as 24:00:00. ``any_merchant`` is true if the period has records of any merchant.
    """

    version: str
    server_time: float
    rows: int
    odd_cards: int
    end_of_day: int
    any_merchant: bool


def survey(settings: Settings, side: Side, window: requests.Window) -> Survey:
    """Check the side's columns and permissions, and count its records without fetching any."""
    limit = _STATEMENTS * sessions.source_of(settings, side).statement_timeout
    with sessions.session(settings, side, window.user, limit=limit) as cursor:
        copy_reader.check_columns(cursor, settings, side, window)
        select = copy_reader.masked_select(cursor, settings, side, window, clear=False)
        cursor.execute(b"SELECT FROM (" + select + b") AS s LIMIT 1")
        query = sessions.query(settings, side)
        moment = c.HORA_TRANSA if side == "transactions" else c.HORA
        counts = (
            f"SELECT count(*), count(*) FILTER (WHERE q.{c.NUM_CARTAO}::text ~ '[^0-9]'),"
            f" count(*) FILTER (WHERE q.{moment}::time = time '24:00')"
            f" FROM (\n{query}\n) AS q"
        )
        cursor.execute(sessions.render(cursor, side, counts, window.parameters))
        rows, odd_cards, end_of_day = cursor.fetchone()
        anyone = {**window.parameters, "merchant_field": ""}
        exists = f"SELECT EXISTS (SELECT FROM (\n{query}\n) AS q)"
        cursor.execute(sessions.render(cursor, side, exists, anyone))
        (any_merchant,) = cursor.fetchone()
        cursor.execute(
            "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())"
        )
        version, server_time = cursor.fetchone()
        return Survey(version, float(server_time), rows, odd_cards, end_of_day, any_merchant)
