"""Stream the result of a query from PostgreSQL as CSV text, in bounded memory.

The server's ``COPY (query) TO STDOUT`` goes through a pipe. Knows neither the sources nor their
columns (`lib.database.record_batches`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side

_PIPE: Final = 1 << 20
_SIGNALS_SECONDS: Final = 0.2
T = TypeVar("T")


@contextmanager
def opened(cursor: Any, side: Side, query: bytes) -> Iterator[BinaryIO]:
    """Start the query and yield its rows as CSV text with a header, in UTF-8.

    The server works from the beginning of the block. Raises the driver's errors, also in place of
    a ContractError about text that they cut short.
    """
    command = b"COPY (" + query + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
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
            with stream:
                yield stream
        except ContractError:
            pumped.result()
            raise
        finally:
            wait([pumped])  # it ends on a closed pipe
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


def wait_for(futures: Collection[Future[Any]]) -> None:
    """Wait until all are done or one has failed; an interruption ends the wait.

    Python would notice a signal that comes just before a wait without a limit, or to another
    thread, only after the wait.
    """
    while True:
        done, running = wait(futures, _SIGNALS_SECONDS, return_when=FIRST_EXCEPTION)
        if not running or any(future.exception() for future in done):
            return


def pump(cursor: Any, command: bytes, sink: BinaryIO) -> None:
    """Write COPY's output into the pipe.

    A closed pipe is not an error here: the reader reports its own failure.
    """
    with suppress(BrokenPipeError), sink:
        cursor.copy_expert(command, sink)
