"""Cases: records that need somebody, their identity and their visible values.

A case is a divergent log without a transaction, or a transaction without log. Its key is the same
in masked and clear runs, under either rule and by any engine: the first 8 bytes of SHA-256 over
its masked visible values and an ordinal among identical records, held as a signed 64-bit number.
Uses no token and no clear value. Pure; knows no store and no screen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.domain import columns as c
from lib.domain import masks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lib.domain.column_arrays import Ints

LOG: Final = "log"
TRANSACTION: Final = "transaction"

NEW: Final = "new"
OPEN: Final = "open"
MATCHED: Final = "matched"
MISSING: Final = "missing"
STATES: Final = (NEW, OPEN, MATCHED, MISSING)

IN_ANALYSIS: Final = "em análise"
ACCEPTED: Final = "aceita"
RESOLVED: Final = "resolvida"
STATUSES: Final = (IN_ANALYSIS, ACCEPTED, RESOLVED)
SETTLED: Final = (ACCEPTED, RESOLVED)
"""Statuses of cases that the pages' counts leave out."""

MOTIVOS: Final = (c.APROVADA_SEM_TRANSACAO, c.FORA_DA_TOLERANCIA)
"""Reasons of the divergences that are cases."""

LOG_VALUES: Final = (c.NUM_CARTAO, c.DATA, c.HORA, c.COD_RESPOSTA, c.DES_LOG)
TRANSACTION_VALUES: Final = c.TRANSACTIONS_QUERY

# Columns of a table of cases: of both kinds, in the types of an extraction.
KIND: Final = "kind"
CARD: Final = "card"
DAY: Final = "day"
TIME: Final = "time"
CODE: Final = "code"
AMOUNT: Final = "amount"
CPF: Final = "cpf"
VIRTUAL: Final = "virtual"
FIELD: Final = "merchant_field"
TEXT: Final = "text"
MOTIVO: Final = "motivo"
SCHEMA: Final = pa.schema(
    {
        KIND: pa.string(),
        CARD: pa.string(),
        DAY: pa.date32(),
        TIME: pa.time32("s"),
        CODE: pa.string(),
        AMOUNT: pa.decimal128(18, 2),
        CPF: pa.string(),
        VIRTUAL: pa.string(),
        FIELD: pa.string(),
        TEXT: pa.string(),
        MOTIVO: pa.string(),
    }
)
CHANGEABLE: Final = (CPF, VIRTUAL, FIELD, TEXT, MOTIVO)
"""Columns outside the identity, brought up to date while the case is seen."""

NAMES: Final = {
    LOG: {CARD: c.NUM_CARTAO, DAY: c.DATA, TIME: c.HORA, CODE: c.COD_RESPOSTA, TEXT: c.DES_LOG},
    TRANSACTION: {
        CPF: c.NUM_CPF,
        CARD: c.NUM_CARTAO,
        VIRTUAL: c.NUM_CARTAO_VIRTUAL,
        DAY: c.DATA_TRANSA,
        TIME: c.HORA_TRANSA,
        AMOUNT: c.VLR_TOTAL,
        FIELD: c.DES_CNPJ_REDUZIDO,
    },
}
"""The contract's name of each column, by kind."""

_MASKS: Final[dict[str, Callable[[str | None], str | None]]] = {
    CARD: masks.card,
    VIRTUAL: masks.card,
    CPF: masks.cpf,
    CODE: masks.text,
    TEXT: masks.text,
}
_LABEL_TYPES: Final = (pa.string(), pa.date32(), pa.string())
_SEPARATOR: Final = "\x1f"
SITUATIONS: Final = {NEW: "nova", OPEN: "aberta"}
"""Words of a report for the states of open cases; a status replaces them."""


