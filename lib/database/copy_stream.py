"""Stream the result of a query from PostgreSQL as Arrow record batches, in bounded memory.

The server's ``COPY (query) TO STDOUT`` goes through a pipe into pyarrow's CSV reader. Owns the
column types of the contract; knows neither the sources nor their masks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import pyarrow as pa
from pyarrow import csv

from lib.database import masking
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side

WRONG_TYPE: Final = (
    "{side}: um valor lido não tem o tipo do contrato; confira as colunas da consulta."
)
MORE_DECIMALS: Final = (
    "{side}: há valores com mais de duas casas decimais na coluna {name}; arredonde-os na consulta "
    "(query_file): round({name}::numeric, 2)."
)
_EXACT: Final = {
    c.DATA_TRANSA: pa.date32(),
    c.DATA: pa.date32(),
    c.VLR_TOTAL: pa.decimal128(18, 2),
    c.DES_LINHA_RECEBIMENTO: pa.string(),
    **dict.fromkeys(c.TIMES, pa.int32()),
    **dict.fromkeys(c.TOKENS, pa.string()),
}
_PIPE: Final = 1 << 20
T = TypeVar("T")


@contextmanager
def opened(
    cursor: Any, side: Side, query: bytes, text: pa.DataType, read: csv.ReadOptions
) -> Iterator[csv.CSVStreamingReader]:
    """Read the query's rows as batches, with texts of the type ``text``.

    Times arrive as seconds and tokens as hexadecimal digits (`typed`). Raises ContractError for a
    value of another type, and the driver's errors.
    """
    command = b"COPY (" + query + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    texts = dict.fromkeys((*c.TRANSACTIONS, *c.AUTH_LOGS_CLEAR), text)
    receiving, sending = os.pipe()
    # Open both ends before a thread blocks on one: opening fails when there is no memory for a
    # buffer. With a buffer a read fills its whole block; without one, no row could be longer than
    # the pipe's capacity.
    with (
        os.fdopen(sending, "wb", buffering=_PIPE) as sink,
        os.fdopen(receiving, "rb", buffering=_PIPE) as stream,
    ):
        pumped = start(f"copy-{side}", pump, cursor, command, sink)
        try:
            try:
                with (
                    stream,
                    closing(
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
                    ) as reader,
                ):
                    yield reader
            finally:
                wait([pumped])  # it ends on a closed pipe
        except pa.ArrowInvalid as error:
            pumped.result()
            if f"'{masking.DECIMALS}'" in str(error):
                raise ContractError(MORE_DECIMALS, side=side, name=c.VLR_TOTAL) from error
            raise ContractError(WRONG_TYPE, side=side) from error
        pumped.result()


def start(name: str, function: Callable[..., T], *arguments: Any) -> Future[T]:
    """Call the function in a daemon thread, which a process that ends does not wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as problem:  # noqa: BLE001 raised where the result is asked for
            future.set_exception(problem)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def pump(cursor: Any, command: bytes, sink: BinaryIO) -> None:
    """Write COPY's output into the pipe.

    A closed pipe is not an error here: the reader reports its own failure.
    """
    with suppress(BrokenPipeError), sink:
        cursor.copy_expert(command, sink)


def typed(name: str, values: pa.Array) -> pa.Array:
    """Convert a column's values, as read, to the type of the contract."""
    if name in c.TIMES:
        return values.view(pa.time32("s"))
    return column_arrays.tokens_from_hex(values) if name in c.TOKENS else values
