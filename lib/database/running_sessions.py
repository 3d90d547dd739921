"""The sessions under way, so that an interruption can end what they wait for.

A driver waits for its server outside Python, where no signal reaches it: whoever has to be
interruptible works in another thread. Knows neither drivers nor servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar

from lib.domain import daemon_threads
from lib.domain.errors import CancelledError

CANCELLED: Final = "A consulta aos bancos foi cancelada."

_CANCEL_SECONDS: Final = 2.0
_CANCEL_AGAIN_SECONDS: Final = 0.5
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@dataclass(eq=False)
class _Calls:
    """Calls made together; ``requests`` has the request to cancel of each of their sessions."""

    futures: list[Future[Any]] = field(default_factory=list)
    requests: list[Callable[[], None]] = field(default_factory=list)
    cancelled: bool = False

    def cancel(self) -> None:
        """Cancel all statements on their servers at once; later sessions are refused."""
        self.cancelled = True
        deadline = time.monotonic() + _CANCEL_SECONDS
        # A cancellation that arrives between two statements has no effect: repeat it.
        while time.monotonic() < deadline:
            for request in list(self.requests):
                with suppress(RuntimeError):  # no memory for another thread
                    daemon_threads.start("cancel", request)
            if not wait(self.futures, _CANCEL_AGAIN_SECONDS).not_done:
                return


_RUNNING: Final[list[_Calls]] = []
_own_calls: Final[ContextVar[_Calls | None]] = ContextVar("_own_calls", default=None)


@contextmanager
def registered(cancel: Callable[[], None]) -> Iterator[None]:
    """Register this thread's session: ``cancel`` ends its statement, from any other thread.

    Raises CancelledError if the calls that need the session have been cancelled meanwhile.
    """
    calls = _own_calls.get()
    if calls is None:
        yield
        return
    calls.requests.append(cancel)
    try:
        if calls.cancelled:
            raise CancelledError(CANCELLED)
        yield
    finally:
        calls.requests.remove(cancel)


def together(calls: Sequence[Callable[[], _Result]]) -> list[Future[_Result]]:
    """Make the calls in a thread each, and return their futures, all done.

    An interruption cancels the statements of the calls' sessions on their servers.
    """
    own = _Calls()

    def run(call: Callable[[], _Result]) -> _Result:
        _own_calls.set(own)
        return call()

    _RUNNING.append(own)
    try:
        for each in calls:
            own.futures.append(daemon_threads.start("side", run, each))
        daemon_threads.wait_for(own.futures, all_of_them=True)
    except BaseException:
        own.cancel()
        raise
    finally:
        _RUNNING.remove(own)
    return own.futures


def cancel_running() -> None:
    """Cancel the calls under way in any thread, for a server that ends."""
    for cancelling in [daemon_threads.start("cancel", own.cancel) for own in list(_RUNNING)]:
        cancelling.result()


def interruptible(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Make each call of the function in another thread, so that an interruption can end it."""

    @wraps(function)
    def call(*arguments: _Given.args, **keys: _Given.kwargs) -> _Result:
        (future,) = together([partial(function, *arguments, **keys)])
        return future.result()

    return call