@dataclass(frozen=True)
class Cases:
    """The cases of one run: ``table`` has `SCHEMA`, sorted by ``keys``.

    ``rows`` are their positions in the table that they were numbered from. ``ordinals`` count
    identical records from 1, and ``bases`` are the keys of the first of them; ``digests`` identify
    the `CHANGEABLE` values.
    """

    keys: Ints
    rows: Ints
    bases: Ints
    ordinals: Ints
    digests: Ints
    table: pa.Table

    def take(self, rows: Ints) -> Cases:
        """The cases in these places, in this order."""
        table = self.table.take(pa.array(rows))
        columns = (self.keys, self.rows, self.bases, self.ordinals, self.digests)
        keys, positions, bases, ordinals, digests = (column[rows] for column in columns)
        return Cases(keys, positions, bases, ordinals, digests, table)


@dataclass(frozen=True)
class Label:
    """A case in a report: its situation, the local day it was first seen, and its owner."""

    situacao: str
    desde: date
    responsavel: str | None


@dataclass(frozen=True)
class Labels:
    """The labels of a merchant's cases by key, for the last columns of the divergences."""

    merchant: str
    by_key: dict[int, Label]

    def columns(self, divergences: pa.Table, *, clear: bool) -> pa.Table:
        """Return `columns.CASE_COLUMNS` of these rows, blank where a row has no label."""
        case = pc.is_in(divergences[c.MOTIVO].cast(pa.string()), pa.array(MOTIVOS))
        rows = np.flatnonzero(case.to_numpy(zero_copy_only=False))
        table = divergences.take(pa.array(rows))
        numbered = of_run(self.merchant, of_kind(LOG, table, self.merchant, clear=clear))
        labels: list[Label | None] = [None] * len(divergences)
        for row, key in zip(rows[numbered.rows].tolist(), numbered.keys.tolist(), strict=True):
            labels[row] = self.by_key.get(key)
        values = (
            (name, kind, [label and getattr(label, name) for label in labels])
            for name, kind in zip(c.CASE_COLUMNS, _LABEL_TYPES, strict=True)
        )
        return pa.table({name: pa.array(column, kind) for name, kind, column in values})

    def encode(self) -> list[list[object]]:
        """Encode the labels as JSON values; `decode` reverses it."""
        return [
            [key, label.situacao, label.desde.isoformat(), label.responsavel]
            for key, label in self.by_key.items()
        ]

    @classmethod
    def decode(cls, merchant: str, rows: Sequence[Sequence[Any]]) -> Labels:
        """Decode the values of `encode`."""
        return cls(
            merchant,
            {key: Label(text, date.fromisoformat(day), owner) for key, text, day, owner in rows},
        )


def of_kind(kind: str, table: pa.Table, merchant: str, *, clear: bool) -> pa.Table:
    """Return the rows of a sheet or a side in `SCHEMA`, masked if they are ``clear``.

    The table has the contract's columns of this kind, and may have `columns.MOTIVO`.
    """
    names = {**NAMES[kind], MOTIVO: c.MOTIVO}
    values = {KIND: pa.repeat(pa.scalar(kind, pa.string()), len(table))}
    for column, field in zip(SCHEMA.names[1:], list(SCHEMA)[1:], strict=True):
        if names.get(column) not in table.column_names:
            values[column] = pa.nulls(len(table), field.type)
        elif pa.types.is_string(field.type):
            values[column] = _text(table[names[column]], column, merchant, clear)
        else:
            values[column] = table[names[column]]
    return pa.table(values, schema=SCHEMA)


def identities(merchant: str, table: pa.Table) -> pa.Array:
    """Join the identifying values of each row; identical records have one identity."""
    what = pc.coalesce(table[CODE], table[AMOUNT].cast(pa.string()))
    parts = [table[KIND], table[CARD], table[DAY].cast(pa.string())]
    joined = pc.binary_join_element_wise(
        pa.scalar(merchant),
        *parts,
        table[TIME].cast(pa.string()),
        what,
        _SEPARATOR,
        null_handling="replace",
        null_replacement="",
    )
    return _whole(joined)


def bases(merchant: str, table: pa.Table) -> Ints:
    """The key of the first of the records that are identical to each row."""
    return _keys(identities(merchant, table))


def first_key(identity: str) -> int:
    """The key of the first record of an identity."""
    return int(_keys(pa.array([identity]))[0])


