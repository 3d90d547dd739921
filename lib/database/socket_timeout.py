"""Shut down a connection whose server no longer answers.

A stopped server process keeps its connection open and sends nothing. No other limit covers this:
`statement_timeout` is enforced by that same process, and the network works. Knows sockets and a
clock, no database.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self


class Watchdog:
    """Shut a socket down and set ``expired`` once ``seconds`` pass without `reset`.

    The library that owns the socket may close it, and its descriptor may be reused. The watchdog
    therefore uses a duplicate, and shuts the connection down without closing the original.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.expired = False
        # os.dup knows no sockets on Windows.
        self._socket = socket.socket(fileno=socket.dup(descriptor))
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._final = False
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError:  # no memory for another thread
            self._socket.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()
        self._socket.close()

    def reset(self) -> None:
        """Restart the countdown: the server has just answered."""
        if not self._final:
            self._deadline = time.monotonic() + self._seconds

    def expire_within(self, seconds: float) -> None:
        """Expire at most ``seconds`` from now; later calls of `reset` have no effect."""
        with self._changed:
            self._final = True
            self._deadline = min(self._deadline, time.monotonic() + seconds)
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                remaining = self._deadline - time.monotonic()
                if remaining <= 0:
                    self.expired = True
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)
                    return
                self._changed.wait(remaining)
