"""The sessions under way, so that an interruption can end what they wait for.

A driver waits for its server outside Python, where no signal reaches it: whoever has to be
interruptible works in another thread. Knows neither drivers nor servers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from lib.domain import daemon_threads
from lib.domain.errors import ExtractionError

_CANCEL_SECONDS: Final = 2.0
_running: Final[dict[int, Callable[[], None]]] = {}
_Result = TypeVar("_Result")


@contextmanager
def registered(cancel: Callable[[], None]) -> Iterator[None]:
    """Register this thread's session: ``cancel`` ends its statement, from any other thread."""
    owner = threading.get_ident()
    _running[owner] = cancel
    try:
        yield
    finally:
        _running.pop(owner, None)


def together(calls: Sequence[Callable[[], _Result]]) -> list[Future[_Result]]:
    """Make the calls in a thread each, and return their futures, all done.

    An interruption cancels the statements of the calls' sessions on their servers.
    """
    owners: list[int] = []

    def run(call: Callable[[], _Result]) -> _Result:
        owners.append(threading.get_ident())
        return call()

    futures = [daemon_threads.start("side", run, call) for call in calls]
    try:
        daemon_threads.wait_for(futures, all_of_them=True)
    except BaseException:
        for cancel in [_running[owner] for owner in owners if owner in _running]:
            with suppress(ExtractionError):
                cancel()
        wait(futures, _CANCEL_SECONDS)
        raise
    return futures
