"""Read the CSV text of a query into Arrow, as batches or as one table, in the contract's types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa
from pyarrow import csv

from lib.database import masking
from lib.domain import column_arrays, memory
from lib.domain import columns as c
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side

WRONG_TYPE: Final = (
    "{side}: a coluna {name} tem um valor que não é data, hora ou valor em reais (NaN, infinito ou "
    "ano fora de 0001 a 9999, por exemplo); corrija-o no banco ou na consulta (query_file)."
)
MORE_DECIMALS: Final = (
    "{side}: há valores com mais de duas casas decimais na coluna {name}; arredonde-os na consulta "
    "(query_file): round({name}::numeric, 2)."
)
_NUMBERED: Final = re.compile(r"CSV column #(\d+)")
_EXACT: Final = {
    c.DATA_TRANSA: pa.date32(),
    c.DATA: pa.date32(),
    c.VLR_TOTAL: pa.decimal128(18, 2),
    c.DES_LINHA_RECEBIMENTO: pa.string(),
    **dict.fromkeys(c.TIMES, pa.int32()),
    **dict.fromkeys(c.TOKENS, pa.string()),
}
_REPEATED: Final = pa.dictionary(pa.int32(), pa.string())
_WHOLE: Final = csv.ReadOptions(block_size=4 << 20)


@contextmanager
def opened(
    stream: BinaryIO, side: Side, text: pa.DataType, read: csv.ReadOptions
) -> Iterator[csv.CSVStreamingReader]:
    """Read the stream as batches, with texts of the type ``text``.

    Times arrive as seconds and tokens as hexadecimal digits (`typed`). Raises ContractError for a
    value of another type.
    """
    texts = dict.fromkeys((*c.TRANSACTIONS, *c.AUTH_LOGS_CLEAR), text)
    try:
        with closing(
            csv.open_csv(
                stream,
                read_options=read,
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=texts | _EXACT,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        ) as reader:
            yield reader
    except pa.ArrowInvalid as error:
        if f"'{masking.DECIMALS}'" in str(error):
            raise ContractError(MORE_DECIMALS, side=side, name=c.VLR_TOTAL) from error
        raise ContractError(WRONG_TYPE, side=side, name=_column(error, side)) from error


def read_table(stream: BinaryIO, side: Side, advance: Callable[[int], object]) -> pa.Table:
    """Read the whole stream as one table with one chunk a column, texts as dictionaries.

    ``advance`` receives the rows so far after each batch. Raises ContractError like `opened`.
    """
    batches = []
    with opened(stream, side, _REPEATED, _WHOLE) as reader:
        for batch in reader:
            memory.check(memory.CONTINUE_BYTES)
            batches.append(batch)
            advance(sum(map(len, batches)))
        table = pa.Table.from_batches(batches, reader.schema).unify_dictionaries()
    return pa.table(
        {name: typed(name, table[name].combine_chunks()) for name in table.column_names}
    )


def _column(error: pa.ArrowInvalid, side: Side) -> str:
    """The column that Arrow's message numbers; the message itself repeats the value."""
    number = _NUMBERED.search(str(error))
    names = c.TRANSACTIONS if side == "transactions" else c.AUTH_LOGS_CLEAR
    return names[int(number[1])] if number and int(number[1]) < len(names) else "?"


def typed(name: str, values: pa.Array) -> pa.Array:
    """Convert a column's values, as read, to the type of the contract."""
    if name in c.TIMES:
        return values.view(pa.time32("s"))
    return column_arrays.tokens_from_hex(values) if name in c.TOKENS else values
