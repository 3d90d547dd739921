"""Work in daemon threads, and a wait for it that an interruption ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, wait
from typing import Any, Final, TypeVar

_SIGNALS_SECONDS: Final = 0.2
T = TypeVar("T")


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


def wait_for(futures: Collection[Future[Any]], *, all_of_them: bool = False) -> None:
    """Wait until all are done or, without ``all_of_them``, one has failed.

    An interruption ends the wait. Python would notice a signal that comes just before a wait
    without a limit, or to another thread, only after the wait.
    """
    until = ALL_COMPLETED if all_of_them else FIRST_EXCEPTION
    while True:
        done, running = wait(futures, _SIGNALS_SECONDS, return_when=until)
        if not running or (not all_of_them and any(future.exception() for future in done)):
            return
