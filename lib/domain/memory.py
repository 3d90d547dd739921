"""Check available memory before it is needed, and report its shortage as an error.

Arrow and the workbook writer abort the process or hang when an allocation fails in one of their
threads; a check beforehand turns this into an error with a message, also where a container's limit
would end in the kernel's kill. It cannot help where the machine itself overcommits its memory.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from lib.domain import container
from lib.domain.requests import CARD, CARD_TIME, Side

START_BYTES: Final = 768 << 20
"""Memory that every run needs, whatever its size: thread stacks and buffers."""
CONTINUE_BYTES: Final = 256 << 20
LEAST_BYTES: Final = 48 << 20
"""Room for the next block of records of both sides."""
FIRST_BYTES: Final = 112 << 20
"""Room for the first blocks of both sides, which are read without a check between them."""
PREPARING_BYTES: Final[dict[str, dict[Side, int]]] = {
    CARD: {"transactions": 140, "auth_logs": 240},
    CARD_TIME: {"transactions": 140, "auth_logs": 60},
}
"""Memory that a record takes as its side is prepared for the matching by a rule.

Measured: 106 for a transaction; for a log 44, or with an index, which fits a power of two, 122 to
240.
"""
MATCHING_BYTES: Final = {CARD: 80, CARD_TIME: 150}
"""Memory that matching by a rule and its figures take for a prepared record.

Measured: 18 to 55 and 49 to 125. The allocators of a dashboard take up to `LEAST_BYTES` more.
"""
_M_ARENA_MAX: Final = -8
_RESERVED: Final[list[int]] = []


def limit_arenas(count: int = 2) -> None:
    """Let all threads allocate from this many arenas, so that one uses what another has freed.

    The C library would give almost every thread its own. Call it before threads start; without
    glibc it does nothing.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, count)


def check(size_bytes: int) -> None:
    """Raise MemoryError if this many bytes cannot be allocated; nothing stays allocated.

    Of a container's limit only `LEAST_BYTES` must be free: address space is not yet memory.
    """
    require(LEAST_BYTES)
    try:
        mmap.mmap(-1, size_bytes).close()
    except OSError as problem:
        raise MemoryError from problem


def require(size_bytes: int) -> None:
    """Raise MemoryError if the container's memory limit leaves less, before the kernel kills.

    What other threads have `reserved` is not free.
    """
    free = container.free_bytes()
    if free is not None and free < size_bytes + sum(_RESERVED):
        raise MemoryError


@contextmanager
def reserved(size_bytes: int) -> Iterator[None]:
    """Require the memory that the block takes, and keep it from all other checks until its end."""
    _RESERVED.append(size_bytes)
    try:
        require(0)
        yield
    finally:
        _RESERVED.remove(size_bytes)


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
