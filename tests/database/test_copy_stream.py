"""Waiting for readers."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future

import pytest

from lib.database import copy_stream

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX")


@needs_signals
def test_a_signal_that_another_thread_receives_ends_the_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def receive() -> None:
        waiting.wait(60)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    def wait(*arguments: object, **options: object) -> object:
        waiting.set()
        return _wait(*arguments, **options)

    waiting, _wait = threading.Event(), copy_stream.wait
    monkeypatch.setattr(copy_stream, "wait", wait)
    previous = signal.signal(signal.SIGUSR1, interrupt)
    receiver = threading.Thread(target=receive)
    receiver.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            copy_stream.wait_for([Future()])
    finally:
        receiver.join()
        signal.signal(signal.SIGUSR1, previous)


def test_a_failure_ends_the_wait_for_the_others() -> None:
    failed: Future[None] = Future()
    failed.set_exception(ValueError())
    copy_stream.wait_for([Future(), failed])
