"""Waiting for work in other threads."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future

import pytest

from lib.domain import daemon_threads

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

    waiting, _wait = threading.Event(), daemon_threads.wait
    monkeypatch.setattr(daemon_threads, "wait", wait)
    previous = signal.signal(signal.SIGUSR1, interrupt)
    receiver = threading.Thread(target=receive)
    receiver.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            daemon_threads.wait_for([Future()])
    finally:
        receiver.join()
        signal.signal(signal.SIGUSR1, previous)


def test_a_failure_ends_the_wait_for_the_others() -> None:
    failed: Future[None] = Future()
    failed.set_exception(ValueError())
    daemon_threads.wait_for([Future(), failed])


def test_a_failure_does_not_end_the_wait_for_all() -> None:
    failed: Future[None] = Future()
    failed.set_exception(ValueError())
    last = daemon_threads.start("last", lambda: time.sleep(0.5))
    daemon_threads.wait_for([failed, last], all_of_them=True)
    assert last.done()
