"""Read both sources in parallel into two frames, masked and tokenised by the servers.

Each side is one ``COPY (query) TO STDOUT`` streamed through a pipe into pyarrow's CSV reader, so
the text of a large table is never in memory at once. If one side fails, the other is cancelled and
the error names the failed side. Clear card numbers arrive only for a clear report.
"""

from __future__ import annotations

import os
import secrets
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pandas as pd
import psycopg2
import pyarrow as pa
from pyarrow import csv

from lib.database import masking, sessions
from lib.database.socket_timeout import Watchdog
from lib.domain import column_arrays, memory, requests
from lib.domain import columns as c
from lib.domain.errors import ContractError, ExtractionError, TransientError
from lib.domain.requests import Progress, Window

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Side

KEY: Final = secrets.token_bytes(32)
"""The token key, drawn at process start; never stored, shown, logged or exported."""

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final = {
    c.NUM_CPF: _TEXT,
    c.NUM_CARTAO: _TEXT,
    c.NUM_CARTAO_VIRTUAL: _TEXT,
    c.DATA_TRANSA: pa.date32(),
    c.HORA_TRANSA: pa.int32(),
    c.VLR_TOTAL: pa.decimal128(18, 2),
    c.DES_CNPJ_REDUZIDO: _TEXT,
    c.DATA: pa.date32(),
    c.HORA: pa.int32(),
    c.COD_RESPOSTA: _TEXT,
    c.DES_LOG: _TEXT,
    c.DES_LINHA_RECEBIMENTO: pa.string(),
    c.TOKEN_CARTAO: pa.string(),
    c.TOKEN_VIRTUAL: pa.string(),
    c.TOKEN_CPF: pa.string(),
}
_TIMES: Final = (c.HORA_TRANSA, c.HORA)
_TOKENS: Final = (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL, c.TOKEN_CPF)
_BLOCK: Final = 4 << 20
_PIPE: Final = 1 << 20
_CANCEL_AGAIN_SECONDS: Final = 0.5

_CANCEL_SECONDS: Final = 2.0
"""Time a cancelled statement has to end before its connection is shut down."""
SILENT: Final = (
    "{side}: o servidor ficou {seconds:.0f} s em silêncio, além do seu tempo limite, e a conexão "
    "foi encerrada; tente de novo em instantes e avise o administrador do banco."
)


CANCELLED: Final = "{side}: a leitura foi cancelada."
WRONG_TYPE: Final = (
    "{side}: um valor lido não tem o tipo do contrato; confira as colunas da consulta."
)
MISSING_COLUMN: Final = "{side}: a consulta não devolve a coluna {name}; confira o query_file."


@dataclass(frozen=True)
class Extracted:
    """Two frames with pyarrow-backed columns: `columns.TRANSACTIONS` and `columns.AUTH_LOGS`."""

    transactions: pd.DataFrame
    auth_logs: pd.DataFrame


def extract(
    settings: Settings,
    window: Window,
    *,
    clear: bool = False,
    progress: Progress = lambda side, rows: None,
) -> Extracted:
    """Read both sides in parallel, each in one snapshot.

    ``progress`` gets a side and its rows so far. Raises ExtractionError or ContractError, which
    name the side, once the other side is cancelled.
    """
    reads = {side: _Read(settings, side, window, clear, progress) for side in requests.SIDES}
    pool = ThreadPoolExecutor(len(reads), thread_name_prefix="extract")
    futures: dict[Future[pd.DataFrame], _Read] = {}
    try:
        for read in reads.values():
            futures[pool.submit(read.run)] = read
        done, pending = wait(futures, return_when=FIRST_EXCEPTION)
        first = next((f for f in done if f.exception()), None)
        if first is not None:
            raise first.exception()  # type: ignore[misc]
        frames = {futures[f].side: f.result() for f in done}
        return Extracted(frames["transactions"], frames["auth_logs"])
    finally:
        # `cancel` also ends a read that has not started. Pool-side cancellation is not used,
        # because a future that it cancels never becomes `done`.
        pool.shutdown(wait=False)
        for read in reads.values():
            read.cancel()
        # A cancellation that arrives between two statements has no effect: repeat it.
        while wait(futures, _CANCEL_AGAIN_SECONDS).not_done:
            for read in reads.values():
                read.cancel()


def required_columns(side: Side) -> tuple[str, ...]:
    """The columns that this side's query must return."""
    return c.TRANSACTIONS_QUERY if side == "transactions" else c.AUTH_LOGS_QUERY


def masked_select(
    cursor: Any, settings: Settings, side: Side, window: Window, *, clear: bool, key: bytes = KEY
) -> bytes:
    """This side's SELECT with masks, tokens (derived with ``key``) and parameters rendered in."""
    query = sessions.query(settings, side)
    if side == "transactions":
        prefix = settings.virtual_prefix_length
        sql = masking.transactions(query, clear=clear, prefix_length=prefix)
    else:
        sql = masking.auth_logs(query, clear=clear)
    return sessions.render(cursor, side, sql, {**window.parameters, "key": psycopg2.Binary(key)})


