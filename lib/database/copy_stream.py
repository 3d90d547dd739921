"""Stream the result of a query from PostgreSQL as CSV text, in bounded memory.

The server's ``COPY (query) TO STDOUT`` goes through a pipe. Knows neither the sources nor their
columns (`lib.database.record_batches`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lib.domain import daemon_threads
from lib.domain.errors import ContractError

if TYPE_CHECKING:
    from lib.domain.requests import Side

_PIPE: Final = 1 << 20


@contextmanager
def opened(cursor: Any, side: Side, query: bytes) -> Iterator[BinaryIO]:
    """Start the query and yield its rows as CSV text with a header, in UTF-8.

    The server works from the beginning of the block. Raises the driver's errors, also in place of
    a ContractError about text that they cut short.
    """
    command = b"COPY (" + query + b") TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    receiving, sending = _pipe()
    # Open both ends before a thread blocks on one: opening fails when there is no memory for a
    # buffer. With a buffer a read fills its whole block; without one, no row could be longer than
    # the pipe's capacity.
    with (
        os.fdopen(sending, "wb", buffering=_PIPE) as sink,
        os.fdopen(receiving, "rb", buffering=_PIPE) as stream,
    ):
        pumped = daemon_threads.start(f"copy-{side}", pump, cursor, command, sink)
        try:
            with stream:
                yield stream
        except ContractError:
            pumped.result()
            raise
        finally:
            wait([pumped])  # it ends on a closed pipe
        pumped.result()


def _pipe() -> tuple[int, int]:
    """A pipe that holds a whole buffer, where the system allows it."""
    receiving, sending = os.pipe()
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, _PIPE)
    return receiving, sending


def pump(cursor: Any, command: bytes, sink: BinaryIO) -> None:
    """Write COPY's output into the pipe.

    A closed pipe is not an error here: the reader reports its own failure.
    """
    with suppress(BrokenPipeError), sink:
        cursor.copy_expert(command, sink)
