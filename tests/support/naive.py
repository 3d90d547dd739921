"""The contract's matching rules in their simplest form: every pair is tried, in quadratic time.

Shares no code with the product.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tests.support.tables import Log, Transaction, instant

FOREVER = 10**15


@dataclass(frozen=True)
class Expected:
    consolidated: list[tuple[object, ...]]
    divergences: list[tuple[object, ...]]
    without_log: list[tuple[object, ...]]
    duplicates: list[tuple[object, ...]]
    reasons: list[tuple[object, ...]] | None = None
    distances: list[tuple[object, ...]] | None = None


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


def reconcile_in_time(
    transactions: list[Transaction],
    logs: list[Log],
    *,
    start: date,
    end: date,
    today: date,
    tolerance: int,
    approved: tuple[str, ...] = ("00",),
) -> Expected:
    """Rule `card_time`: greedy choice from the list of all pairs; ``tolerance`` in seconds."""
    low = datetime.combine(start, time.min) - timedelta(seconds=tolerance)
    high = datetime.combine(end, time.min) + timedelta(days=1, seconds=tolerance)

    def within(day: date | None, at: time | None) -> bool:
        moment = instant(day, at)
        return low <= moment < high if moment else inside(day)

    def inside(day: date | None) -> bool:
        return day is None or start <= day <= end

    transactions = [t for t in transactions if within(t.day, t.time)]
    logs = [log for log in logs if within(log.day, log.time)]
    purchases: dict[tuple[object, ...], list[Transaction]] = {}
    for t in transactions:
        key = (t.cpf or None, t.card or None, t.day, t.time, t.amount)
        purchases.setdefault(key, []).append(t)

    candidates = []
    for purchase, copies in purchases.items():
        for t in copies:
            for number, log in enumerate(logs):
                for rank, _, row in _pairs(t, log, approved):
                    if row[-1] is not None and abs(row[-1]) <= tolerance:
                        declined, distance, log_order, *rest = rank
                        bought = instant(t.day, t.time)
                        order = (declined, distance, bought, log_order, *rest)
                        candidates.append((order, purchase, number, t, row))
    candidates.sort(key=lambda candidate: candidate[0])
    pairs: dict[tuple[object, ...], tuple[Transaction, tuple[object, ...]]] = {}
    used: set[int] = set()
    for _, purchase, number, t, row in candidates:
        if purchase not in pairs and number not in used:
            pairs[purchase] = (t, row)
            used.add(number)

    consolidated, without_log, duplicates, reasons = [], [], [], []
    for purchase, copies in purchases.items():
        if not inside(copies[0].day):
            continue
        if purchase in pairs:
            survivor, row = pairs[purchase]
            consolidated.append(row)
        else:
            survivor = min(copies, key=lambda t: (not t.virtual, _sheet_key(_row(t))))
            without_log.append(_row(survivor))
            reasons.append((*_row(survivor), _reason(copies, logs, tolerance)))
        duplicates += [_row(t) for t in copies if t is not survivor]

    cards = {card for t in transactions for card in (t.card, t.virtual) if card}
    read = [at for t in transactions if (at := instant(t.day, t.time))]
    divergences, distances = [], []
    for number, log in enumerate(logs):
        if number in used or not inside(log.day):
            continue
        motivo = _motivo(log, read, end, today, approved)
        if motivo == "aprovada sem transação" and log.card and log.card in cards:
            motivo = "fora da tolerância"
        row = (log.card, log.day, log.time, log.code, log.text, motivo)
        divergences.append(row)
        distances.append((*row, _distance(log, transactions)))
    return Expected(
        sorted(consolidated, key=_sheet_key),
        sorted(divergences, key=_log_key),
        sorted(without_log, key=_sheet_key),
        sorted(duplicates, key=_sheet_key),
        sorted(reasons, key=lambda row: (_sheet_key(row[:7]), row[7])),
        sorted(distances, key=lambda row: (_log_key(row[:6]), str(row[6]))),
    )


def _reason(copies: list[Transaction], logs: list[Log], tolerance: int) -> str:
    of_card = [
        (t, log) for t in copies for log in logs if log.card and log.card in (t.card, t.virtual)
    ]
    if not of_card:
        return "sem log do cartão"
    for t, log in of_card:
        bought, logged = instant(t.day, t.time), instant(log.day, log.time)
        if bought and logged and abs((logged - bought).total_seconds()) <= tolerance:
            return "log usado por outra transação"
    return "fora da tolerância"


def _distance(log: Log, transactions: list[Transaction]) -> int | None:
    """Return the absolute seconds to the nearest transaction of the log's card."""
    logged = instant(log.day, log.time)
    return min(
        (
            int(abs((logged - bought).total_seconds()))
            for t in transactions
            if log.card and log.card in (t.card, t.virtual)
            if logged and (bought := instant(t.day, t.time))
        ),
        default=None,
    )


def _pairs(t: Transaction, log: Log, approved: tuple[str, ...]) -> list[tuple[object, ...]]:
    pairs = []
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
        pairs.append((rank, t, row))
    return pairs


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