def of_run(merchant: str, table: pa.Table) -> Cases:
    """Number identical records and return the cases in key order; the input order has no effect."""
    joined = identities(merchant, table)
    changeable = _whole(
        pc.binary_join_element_wise(
            *(table[name] for name in CHANGEABLE),
            _SEPARATOR,
            null_handling="replace",
            null_replacement="",
        )
    ).dictionary_encode()
    digests = hashes(changeable.dictionary)[changeable.indices.to_numpy()]
    bases = _keys(joined)
    ordinals = _ordinals(bases, digests)
    later = np.flatnonzero(ordinals > 1)
    keys = bases.copy()
    keys[later] = _keys(joined.take(pa.array(later)), ordinals[later])
    order = np.argsort(keys)
    return Cases(keys, np.arange(len(keys)), bases, ordinals, digests, table).take(order)


def hashes(texts: pa.Array) -> Ints:
    """The first 8 bytes of SHA-256 of each text, as a signed number."""
    sha256 = hashlib.sha256
    packed = b"".join([sha256(text).digest() for text in texts.cast(pa.binary()).to_pylist()])
    return np.frombuffer(packed, dtype=">i8")[:: sha256().digest_size // 8].astype(np.int64)


def hexadecimal(key: int) -> str:
    """The key as 16 hexadecimal digits."""
    return f"{key & 0xFFFFFFFFFFFFFFFF:016x}"


def from_hexadecimal(text: str) -> int:
    """The key of 16 hexadecimal digits. Raises ValueError."""
    return int.from_bytes(bytes.fromhex(text), signed=True)


def from_hexadecimals(texts: Iterable[str]) -> list[int]:
    """These keys of 16 hexadecimal digits, in order. Raises ValueError."""
    return sorted(np.frombuffer(bytes.fromhex("".join(texts)), dtype=">i8").tolist())


def _keys(identities: pa.Array, ordinals: Ints | None = None) -> Ints:
    """The keys of identities with these ordinals, by default the first."""
    numbers = pa.scalar("1") if ordinals is None else pa.array(ordinals).cast(pa.string())
    return hashes(pc.binary_join_element_wise(identities, numbers, _SEPARATOR))


def _ordinals(bases: Ints, digests: Ints) -> Ints:
    """Number the rows of each base from 1, in the order of their digests."""
    if len(np.unique(bases)) == len(bases):
        return np.ones(len(bases), dtype=np.int64)
    order = np.lexsort((digests, bases))
    ordered = bases[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    first = np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    ordinals = np.empty(len(bases), dtype=np.int64)
    ordinals[order] = np.arange(len(bases)) - first + 1
    return ordinals


def _text(values: pa.ChunkedArray, column: str, merchant: str, clear: bool) -> pa.Array:
    """The texts, masked if they are in clear; empty texts become NULL."""
    encoded = values.unify_dictionaries() if values.num_chunks > 1 else values
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.cast(pa.string()).dictionary_encode()
    array = _whole(encoded)
    # Only texts that occur: a column's dictionary may be that of a whole extraction.
    used, indices = np.unique(
        pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False), return_inverse=True
    )
    texts = array.dictionary.take(pa.array(used, mask=used < 0)).to_pylist()
    shown = [_shown(text, column, merchant, clear) or None for text in texts]
    return pa.array(shown, pa.string()).take(pa.array(indices))


def _shown(text: str | None, column: str, merchant: str, clear: bool) -> str | None:
    if not clear or column == MOTIVO:
        return text
    if column == FIELD:
        return text if text == merchant else masks.text(text)
    return _MASKS[column](text)


def _whole(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def plain(kind: str, rows: pa.Table) -> Sequence[dict[str, object]]:
    """The rows of a table of cases by the contract's column names, as JSON values."""
    names = NAMES[kind]
    texts = {
        name: rows[column].cast(pa.string()).to_pylist()
        for column, name in sorted(names.items(), key=lambda item: order(kind).index(item[1]))
    }
    return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]


def order(kind: str) -> tuple[str, ...]:
    """The visible columns of a kind, in sheet order."""
    return LOG_VALUES if kind == LOG else TRANSACTION_VALUES
