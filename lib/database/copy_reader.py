"""Read both sources in parallel into two tables, masked and tokenised by the servers.

Each side is one streamed COPY (`lib.database.copy_stream`), so the text of a large table is never
in memory at once. If one side fails, the other is cancelled and the error names the failed side.
Clear card numbers arrive only for a clear report.
"""

from __future__ import annotations

import atexit
import math
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from lib.database import (
    column_types,
    copy_stream,
    date_validation,
    masking,
    record_batches,
    sessions,
    sides,
    snapshots,
    source_query,
)
from lib.database.socket_timeout import Watchdog
from lib.domain import daemon_threads, requests
from lib.domain.errors import CancelledError, ExtractionError, TransientError
from lib.domain.requests import Progress, Window

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.config.settings import Settings
    from lib.database.column_types import Layout
    from lib.database.sessions import Backend
    from lib.domain.requests import Side

Arrived = Callable[["Side", "pa.Table"], object]
"""Receives a side and its complete table."""

KEY: Final = secrets.token_bytes(32)
"""The token key, drawn at process start; never stored, shown, logged or exported."""

_CANCEL_AGAIN_SECONDS: Final = 0.5

_CANCEL_SECONDS: Final = 2.0
"""Time a cancelled statement has to end before its connection is shut down."""
SILENT: Final = (
    "{side}: o servidor ficou {seconds:.0f} s em silêncio, além do seu tempo limite, e a conexão "
    "foi encerrada; tente de novo em instantes e avise o administrador do banco."
)
_EXIT_SECONDS: Final = 5.0
"""Time that the end of the process gives its cancelled reads."""
_INTERRUPTED_SECONDS: Final = 5.0
"""Time that an interruption gives them: one that still connects may take `connect_timeout`."""
CANCELLED: Final = "{side}: a leitura foi cancelada."

_RUNNING: Final[dict[Future[pa.Table], _Read]] = {}


@dataclass(frozen=True)
class Extracted:
    """Two tables, one chunk a column: `columns.TRANSACTIONS` and `columns.AUTH_LOGS`."""

    transactions: pa.Table
    auth_logs: pa.Table


def extract(
    settings: Settings,
    window: Window,
    *,
    clear: bool = False,
    progress: Progress = lambda side, rows: None,
    arrived: Arrived = lambda side, table: None,
) -> Extracted:
    """Read both sides in parallel, each in one snapshot.

    ``progress`` receives a side and its rows so far; ``arrived`` a side's table, in the thread that
    has read it. Raises ExtractionError or ContractError, which name the side, after cancelling the
    other side.
    """
    reads = {
        side: _Read(settings, side, window, clear, progress, arrived) for side in requests.SIDES
    }
    futures: dict[Future[pa.Table], _Read] = {}
    patience = _INTERRUPTED_SECONDS
    try:
        for read in reads.values():
            futures[daemon_threads.start(f"extract-{read.side}", read.run)] = read
        _RUNNING.update(futures)
        daemon_threads.wait_for(futures)
        patience = math.inf
    finally:
        for read in reads.values():
            read.cancel()
        deadline = time.monotonic() + patience
        # A cancellation that arrives between two statements has no effect: repeat it.
        while wait(futures, _CANCEL_AGAIN_SECONDS).not_done and time.monotonic() < deadline:
            for read in reads.values():
                read.cancel()
        for future in futures:
            _RUNNING.pop(future, None)
    errors = [f.exception() for f, read in futures.items() if not read.interrupted]
    if failures := [error for error in errors if error is not None]:
        raise sides.failure_of(failures)
    for future, read in futures.items():
        if read.interrupted and (problem := future.exception()):
            raise CancelledError(CANCELLED, side=read.side) from problem
    return Extracted(**{read.side: future.result() for future, read in futures.items()})


