"""Columns of the extracted tables as integer arrays that compare as the contract requires.

Instants are local clock readings in whole seconds; a record without a date or a time has none.
Text compares by code point, with blank (empty or NULL) first. Knows no matching rule.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

DAY_SECONDS: Final = 86_400
MISSING: Final = np.iinfo(np.int64).max
"""Represents NULL in an integer array; sorts last."""
EARLIEST: Final = np.iinfo(np.int64).min
"""Represents an instant before all others."""


@dataclass(frozen=True)
class Instants:
    """One clock reading per row: seconds since 1970-01-01, valid where ``known``.

    ``day`` is days since 1970-01-01, ``time`` seconds since midnight; `MISSING` without one.
    """

    seconds: Ints
    known: Bools
    day: Ints
    time: Ints

    @cached_property
    def sheet_order(self) -> Ints:
        """Sorts rows by date, then time; a missing time last in its day, a missing date last."""
        within = np.minimum(self.time, DAY_SECONDS)
        dated = self.day != MISSING
        day = np.where(dated, self.day, 0)
        return np.where(dated, day * (DAY_SECONDS + 1), MISSING - DAY_SECONDS) + within


def column(table: pa.Table, name: str) -> pa.Array:
    """Return the column as one array, without a copy if it has one chunk."""
    values = table[name]
    if values.num_chunks == 1:
        return values.chunk(0)
    return values.unify_dictionaries().combine_chunks()


def labels(codes: NDArray[np.int8], texts: Sequence[str]) -> pa.Array:
    """Return a dictionary array whose codes index these texts."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, pa.string()))


def instants(table: pa.Table, date_name: str, time_name: str) -> Instants:
    """Return the clock readings of a date32 and a time32[s] column."""
    day, day_known = _integers(column(table, date_name), pa.int32())
    time, time_known = _integers(column(table, time_name), pa.int32())
    known = day_known & time_known
    return Instants(
        seconds=np.where(known, day * DAY_SECONDS + time, 0),
        known=known,
        day=np.where(day_known, day, MISSING),
        time=np.where(time_known, time, MISSING),
    )


def days(table: pa.Table, name: str) -> Ints:
    """Return a date32 column as days since 1970-01-01, `MISSING` where NULL."""
    day, known = _integers(column(table, name), pa.int32())
    return np.where(known, day, MISSING)


def cents(table: pa.Table, name: str) -> Ints:
    """Return a decimal128(18, 2) column in hundredths, `MISSING` where NULL."""
    values = column(table, name)
    words = np.frombuffer(values.buffers()[1], dtype=np.int64)
    # 18 digits fit in the low 64 of the 128 bits.
    low = words[2 * values.offset : 2 * (values.offset + len(values)) : 2]
    return np.where(_valid(values), low, MISSING)


def total(cents: Ints) -> Decimal:
    """Return the exact sum of hundredths, without those `MISSING`."""
    return Decimal(int(cents[cents != MISSING].sum())) / 100


def decimals(cents: Ints) -> list[Decimal]:
    """Return hundredths as exact amounts."""
    return [Decimal(int(value)).scaleb(-2) for value in cents]


def token(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """Return a token column as (values, present); a missing token is (0, False)."""
    return _integers(column(table, name), pa.int64())


def distinct(values: Ints) -> Ints:
    """Return the distinct values, sorted. `np.unique` hashes them, which takes ten times longer."""
    values = np.sort(values)
    is_first = np.append(True, values[1:] != values[:-1])[: len(values)]
    return np.compress(is_first, values)


def common(left: Ints, right: Ints) -> Ints:
    """Return the distinct values that both arrays have, sorted."""
    values = np.sort(np.concatenate([distinct(left), distinct(right)]))
    return np.compress(values[1:] == values[:-1], values[1:])


def text_rank(table: pa.Table, name: str, rows: Ints) -> Ints:
    """Rank each row's text among the texts of these rows; blank text and row -1 have rank 0."""
    values = column(table, name).take(pa.array(rows, mask=rows < 0))
    if pa.types.is_dictionary(values.type) and len(values.dictionary) > len(rows):
        values = values.dictionary_decode()
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    texts = values.dictionary
    rank = pc.rank(texts, tiebreaker="dense").to_numpy(zero_copy_only=False).astype(np.int64)
    rank[pc.equal(texts, "").to_numpy(zero_copy_only=False)] = 0
    codes, present = _integers(values.indices.cast(pa.int32()), pa.int32())
    if not len(rank):
        return np.zeros(len(codes), dtype=np.int64)
    return np.where(present, rank[codes], 0)


def is_in(table: pa.Table, name: str, texts: tuple[str, ...]) -> Bools:
    """Return a mask of the rows whose text is one of these; False for NULL."""
    mask = pc.is_in(column(table, name), value_set=pa.array(texts, pa.string()))
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)


def tokens_from_hex(values: pa.Array) -> pa.Array:
    """Parse tokens of sixteen hexadecimal digits as int64."""
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)
    text = values.buffers()[2]
    packed = binascii.unhexlify(memoryview(text)[: offsets[len(values)]]) if text else b""
    numbers = np.zeros(len(values), dtype=np.int64)
    numbers[valid] = np.frombuffer(packed, dtype=">i8")
    return pa.array(numbers, mask=~valid)


def _integers(values: pa.Array, storage: pa.DataType) -> tuple[Ints, Bools]:
    raw = values if values.type == storage else values.view(storage)
    width = raw.type.bit_width // 8
    dtype = np.dtype(f"i{width}")
    data = np.frombuffer(raw.buffers()[1] or b"", dtype=dtype)[raw.offset : raw.offset + len(raw)]
    present = _valid(raw)
    return np.where(present, data, 0).astype(np.int64, copy=False), present


def _valid(values: pa.Array) -> Bools:
    if values.null_count == 0:
        return np.ones(len(values), dtype=np.bool_)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
