"""Prepare standard streams that are full, closed or cannot encode a character; end the process.

Text that the console's encoding cannot hold is escaped, a missing stream is opened to nothing, and
messages that standard error cannot take are lost. Standard output still fails: it is the result.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from contextlib import suppress
from typing import Any, Final, NoReturn

_ESCAPED: Final = "backslashreplace"


def prepare() -> None:
    """Prepare both streams; streams that are no files of the system stay as they are."""
    _reserve_descriptors()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 kept open
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)
    buffer = getattr(sys.stderr, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # without a buffer under PYTHONUNBUFFERED
    if isinstance(raw, io.FileIO) and not isinstance(raw, _Unfailing):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Unfailing(raw.fileno(), "w", closefd=False)),
            encoding=sys.stderr.encoding,
            errors=_ESCAPED,
            line_buffering=True,
        )


def _reserve_descriptors() -> None:
    """Open missing standard descriptors to nothing: what libraries print must reach no report."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def end_process(code: int) -> NoReturn:
    """End the process after its exit handlers, without freeing each object of the interpreter.

    That takes a fifth of a small run. A thread that still works gets the interpreter's own end,
    which waits for it.
    """
    if any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # its own end reports the lost output
    os._exit(code)


class _Unfailing(io.FileIO):
    """A file whose failed writes are dropped: a full disk or a closed pipe stops no command."""

    def write(self, content: Any) -> int:
        """Write the content, or drop it."""
        with suppress(OSError):
            written = super().write(content)
            if written is not None:
                return written
        return len(memoryview(content).cast("B"))
