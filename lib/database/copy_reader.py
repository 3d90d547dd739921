"""Reads both sources at the same time into two frames, masked and tokenised by the servers.

Each side is one ``COPY (query) TO STDOUT`` streamed through a pipe into pyarrow's CSV reader, so
the text of a large table is never held whole. If one side fails, the other is cancelled and the
error names the side. Matches nothing, and never sees a clear card number unless asked for a
clear report.
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
"""The token key: made at process start, never stored, shown, logged or exported."""

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

_SILENCE_SECONDS: Final = 5.0
"""How long a server may be silent beyond its own statement timeout."""
_CANCEL_SECONDS: Final = 2.0
"""How long a cancelled statement may take to end before its connection is shut."""
_SILENT: Final = (
    "{side}: o servidor ficou {seconds:.0f} s em silêncio, além do seu tempo limite, e a conexão "
    "foi encerrada; tente de novo em instantes e avise o administrador do banco."
)


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
    """Read both sides in parallel, each as one snapshot.

    Raises ExtractionError (or ContractError) that names the side; the other side is cancelled.
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
        # A read that has not begun ends by itself: a future the pool cancels is never `done`.
        pool.shutdown(wait=False)
        for read in reads.values():
            read.cancel()
        # A cancellation that reaches a server between two statements is lost on it.
        while wait(futures, _CANCEL_AGAIN_SECONDS).not_done:
            for read in reads.values():
                read.cancel()


def required_columns(side: Side) -> tuple[str, ...]:
    """What this side's query must return."""
    return c.TRANSACTIONS_QUERY if side == "transactions" else c.AUTH_LOGS_QUERY


def masked_select(
    cursor: Any, settings: Settings, side: Side, window: Window, *, clear: bool, key: bytes = KEY
) -> bytes:
    """This side's SELECT with masks, tokens (made with ``key``) and parameters in it."""
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
            raise ContractError(
                "{side}: a consulta não devolve a coluna {name}; confira o query_file.",
                side=side,
                name=name,
            )


class _Read:
    """One side being read; `cancel` may be called from another thread at any time."""

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
        """The side's frame."""
        limit = sessions.source(self._settings, self.side).statement_timeout + _SILENCE_SECONDS
        with (
            sessions.session(self._settings, self.side, self._window.user) as cursor,
            Watchdog(cursor.connection.fileno(), limit) as watchdog,
        ):
            self._hold(cursor.connection.info.backend_pid, watchdog)
            self._progress(self.side, 0)
            try:
                check_columns(cursor, self._settings, self.side, self._window)
                watchdog.alive()
                return self._copy(cursor, watchdog)
            except psycopg2.Error as problem:
                if watchdog.bitten:
                    raise TransientError(_SILENT, side=self.side, seconds=limit) from problem
                raise
            finally:
                self._hold(None, None)
                if self._cancelled:
                    # A request to stop that is still under way must find nobody else's read.
                    cursor.connection.close()

    def cancel(self) -> None:
        """Stop this side's statement on its server, or keep it from starting.

        Where the server does not obey in time, or cannot be asked, the connection is shut.
        """
        with self._lock:
            self._cancelled = True
            if self._watchdog is None or self._process is None:
                return
            self._watchdog.hurry(_CANCEL_SECONDS)
            # Nobody waits for the request: the watchdog ends the read where it gets nowhere, or
            # where there is no memory for one more thread.
            with suppress(RuntimeError):
                ask = threading.Thread(target=self._ask_to_stop, args=(self._process,), daemon=True)
                ask.start()

    def _ask_to_stop(self, process: int) -> None:
        with suppress(ExtractionError):
            sessions.cancel(self._settings, self.side, process)

    def _hold(self, process: int | None, watchdog: Watchdog | None) -> None:
        with self._lock:
            if self._cancelled and process is not None:
                raise ExtractionError("{side}: a leitura foi cancelada.", side=self.side)
            self._process, self._watchdog = process, watchdog

    def _copy(self, cursor: Any, watchdog: Watchdog) -> pd.DataFrame:
        """Pump COPY's output through a pipe into the CSV reader."""
        select = masked_select(cursor, self._settings, self.side, self._window, clear=self._clear)
        command = b"COPY (" + select + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
        receiving, sending = os.pipe()
        # Both ends are open before anybody waits at one: there may be no memory left for a buffer.
        # Buffered, a read fills its block; otherwise no row could be longer than the pipe.
        with (
            ThreadPoolExecutor(1, thread_name_prefix=f"copy-{self.side}") as pool,
            os.fdopen(sending, "wb", buffering=_PIPE) as sink,
            os.fdopen(receiving, "rb", buffering=_PIPE) as stream,
        ):
            pumped = pool.submit(pump, cursor, command, sink)
            try:
                table = self._parse(stream, watchdog)
            except pa.ArrowInvalid as problem:
                pumped.result()
                raise ContractError(
                    "{side}: um valor lido não tem o tipo do contrato; "
                    "confira as colunas da consulta.",
                    side=self.side,
                ) from problem
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
                watchdog.alive()
                memory.check(memory.TO_GO_ON)
                batches.append(batch)
                self._progress(self.side, sum(map(len, batches)))
            return _frame(pa.Table.from_batches(batches, reader.schema))


def pump(cursor: Any, command: bytes, sink: BinaryIO) -> None:
    """Write COPY's output into the pipe; a reader that gave up is its own failure to tell."""
    with suppress(BrokenPipeError), sink:
        cursor.copy_expert(command, sink)


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table as a frame, one chunk a column, times and tokens in their own types."""
    table = table.unify_dictionaries()
    data = {}
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        if name in _TIMES:
            values = values.view(pa.time32("s"))
        elif name in _TOKENS:
            values = column_arrays.tokens(values)
        data[name] = pd.arrays.ArrowExtensionArray(pa.chunked_array([values]))
    return pd.DataFrame(data, copy=False)