def masked_select(
    cursor: Any,
    settings: Settings,
    side: Side,
    window: Window,
    layout: Layout,
    *,
    clear: bool,
    key: bytes = KEY,
) -> bytes:
    """This side's SELECT with masks, tokens (derived with ``key``) and parameters rendered in."""
    query = source_query.load(settings, side)
    if side == "transactions":
        prefix = settings.virtual_prefix_length
        sql = masking.transactions(query, layout, clear=clear, prefix_length=prefix)
    else:
        sql = masking.auth_logs(query, layout, clear=clear)
    parameters = column_types.widened(settings, side, window, layout).parameters
    own = {"key": psycopg2.Binary(key), "beyond": column_types.following(window)}
    return source_query.render(cursor, side, sql, parameters | own)


@atexit.register
def cancel_running() -> None:
    """Cancel the reads under way, on their servers too, and wait a little for their end.

    The interpreter aborts if it ends inside a buffered read. A server calls this before: `atexit`
    does not run after SIGTERM, and Python 3.12.0 and 3.12.1 start no thread in it.
    """
    for read in tuple(_RUNNING.values()):
        read.cancel()
    wait(tuple(_RUNNING), _EXIT_SECONDS)


class _Read:
    """The read of one side; any thread may call `cancel` at any time."""

    def __init__(
        self,
        settings: Settings,
        side: Side,
        window: Window,
        clear: bool,
        progress: Progress,
        arrived: Arrived,
    ) -> None:
        self.side = side
        self._settings = settings
        self._window = window
        self._clear = clear
        self._progress = progress
        self._arrived = arrived
        self._lock = threading.Lock()
        self._backend: Backend | None = None
        self._watchdog: Watchdog | None = None
        self._cancelled = False
        self.interrupted = False
        """True if `cancel` ended the read, or may have."""

    def run(self) -> pa.Table:
        """Read the side and return its table."""
        table = self._read()
        self._arrived(self.side, table)
        return table

    def _read(self) -> pa.Table:
        limit = sessions.silence_limit(self._settings, self.side)
        with (
            sessions.session(self._settings, self.side, self._window.user) as cursor,
            Watchdog(cursor.connection.fileno(), limit) as watchdog,
        ):
            self._attach(sessions.backend(cursor), watchdog)
            self._progress(self.side, 0)
            try:
                layout, backend = snapshots.begin(cursor, self._settings, self.side, self._window)
                self._attach(backend, watchdog)
                watchdog.reset()
                with column_types.conversions_named(self.side, layout):
                    table = self._copy(cursor, watchdog, layout)
                    self._require_last_day(cursor, layout, table)
                snapshots.require_unchanged(cursor, self.side)
                return table
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
        """Cancel this side's statement on its server, or prevent it from starting.

        The connection is shut down if the server does not react in time or cannot be reached.
        """
        with self._lock:
            self._cancelled = True
            if self._watchdog is None or self._backend is None:
                return
            self.interrupted = True
            self._watchdog.expire_within(_CANCEL_SECONDS)
            # Do not wait for the request. The watchdog ends the read if the request fails or if
            # there is no memory for another thread (RuntimeError).
            with suppress(RuntimeError):
                threading.Thread(
                    target=self._request_cancel, args=(self._backend,), daemon=True
                ).start()

    def _request_cancel(self, backend: Backend) -> None:
        with suppress(ExtractionError):
            sessions.cancel(self._settings, self.side, backend)

    def _attach(self, backend: Backend | None, watchdog: Watchdog | None) -> None:
        with self._lock:
            if self._cancelled and backend is not None:
                self.interrupted = True
                raise CancelledError(CANCELLED, side=self.side)
            self._backend, self._watchdog = backend, watchdog

    def _require_last_day(self, cursor: Any, layout: Layout, table: pa.Table) -> None:
        settings, side, window = self._settings, self.side, self._window
        cut = date_validation.may_cut(settings, side, layout)
        if cut and not date_validation.reached(side, table, window):
            date_validation.require_last_day(cursor, settings, side, window)

    def _copy(self, cursor: Any, watchdog: Watchdog, layout: Layout) -> pa.Table:
        select = masked_select(
            cursor, self._settings, self.side, self._window, layout, clear=self._clear
        )

        def advance(rows: int) -> None:
            watchdog.reset()
            self._progress(self.side, rows)

        with copy_stream.opened(cursor, self.side, select) as stream:
            return record_batches.read_table(stream, self.side, advance)
