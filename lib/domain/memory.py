"""Whether there is memory left to go on with, asked before it is needed.

Arrow ends the process, or waits for ever, where it gets no memory in a thread of its own; so does
the writer of workbooks. Asking first turns that into an error that can be told. Where the system
promises memory it does not have, and kills who uses it, nothing can be told.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

START_BYTES: Final = 768 << 20
"""What threads want for their stacks, and a run of any size for its buffers."""
CONTINUE_BYTES: Final = 256 << 20


def check(size_bytes: int) -> None:
    """Raise MemoryError where so much could not be had; takes none of it."""
    try:
        mmap.mmap(-1, size_bytes).close()
    except OSError as problem:
        raise MemoryError from problem


@contextmanager
def reraise_shortage(sentence: Callable[[], Exception]) -> Iterator[None]:
    """Raise this instead where what is done here ends for want of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        # Where there is none for the stack of a thread, Python says so in words only.
        if not isinstance(problem, MemoryError) and "start new thread" not in str(problem):
            raise
        raise sentence() from problem
