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
"""Thread stacks, and the buffers of a run of any size."""
CONTINUE_BYTES: Final = 256 << 20


def check(size_bytes: int) -> None:
    """Raise MemoryError if so much cannot be allocated; keeps nothing allocated."""
    try:
        mmap.mmap(-1, size_bytes).close()
    except OSError as problem:
        raise MemoryError from problem


@contextmanager
def reraise_shortage(error: Callable[[], Exception]) -> Iterator[None]:
    """Raise this error in place of one that reports a lack of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        # A thread without memory for its stack is a RuntimeError, known by its text only.
        if not isinstance(problem, MemoryError) and "start new thread" not in str(problem):
            raise
        raise error() from problem