def check_columns(cursor: Any, settings: Settings, side: Side, window: Window) -> None:
    """Raise ContractError, naming the column, if this side's query lacks a required one."""
    sql = f"SELECT * FROM (\n{sessions.query(settings, side)}\n) AS q LIMIT 0"
    cursor.execute(sessions.render(cursor, side, sql, window.parameters))
    returned = {column.name for column in cursor.description}
    for name in required_columns(side):
        if name not in returned:
            raise ContractError(MISSING_COLUMN, side=side, name=name)


class _Read:
    """The read of one side; any thread may call `cancel` at any time."""

    def __init__(
        self, settings: Settings, side: Side, window: Window, clear: bool, progress: Progress
    ) -> None:
        self.side = side
        self._settings = settings
        self._window = window
        self._clear = clear
        self._progress = progress
        self._lock = threading.Lock()
        self._process: int | None = None
        self._watchdog: Watchdog | None = None
        self._cancelled = False

    def run(self) -> pd.DataFrame:
        """Read the side and return its frame."""
        limit = sessions.silence_limit(self._settings, self.side)
        with (
            sessions.session(self._settings, self.side, self._window.user) as cursor,
            Watchdog(cursor.connection.fileno(), limit) as watchdog,
        ):
            self._attach(cursor.connection.info.backend_pid, watchdog)
            self._progress(self.side, 0)
            try:
                check_columns(cursor, self._settings, self.side, self._window)
                watchdog.reset()
                return self._copy(cursor, watchdog)
            except psycopg2.Error as error:
                if watchdog.expired:
                    raise TransientError(SILENT, side=self.side, seconds=limit) from error
                raise
            finally:
                self._attach(None, None)
                if self._cancelled:
                    # A late cancellation request must not hit the next user of this connection.
                    cursor.connection.close()

    def cancel(self) -> None:
        """Cancel this side's statement on its server, or keep it from starting.

        The connection is shut down if the server does not react in time or cannot be reached.
        """
        with self._lock:
            self._cancelled = True
            if self._watchdog is None or self._process is None:
                return
            self._watchdog.expire_within(_CANCEL_SECONDS)
            # Do not wait for the request. The watchdog ends the read if the request fails or if
            # there is no memory for another thread (RuntimeError).
            with suppress(RuntimeError):
                threading.Thread(
                    target=self._request_cancel, args=(self._process,), daemon=True
                ).start()

    def _request_cancel(self, process: int) -> None:
        with suppress(ExtractionError):
            sessions.cancel(self._settings, self.side, process)

    def _attach(self, process: int | None, watchdog: Watchdog | None) -> None:
        with self._lock:
            if self._cancelled and process is not None:
                raise ExtractionError(CANCELLED, side=self.side)
            self._process, self._watchdog = process, watchdog

    def _copy(self, cursor: Any, watchdog: Watchdog) -> pd.DataFrame:
        """Stream COPY's output through a pipe into the CSV reader."""
        select = masked_select(cursor, self._settings, self.side, self._window, clear=self._clear)
        command = b"COPY (" + select + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
        receiving, sending = os.pipe()
        # Open both ends before a thread blocks on one: opening fails when there is no memory for
        # a buffer. With a buffer a read fills its whole block; without one, no row could be longer
        # than the pipe's capacity.
        with (
            ThreadPoolExecutor(1, thread_name_prefix=f"copy-{self.side}") as pool,
            os.fdopen(sending, "wb", buffering=_PIPE) as sink,
            os.fdopen(receiving, "rb", buffering=_PIPE) as stream,
        ):
            pumped = pool.submit(pump, cursor, command, sink)
            try:
                table = self._parse(stream, watchdog)
            except pa.ArrowInvalid as error:
                pumped.result()
                raise ContractError(WRONG_TYPE, side=self.side) from error
            pumped.result()
        return table

    def _parse(self, stream: BinaryIO, watchdog: Watchdog) -> pd.DataFrame:
        batches = []
        with stream:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(block_size=_BLOCK),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=_TYPES,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            for batch in reader:
                watchdog.reset()
                memory.check(memory.CONTINUE_BYTES)
                batches.append(batch)
                self._progress(self.side, sum(map(len, batches)))
            return _frame(pa.Table.from_batches(batches, reader.schema))


def pump(cursor: Any, command: bytes, sink: BinaryIO) -> None:
    """Write COPY's output into the pipe.

    A closed reading end is no error here: the reader reports its own failure.
    """
    with suppress(BrokenPipeError), sink:
        cursor.copy_expert(command, sink)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Convert the table to a frame: one chunk per column, times and tokens in their own types."""
    table = table.unify_dictionaries()
    data = {}
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        if name in _TIMES:
            values = values.view(pa.time32("s"))
        elif name in _TOKENS:
            values = column_arrays.tokens_from_hex(values)
        data[name] = pd.arrays.ArrowExtensionArray(pa.chunked_array([values]))
    return pd.DataFrame(data, copy=False)
