"""Ends a connection whose server has fallen silent, which none of its own time limits can.

A stopped process of the server keeps its connection open and says nothing: `statement_timeout` is
counted by that process, and the network is in order. Knows sockets and a clock, no database.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Self


class Watchdog:
    """Shuts a socket down once ``seconds`` pass without `alive`; ``bitten`` says whether it did.

    The socket may belong to a library: it is shut down, never closed, and its number may be
    reused meanwhile.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        self.bitten = False
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._last_chance = False
        self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError:  # there is no memory for a thread
            self._socket.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()
        self._socket.close()

    def alive(self) -> None:
        """The server has just said something: count anew."""
        if not self._last_chance:
            self._deadline = time.monotonic() + self._seconds

    def hurry(self, seconds: float) -> None:
        """Allow so many seconds from now and no more, whatever the server says."""
        with self._changed:
            self._last_chance = True
            self._deadline = min(self._deadline, time.monotonic() + seconds)
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._over:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self.bitten = True
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)
                    return
                self._changed.wait(left)
