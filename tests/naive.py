"""The contract's matching rules as one would explain them: every pair, one at a time, quadratic.

Shares nothing with the product but the record types of the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tests.frames import Log, Transaction, instant

FOREVER = 10**15


@dataclass(frozen=True)
class Expected:
    consolidated: list[tuple[object, ...]]
    divergences: list[tuple[object, ...]]
    without_log: list[tuple[object, ...]]
    duplicates: list[tuple[object, ...]]


def reconcile(
    transactions: list[Transaction],
    logs: list[Log],
    *,
    end: date,
    today: date,
    approved: tuple[str, ...] = ("00",),
) -> Expected:
    """Rule `card`."""
    purchases: dict[tuple[object, ...], list[Transaction]] = {}
    for t in transactions:
        key = (t.cpf or None, t.card or None, t.day, t.time, t.amount)
        purchases.setdefault(key, []).append(t)

    consolidated, without_log, duplicates = [], [], []
    for copies in purchases.values():
        pairs = [pair for t in copies for log in logs for pair in _pairs(t, log, approved)]
        if pairs:
            _, survivor, row = min(pairs, key=lambda pair: pair[0])
            consolidated.append(row)
        else:
            survivor = min(copies, key=lambda t: (not t.virtual, _sheet_key(_row(t))))
            without_log.append(_row(survivor))
        duplicates += [_row(t) for t in copies if t is not survivor]

    cards = {card for t in transactions for card in (t.card, t.virtual) if card}
    read = [at for t in transactions if (at := instant(t.day, t.time))]
    divergences = [
        (log.card, log.day, log.time, log.code, log.text, _motivo(log, read, end, today, approved))
        for log in logs
        if not (log.card and log.card in cards)
    ]
    return Expected(
        sorted(consolidated, key=_sheet_key),
        sorted(divergences, key=_log_key),
        sorted(without_log, key=_sheet_key),
        sorted(duplicates, key=_sheet_key),
    )


def _pairs(t: Transaction, log: Log, approved: tuple[str, ...]) -> list[tuple[object, ...]]:
    found = []
    for tipo, card in (("físico", t.card), ("virtual", t.virtual)):
        if not card or log.card != card:
            continue
        bought, logged = instant(t.day, t.time), instant(log.day, log.time)
        difference = int((logged - bought).total_seconds()) if bought and logged else None
        row = (*_row(t), log.code, log.text, tipo, difference)
        rank = (
            log.code not in approved,
            FOREVER if difference is None else abs(difference),
            (logged is None, logged or datetime.min, log.day is None, log.day or date.min),
            tipo == "virtual",
            not t.virtual,
            _sheet_key(row),
        )
        found.append((rank, t, row))
    return found


def _row(t: Transaction) -> tuple[object, ...]:
    return (t.cpf, t.card, t.virtual, t.day, t.time, t.amount, t.merchant)


def _motivo(
    log: Log, read: list[datetime], end: date, today: date, approved: tuple[str, ...]
) -> str:
    if log.code not in approved:
        return "negada"
    at = instant(log.day, log.time)
    if end >= today - timedelta(days=1) and read and at and at > max(read):
        return "recente"
    return "aprovada sem transação"


def _sheet_key(row: tuple[object, ...]) -> tuple[object, ...]:
    texts_and_numbers = [_number(v) if i in (5, 10) else _visible(v) for i, v in enumerate(row)]
    return (_when(row[3], row[4]), *texts_and_numbers)


def _log_key(row: tuple[object, ...]) -> tuple[object, ...]:
    return (_when(row[1], row[2]), *(_visible(v) for v in row))


def _when(day: object, at: object) -> tuple[object, ...]:
    return (day is None, day or date.min, at is None, at or time.min)


def _visible(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> tuple[object, ...]:
    return (value is None, value or 0)
