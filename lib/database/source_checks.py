"""Check a source without fetching its records: columns, types, permissions, counts and clock.

Serves `lib.delivery.diagnosis`; a run does not need it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lib.database import (
    column_types,
    copy_reader,
    date_validation,
    masking,
    record_batches,
    sessions,
    snapshots,
    source_query,
)
from lib.domain import columns as c
from lib.domain import requests
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.column_types import Layout
    from lib.domain.requests import Side

_STATEMENTS: Final = 4.0
"""The survey's time limit, in statement timeouts."""


@dataclass(frozen=True)
class Survey:
    """Result of `survey`; ``server_time`` is the server's clock in seconds since 1970 UTC.

    ``odd_cards`` and ``odd_virtual`` count numbers with characters other than digits,
    ``other_length`` virtual numbers of another length than the card of the same record,
    ``spaced_codes`` response codes with blanks, ``end_of_day`` times written as 24:00:00.
    ``foreign`` names tables of other servers. ``any_merchant`` is true if the period has records
    of any merchant.
    """

    version: str
    server_time: float
    rows: int
    odd_cards: int
    odd_virtual: int
    other_length: int
    spaced_codes: int
    end_of_day: int
    foreign: tuple[str, ...]
    any_merchant: bool


def survey(settings: Settings, side: Side, window: requests.Window) -> Survey:
    """Check the side's columns and permissions, and count its records without fetching any.

    Raises the same ContractErrors as a run.
    """
    limit = _STATEMENTS * sessions.source_of(settings, side).statement_timeout
    with ExitStack() as stack:
        cursor = stack.enter_context(sessions.session(settings, side, window.user, limit=limit))
        layout = column_types.examine(cursor, settings, side, window)
        stack.enter_context(column_types.conversions_named(side, layout))
        foreign = [name for name, kind, _ in snapshots.used(cursor) if kind == snapshots.FOREIGN]
        select = copy_reader.masked_select(cursor, settings, side, window, layout, clear=False)
        cursor.execute(b"SELECT FROM (" + select + b") AS s LIMIT 1")
        query = source_query.load(settings, side)
        counts = f"SELECT count(*), {_counts(settings, side, layout)} FROM (\n{query}\n) AS q"
        counts += masking.within(f"q.{date_validation.DATES[side]}", layout)
        wide = column_types.widened(settings, side, window, layout).parameters
        beyond = {"beyond": column_types.following(window)}
        cursor.execute(source_query.render(cursor, side, counts, wide | beyond))
        rows, odd_cards, odd_virtual, other_length, spaced_codes, end_of_day, decimals = (
            cursor.fetchone()
        )
        if decimals:
            raise ContractError(record_batches.MORE_DECIMALS, side=side, name=c.VLR_TOTAL)
        if date_validation.may_cut(settings, side, layout):
            for day in {max(window.start, window.end - timedelta(days=1)), window.end}:
                one = replace(window, start=day, end=day)
                date_validation.require_whole(cursor, settings, side, one)
        anyone = {**window.parameters, "merchant_field": ""}
        exists = f"SELECT EXISTS (SELECT FROM (\n{query}\n) AS q)"
        cursor.execute(source_query.render(cursor, side, exists, anyone))
        (any_merchant,) = cursor.fetchone()
        cursor.execute(
            "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp())"
        )
        version, server_time = cursor.fetchone()
    return Survey(
        version=version,
        server_time=float(server_time),
        rows=rows,
        odd_cards=odd_cards,
        odd_virtual=odd_virtual,
        other_length=other_length,
        spaced_codes=spaced_codes,
        end_of_day=end_of_day,
        foreign=tuple(foreign),
        any_merchant=any_merchant,
    )


def _counts(settings: Settings, side: Side, layout: Layout) -> str:
    """The SELECT list that counts the conditions of `Survey` and amounts with more decimals."""
    card = f"q.{c.NUM_CARTAO}::text"
    if side == "transactions":
        stored = f"q.{c.NUM_CARTAO_VIRTUAL}::text"
        virtual = masking.virtual_number(stored, settings.virtual_prefix_length)
        odd_virtual = f"({virtual}) ~ '[^0-9]'"
        digits = f"({virtual}) ~ '^[0-9]+$' AND {card} ~ '^[0-9]+$'"
        other_length = f"{digits} AND length({virtual}) <> length({card})"
        spaced_code, moment = "false", f"q.{c.HORA_TRANSA}"
        amount = masking.amount(f"q.{c.VLR_TOTAL}", layout)
        decimals = "false" if layout.cents else f"({amount}) = '{masking.DECIMALS}'"
    else:
        odd_virtual = other_length = decimals = "false"
        spaced_code, moment = f"q.{c.COD_RESPOSTA}::text ~ '[[:space:]\u00a0]'", f"q.{c.HORA}"
    conditions = (
        f"{card} ~ '[^0-9]'",
        odd_virtual,
        other_length,
        spaced_code,
        f"{moment}::time = time '24:00'",
        decimals,
    )
    return ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)
