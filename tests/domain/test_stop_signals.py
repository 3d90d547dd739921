"""Signals that ask a process to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lib.domain import stop_signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    previous: dict[Any, Any] = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


def test_the_handlers_are_put_back_after_the_block() -> None:
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals.handled(stop_signals.OTHERS, lambda number, _: received.append(number)):
        signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_signals.handled(stop_signals.OTHERS, lambda *_: pytest.fail("handled")):
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
