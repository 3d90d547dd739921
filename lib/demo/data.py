"""Generate the demonstration's purchases and authentication logs as Arrow tables.

Owns the synthetic customers, cards and merchants. Pure and deterministic: the same instant and
size give the same rows.

A log's ``raw_data`` is one fixed-layout message; first and last character of each field:

    1-4     message type, ``0100``          66-68   currency, ``986``
    5-23    card number, left-justified     69-76   terminal, ``T`` and seven digits
    24-29   processing code, ``003000``     77-91   acceptor: the CNPJ, zeros on its left
    30-41   amount in cents, zero-padded    92-93   response code
    42-55   local instant, YYYYMMDDhhmmss   94-118  acceptor name, left-justified
    56-65   trace number, zero-padded
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Ints

    Texts = NDArray[np.str_]
    Rows = dict[str, NDArray[Any]]
    Rng = np.random.Generator

VERSION: Final = 2
DAYS: Final = 30
MERCHANTS: Final = {
    "12345678000190": "Loja Exemplo",
    "45987320000115": "Mercado Aurora",
    "7KM2Q9B4000149": "Café do Porto",
}

CUSTOMER_CARDS: Final = "customer_cards"
TRANSACTIONS: Final = "transactions"
AUTH_LOGS: Final = "authentication.transaction_logs"

_SEED: Final = 20_260_701
_DAY: Final = 86_400
# The issuer books a purchase some minutes after it was authenticated.
_BOOKING_DELAY: Final = 15 * 60
_PHYSICAL: Final = (  # share, length, first six digits
    (0.90, 16, ("400000", "411111", "510510", "650487")),
    (0.08, 15, ("371449", "378282")),
    (0.01, 13, ("422222",)),
    (0.01, 19, ("606282",)),
)
_VIRTUAL_BINS: Final = ("409999", "529999")
_VIRTUAL_PREFIX: Final = "VC0001"
_SHARES: Final = (0.70, 0.20, 0.10)
_TYPICAL_AMOUNT: Final = (120.0, 85.0, 24.0)
_WEEKDAYS: Final = (0.85, 0.80, 0.90, 1.00, 1.30, 1.45, 0.70)  # from Monday
_HOURS: Final = (  # one row per merchant, from midnight
    (2, 1, 1, 1, 1, 2, 4, 8, 18, 32, 46, 62, 78, 66, 50, 48, 54, 66, 84, 90, 70, 42, 20, 8),
    (1, 1, 1, 1, 1, 3, 12, 34, 48, 52, 56, 60, 52, 40, 36, 40, 52, 76, 92, 80, 52, 24, 8, 2),
    (1, 1, 1, 1, 2, 12, 48, 92, 84, 56, 40, 36, 44, 52, 60, 70, 64, 48, 30, 18, 10, 6, 3, 1),
)
_APPROVED: Final = (
    "Transação aprovada",
    "Transação aprovada com senha",
    "Transação aprovada por autenticação 3DS",
)
_DECLINED: Final = (
    (0.46, "51", "Saldo ou limite insuficiente"),
    (0.22, "05", "Transação não autorizada pelo emissor"),
    (0.12, "14", "Número de cartão inválido"),
    (0.10, "55", "Senha incorreta"),
    (0.06, "91", "Emissor fora do ar"),
    (0.04, "54", "Cartão vencido"),
)


def generate(until: datetime, rows: int) -> dict[str, pa.Table]:
    """Generate the three source tables, by qualified name.

    They hold ``rows`` transactions of the 30 days before ``until`` (naive local time, whole
    seconds) and their logs; none is later than ``until``.
    """
    rng = np.random.default_rng((_SEED, until.toordinal()))
    now = int(np.datetime64(until, "s").astype(np.int64))
    copies = rows // 100
    ends = np.cumsum([max(8, rows // share) for share in (6, 150, 30, 150)])
    cards = _cards(rng, ends[-1])
    buyers, silent, refused, strangers = np.split(cards, ends[:-1])
    cpfs = _cpfs(rng, max(8, 2 * len(cards) // 3))
    bought = _purchases(rng, now, rows - copies, buyers, silent)
    logs = _logs(rng, now, bought, refused, strangers, cpfs)
    return {
        CUSTOMER_CARDS: _customer_cards(rng, cards, cpfs),
        TRANSACTIONS: _transactions(rng, bought, copies),
        AUTH_LOGS: _auth_logs(logs, rng.permutation(len(logs["card"]))),
    }


def _cards(rng: Rng, n: int) -> Texts:
    """Draw ``n`` different physical card numbers with valid check digits, of all lengths."""
    drawn = [_numbers(rng, bins, size, int(1.02 * n * part) + 4) for part, size, bins in _PHYSICAL]
    return rng.permutation(np.unique(np.concatenate(drawn)))[:n]


def _numbers(rng: Rng, bins: tuple[str, ...], length: int, n: int) -> Texts:
    digits = rng.integers(0, 10, (n, length))
    digits[:, :6] = np.array([list(b) for b in bins], dtype=np.int64)[rng.integers(0, len(bins), n)]
    weighted = digits[:, :-1].copy()
    weighted[:, ::-1][:, ::2] *= 2
    digits[:, -1] = -(weighted - 9 * (weighted > 9)).sum(axis=1) % 10
    return _text(digits)


def _cpfs(rng: Rng, n: int) -> Texts:
    digits = rng.integers(0, 10, (n, 11))
    for position in (9, 10):
        remainder = digits[:, :position] @ np.arange(position + 1, 1, -1) % 11
        digits[:, position] = np.where(remainder < 2, 0, 11 - remainder)
    return np.unique(_text(digits))


def _text(digits: Ints) -> Texts:
    ascii_codes = np.ascontiguousarray(digits + ord("0"), dtype=np.uint8)
    return ascii_codes.view(f"S{digits.shape[1]}").ravel().astype(np.str_)


def _instants(rng: Rng, now: int, merchant: Ints) -> Ints:
    """Draw an instant (seconds since 1970) for each purchase, in the 30 days before ``now``."""
    days = now // _DAY - np.arange(DAYS)
    day_weights = np.array(_WEEKDAYS)[(days + 3) % 7]  # 1970-01-01 was a Thursday
    instants = np.empty(len(merchant), dtype=np.int64)
    for i, hours in enumerate(_HOURS):
        weights = np.outer(day_weights, hours).ravel()
        chosen = np.flatnonzero(merchant == i)
        cell = rng.choice(len(weights), len(chosen), p=weights / weights.sum())
        instants[chosen] = days[cell // 24] * _DAY + cell % 24 * 3600
    instants += rng.integers(0, 3600, len(merchant))
    # Purchases later today move to the first, partial day of the window.
    instants[instants > now - _BOOKING_DELAY] -= DAYS * _DAY
    return instants


def _cents(rng: Rng, merchant: Ints) -> Ints:
    typical = np.array(_TYPICAL_AMOUNT)[merchant]
    return np.rint(100 * typical * rng.lognormal(0.0, 0.8, len(merchant))).astype(np.int64) + 1


def _purchases(rng: Rng, now: int, n: int, buyers: Texts, silent: Texts) -> Rows:
    merchant = rng.choice(len(_SHARES), n, p=_SHARES)
    # Some cards buy far more often than others.
    card = buyers[(len(buyers) * rng.random(n) ** 1.6).astype(np.int64)]
    unseen = rng.random(n) < 0.01
    card = np.where(unseen, silent[rng.integers(0, len(silent), n)], card)
    number = _numbers(rng, _VIRTUAL_BINS, 16, n)
    return {
        "card": card,
        "virtual": np.where(rng.random(n) < 0.25, number, ""),
        "instant": _instants(rng, now, merchant),
        "merchant": merchant,
        "cents": _cents(rng, merchant),
        "logged": ~unseen & (rng.random(n) > 0.01),
    }


def _logs(rng: Rng, now: int, bought: Rows, refused: Texts, strangers: Texts, cpfs: Texts) -> Rows:
    """Generate the logs: of purchases, of declined attempts before them, and without purchase."""
    logged = {name: values[bought["logged"]] for name, values in bought.items()}
    n = len(logged["card"])
    by_virtual = (logged["virtual"] != "") & (rng.random(n) < 0.9)
    logged["card"] = np.where(by_virtual, logged["virtual"], logged["card"])
    delay = np.rint(rng.normal(-2, 3, n)).astype(np.int64)
    early = rng.random(n) < 0.005
    delay[early] -= rng.integers(6 * 60, 40 * 60, early.sum())
    logged["instant"] = logged["instant"] + delay

    retried = np.flatnonzero(rng.random(n) < 0.03)
    attempts = {name: values[retried] for name, values in logged.items()}
    attempts["instant"] = attempts["instant"] - rng.integers(8, 90, len(retried))

    alone = _lone(rng, now, refused, n // 25)
    orphans = _lone(rng, now, strangers, n // 160)
    fresh = _lone(rng, now, strangers, 5, now - rng.integers(60, _BOOKING_DELAY - 60, 5))
    odd = _lone(rng, now, strangers, 2, now - np.array([26, 50]) * 3600)

    approved = _merged([_approved(rng, part) for part in (logged, orphans, fresh, odd)])
    texts = approved["description"].astype("U80")
    for share, prefix, values in (
        (0.003, "Reapresentada para o cartão ", approved["card"]),
        (0.002, "Portador confirmou o CPF ", cpfs[rng.integers(0, len(cpfs), len(texts))]),
    ):
        chosen = rng.random(len(texts)) < share
        texts[chosen] = np.strings.add(prefix, values[chosen])
    texts[-2:] = f"Reapresentada para o cartão {approved['card'][-2]}", "=1+1 conferido na loja"
    approved["description"] = texts
    return _merged([approved, *(_declined(rng, part) for part in (attempts, alone))])


def _lone(rng: Rng, now: int, cards: Texts, n: int, instant: Ints | None = None) -> Rows:
    """Generate logs of cards without a purchase; with given instants, of the first merchant."""
    merchant = rng.choice(len(_SHARES), n, p=_SHARES) if instant is None else np.zeros(n, np.int64)
    return {
        "card": cards[rng.integers(0, len(cards), n)],
        "instant": _instants(rng, now, merchant) if instant is None else instant,
        "merchant": merchant,
        "cents": _cents(rng, merchant),
    }


def _approved(rng: Rng, logs: Rows) -> Rows:
    n = len(logs["card"])
    text = np.array(_APPROVED)[rng.choice(len(_APPROVED), n, p=(0.5, 0.35, 0.15))]
    return logs | {"code": np.full(n, "00"), "description": text}


def _declined(rng: Rng, logs: Rows) -> Rows:
    shares, codes, texts = zip(*_DECLINED, strict=True)
    chosen = rng.choice(len(codes), len(logs["card"]), p=shares)
    return logs | {"code": np.array(codes)[chosen], "description": np.array(texts)[chosen]}


def _merged(parts: list[Rows]) -> Rows:
    names = ("card", "instant", "merchant", "cents", "code", "description")
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _customer_cards(rng: Rng, cards: Texts, cpfs: Texts) -> pa.Table:
    """Assign a holder to nearly every card, and a second one to a few cards."""
    with_holder = cards[rng.random(len(cards)) > 0.005]
    shared = with_holder[rng.random(len(with_holder)) < 0.002]
    card = np.concatenate([with_holder, shared])
    holder = rng.integers(1, len(cpfs), len(with_holder))
    # The second holder is always the first customer, so no card has the same holder twice.
    holder = np.concatenate([holder, np.zeros(len(shared), np.int64)])
    return pa.table({"customer_cpf": cpfs[holder], "card_number": card})


def _transactions(rng: Rng, bought: Rows, copies: int) -> pa.Table:
    """Add ``copies`` duplicates, half of them without a virtual card, and shuffle the rows."""
    n = len(bought["card"])
    prefix = np.where(rng.random(n) < 0.4, _VIRTUAL_PREFIX, "")
    virtual = np.where(bought["virtual"] == "", "", np.strings.add(prefix, bought["virtual"]))
    row = np.concatenate([np.arange(n), rng.choice(n, min(copies, n), replace=False)])
    stored = virtual[row]
    stored[n + copies // 2 :] = ""
    # A missing virtual card is NULL, or in one of a hundred rows an empty text.
    absent = (stored == "") & (rng.random(len(row)) > 0.01)
    order = rng.permutation(len(row))
    row = row[order]
    cents = pa.array(bought["cents"][row]).cast(pa.decimal128(19, 0))
    columns = {
        "card_number": bought["card"][row],
        **_clock("transaction", bought["instant"][row]),
        "merchant_id": np.array(list(MERCHANTS))[bought["merchant"][row]],
        "virtual_card_number": pa.array(stored[order], mask=absent[order]),
        "amount": pc.multiply(cents, Decimal("0.01")),
    }
    return pa.table(columns)


def _auth_logs(logs: Rows, order: Ints) -> pa.Table:
    logs = {name: values[order] for name, values in logs.items()}
    n = len(order)
    cnpjs = [cnpj.rjust(15, "0") for cnpj in MERCHANTS]
    names = [name.ljust(25) for name in MERCHANTS.values()]
    instants = pa.array(logs["instant"]).cast(pa.timestamp("s"))
    trace = pa.array(np.arange(1, n + 1)).cast(pa.string())
    terminal = pa.array(logs["merchant"] * 100 + np.arange(n) % 7 + 1).cast(pa.string())
    cents = pa.array(logs["cents"]).cast(pa.string())
    raw = pc.binary_join_element_wise(
        "0100",
        pc.utf8_rpad(pa.array(logs["card"]), 19),
        "003000",
        pc.utf8_lpad(cents, 12, "0"),
        pc.strftime(instants, "%Y%m%d%H%M%S"),
        pc.utf8_lpad(trace, 10, "0"),
        "986T",
        pc.utf8_lpad(terminal, 7, "0"),
        pa.array(np.array(cnpjs)[logs["merchant"]]),
        pa.array(logs["code"]),
        pa.array(np.array(names)[logs["merchant"]]),
        "",
    )
    columns = {
        "card_number": logs["card"],
        **_clock("log", logs["instant"]),
        "response_code": logs["code"],
        "description": logs["description"],
        "raw_data": raw,
    }
    return pa.table(columns)


def _clock(name: str, instants: Ints) -> dict[str, pa.Array]:
    return {
        f"{name}_date": pa.array((instants // _DAY).astype(np.int32)).cast(pa.date32()),
        f"{name}_time": pa.array((instants % _DAY).astype(np.int32)).cast(pa.time32("s")),
    }
