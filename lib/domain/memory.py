"""Check available memory before it is needed, and report its shortage as an error.

Arrow and the workbook writer abort the process or hang when an allocation fails in one of their
threads; a check beforehand turns this into an error with a message. It cannot help where the
system overcommits memory and kills processes.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

START_BYTES: Final = 768 << 20
"""Memory that every run needs, whatever its size: thread stacks and buffers."""
CONTINUE_BYTES: Final = 256 << 20


def check(size_bytes: int) -> None:
    """Raise MemoryError if this many bytes cannot be allocated; nothing stays allocated."""
    try:
        mmap.mmap(-1, size_bytes).close()
    except OSError as problem:
        raise MemoryError from problem


@contextmanager
def reraise_shortage(error: Callable[[], Exception]) -> Iterator[None]:
    """Replace any error of the block that reports a lack of memory by ``error()``."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        # Without memory for its stack, a thread raises RuntimeError; only the text identifies it.
        if not isinstance(problem, MemoryError) and "start new thread" not in str(problem):
            raise
        raise error() from problem
