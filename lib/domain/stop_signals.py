"""Another handler, for a while, of the signals that ask a process to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

INTERRUPT: Final = ("SIGINT",)
OTHERS: Final = ("SIGTERM", "SIGHUP")
"""The request to end, and the end of the terminal."""


@contextmanager
def handled(names: Sequence[str], handler: signal.Handlers | Callable[..., Any]) -> Iterator[None]:
    """Handle these signals so in the block; one that is ignored (`nohup`) stays ignored.

    Changes nothing in another thread than the main one. Windows has no SIGHUP.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    previous = {
        number: signal.signal(number, handler)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
