"""Columns of the extracted frames as integer arrays that compare the way the contract says.

Instants are local clock readings in whole seconds; a record without a time (or date) has none.
Text compares by code point, and blank (empty or NULL) comes before any other text. Knows the
column names and no rule.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DAY_SECONDS: Final = 86_400
MISSING: Final = np.iinfo(np.int64).max
EARLIEST: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Instants:
    """One clock reading a row: seconds since 1970-01-01, meaningful where ``known``.

    ``sheet_order`` sorts rows by date and then time, a missing time last in its day, a missing
    date last of all. ``day`` is days since 1970-01-01, `MISSING` where there is no date.
    """

    seconds: Ints
    known: NDArray[np.bool_]
    day: Ints
    sheet_order: Ints


def column(frame: pd.DataFrame, name: str) -> pa.Array:
    """The column as one Arrow array, without a copy where it has one chunk."""
    values = pa.array(frame[name])
    if not isinstance(values, pa.ChunkedArray):
        return values
    if values.num_chunks == 1:
        return values.chunk(0)
    return values.unify_dictionaries().combine_chunks()


def instants(frame: pd.DataFrame, date_name: str, time_name: str) -> Instants:
    """The clock reading of every row from its date32 and time32[s] columns."""
    day, day_known = _integers(column(frame, date_name), pa.int32())
    time, time_known = _integers(column(frame, time_name), pa.int32())
    known = day_known & time_known
    seconds = np.where(known, day * DAY_SECONDS + time, 0)
    order = np.where(time_known, day * (DAY_SECONDS + 1) + time, (day + 1) * (DAY_SECONDS + 1) - 1)
    return Instants(
        seconds=seconds,
        known=known,
        day=np.where(day_known, day, MISSING),
        sheet_order=np.where(
            day_known, order, MISSING - DAY_SECONDS + np.where(time_known, time, DAY_SECONDS)
        ),
    )


def cents(frame: pd.DataFrame, name: str) -> Ints:
    """A decimal128(18, 2) column in hundredths, exactly; `MISSING` where NULL."""
    values = column(frame, name)
    words = np.frombuffer(values.buffers()[1], dtype=np.int64)
    low = words[2 * values.offset : 2 * (values.offset + len(values)) : 2]
    return np.where(_valid(values), low, MISSING)


def token(frame: pd.DataFrame, name: str) -> tuple[Ints, NDArray[np.bool_]]:
    """A token column as (values, present): 0 and False where there is nothing to match."""
    return _integers(column(frame, name), pa.int64())


def text_rank(frame: pd.DataFrame, name: str, rows: Ints) -> Ints:
    """The rank of each row's text among the values of these rows; blanks and row -1 rank 0."""
    values = column(frame, name).take(pa.array(rows, mask=rows < 0))
    if pa.types.is_dictionary(values.type) and len(values.dictionary) > len(rows):
        values = values.dictionary_decode()
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    words = values.dictionary
    rank = pc.rank(words, tiebreaker="dense").to_numpy(zero_copy_only=False).astype(np.int64)
    rank[pc.equal(words, "").to_numpy(zero_copy_only=False)] = 0
    codes, present = _integers(values.indices.cast(pa.int32()), pa.int32())
    if not len(rank):
        return np.zeros(len(codes), dtype=np.int64)
    return np.where(present, rank[codes], 0)


def is_in(frame: pd.DataFrame, name: str, words: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which rows hold one of these texts; NULL holds none."""
    found = pc.is_in(column(frame, name), value_set=pa.array(words, pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _integers(values: pa.Array, storage: pa.DataType) -> tuple[Ints, NDArray[np.bool_]]:
    raw = values if values.type == storage else values.view(storage)
    width = raw.type.bit_width // 8
    dtype = np.dtype(f"i{width}")
    data = np.frombuffer(raw.buffers()[1] or b"", dtype=dtype)[raw.offset : raw.offset + len(raw)]
    present = _valid(raw)
    return np.where(present, data, 0).astype(np.int64, copy=False), present


def _valid(values: pa.Array) -> NDArray[np.bool_]:
    if values.null_count == 0:
        return np.ones(len(values), dtype=np.bool_)
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)


def tokens_from_hex(values: pa.Array) -> pa.Array:
    """Sixteen hexadecimal digits a row as int64."""
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)
    text = values.buffers()[2]
    packed = binascii.unhexlify(memoryview(text)[: offsets[len(values)]]) if text else b""
    numbers = np.zeros(len(values), dtype=np.int64)
    numbers[valid] = np.frombuffer(packed, dtype=">i8")
    return pa.array(numbers, mask=~valid)
