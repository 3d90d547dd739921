"""Measure the matching alone, on synthetic tables: ``python -m benchmarks.match --rows N``.

Both rules at N x N, then 100,000 x 100,000 records of one card against the same instants spread
over many cards, each case in its own process. The tables have the shape of extracted ones:
five records a card, two of them virtual, a twentieth noise.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import data, measure
from lib.analysis import books
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH
from lib.domain.requests import Period, Rule
from lib.matching import reconcile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

RULES = ("card", "card_time")
ONE_CARD_ROWS = 100_000
_DAY = 86_400
_SECONDS = (data.END - data.START).days * _DAY


def main() -> None:
    """Measure and print; the last line is the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--hot", action="store_true", help="half the records on 1 %% of the cards")
    parser.add_argument("--runs", type=int, default=1, help="report the median of this many runs")
    parser.add_argument(
        "--case", nargs=2, metavar=("RULE", "CARDS"), help="run one case in this process"
    )
    options = parser.parse_args()
    if options.case:
        rule, cards = options.case
        print(_seconds(rule, options.rows, int(cards), options.hot))
        return

    hot = ["--hot"] if options.hot else []
    figures, peaks = [], []
    for rule in RULES:
        seconds, peak = _case(rule, options.rows, max(options.rows // 5, 1), options.runs, *hot)
        figures.append(f"{rule} {seconds:.3f} s")
        peaks.append(f"{rule} {peak:.0f}")
    ratios = []
    for rule in RULES:
        spread, _ = _case(rule, ONE_CARD_ROWS, ONE_CARD_ROWS // 5, options.runs)
        one, _ = _case(rule, ONE_CARD_ROWS, 1, options.runs)
        figures.append(f"{rule}_spread {spread:.3f} s {rule}_one_card {one:.3f} s")
        ratios.append(f"{rule} {one / spread:.2f}")
    print(
        f"rows {options.rows} {' '.join(figures)} one_card_to_spread {' '.join(ratios)} "
        f"rss_mb {' '.join(peaks)}"
    )


def _case(rule: str, rows: int, cards: int, runs: int, *more: str) -> tuple[float, float]:
    name = f"{rule} {rows} rows {cards} cards"
    arguments = ["-m", "benchmarks.match", "--rows", str(rows), "--case", rule, str(cards), *more]
    costs = measure.repeated(name, runs, *arguments)
    seconds = measure.median(costs, lambda cost: float(cost.output))
    print(f"{name}: matching {seconds:.3f} s")
    return seconds, measure.median(costs, lambda cost: cost.peak_mb)


def _seconds(rule: str, rows: int, cards: int, hot: bool) -> float:
    transactions, auth_logs = tables(rows, cards, hot=hot)
    period = Period(data.START, data.END, data.END + timedelta(days=30))
    began = time.perf_counter()
    books.books(reconcile.reconcile(transactions, auth_logs, period, Rule(rule)))
    return time.perf_counter() - began


def tables(rows: int, cards: int, *, hot: bool = False) -> tuple[pa.Table, pa.Table]:
    """The two tables of an extraction, with this many rows each, in random order."""
    i = np.random.default_rng(rows).permutation(rows)
    card, slot = _on_cards(i, cards, hot)
    virtual = np.isin(slot, (1, 3))
    instant = _DAY // 24 + i * 48_271 % (_SECONDS - _DAY // 12)
    transactions = _table(
        {
            c.NUM_CPF: _shown(card // 3, "***.", "-**", 7),
            c.NUM_CARTAO: _shown(card, "400000******", "", 4),
            c.NUM_CARTAO_VIRTUAL: _shown(card, "409999******", "", 4, absent=~virtual),
            **_clock(c.DATA_TRANSA, c.HORA_TRANSA, instant),
            c.VLR_TOTAL: _amount(i * 7_919 % 100_000 + 100),
            c.DES_CNPJ_REDUZIDO: _shown(card * 0, data.MERCHANT[:13], "", 1),
            c.TOKEN_CARTAO: pa.array(_token(card)),
            c.TOKEN_VIRTUAL: pa.array(_token(-card - 1), mask=~virtual),
            c.TOKEN_CPF: pa.array(_token(card // 3 + 3 * rows)),
        }
    )
    order = np.random.default_rng(rows + 1).permutation(rows)
    i, card, virtual, instant = i[order], card[order], virtual[order], instant[order]
    # With one card there is no noise.
    stranger = (card % 20 == 0) & (card < cards - 1)
    shown = np.where(stranger, card + 2 * rows, card)
    declined = (card % 40 == 0) & stranger | (i % 50 == 49)
    auth_logs = _table(
        {
            c.NUM_CARTAO: _shown(shown, "400000******", "", 4),
            **_clock(c.DATA, c.HORA, instant + 2 - i % 9),
            c.COD_RESPOSTA: _words(declined.astype(np.int64), ("00", "51")),
            c.DES_LOG: _words(i % 2, ("Transação aprovada", "Transação aprovada com senha")),
            c.TOKEN_CARTAO: pa.array(_token(np.where(virtual, -shown - 1, shown))),
        }
    )
    return transactions, auth_logs


def _on_cards(i: Ints, cards: int, hot: bool) -> tuple[Ints, Ints]:
    """Each record's card, and its number among the card's records, modulo 5."""
    if not hot:
        return i % cards, i // cards % 5
    few = max(cards // 100, 1)
    size = np.where(i % 2 == 0, few, cards - few)
    return i // 2 % size + np.where(i % 2 == 0, 0, few), i // 2 // size % 5


def _token(number: Ints) -> Ints:
    """A 64-bit number, mixed like a hash, the same for the same card."""
    mixed = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ (mixed >> np.uint64(29))).view(np.int64)


def _clock(date_name: str, time_name: str, seconds: Ints) -> dict[str, pa.Array]:
    day = (data.START - EPOCH).days + seconds // _DAY
    return {
        date_name: pa.array(day.astype(np.int32)).view(pa.date32()),
        time_name: pa.array((seconds % _DAY).astype(np.int32)).view(pa.time32("s")),
    }


def _shown(
    number: Ints, before: str, after: str, digits: int, absent: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Texts with the last digits of a number in them, NULL where absent."""
    text = pc.utf8_lpad(pa.array(number % 10**digits).cast(pa.string()), digits, "0")
    text = pc.binary_join_element_wise(before, text, after, "")
    return text if absent is None else pc.if_else(pa.array(absent), None, text)


def _amount(cents: Ints) -> pa.Array:
    amount = pc.multiply(pa.array(cents).cast(pa.decimal128(19, 0)), Decimal("0.01"))
    return amount.cast(pa.decimal128(18, 2))


def _words(codes: Ints, words: tuple[str, ...]) -> pa.Array:
    return pa.array(words).take(pa.array(codes))


def _table(columns: dict[str, pa.Array]) -> pa.Table:
    """The columns in the types of an extraction: texts are dictionaries."""
    shaped = {}
    for name, values in columns.items():
        if pa.types.is_string(values.type):
            values = values.dictionary_encode()
        shaped[name] = values
    return pa.table(shaped)


if __name__ == "__main__":
    main()
