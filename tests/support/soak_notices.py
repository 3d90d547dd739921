"""The notices of the soak test: a web hook that fails at random, and what must be told to it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lib.delivery import events, history
from tests.support.receivers import Hook, hook

if TYPE_CHECKING:
    from lib.delivery.history import History, Run

HANGS_SECONDS = 30
_OF_OUTCOME = {
    history.DONE: events.READY,
    history.FAILED: events.FAILED,
    history.INTERRUPTED: events.FAILED,
}


@contextmanager
def failing_hook(chance: random.Random) -> Iterator[Hook]:
    """A web hook that takes most messages, refuses some, and lets a few wait for too long."""

    def answer() -> int:
        drawn = chance.random()
        if drawn < 0.02:
            time.sleep(HANGS_SECONDS)
            return 503
        return 200 if drawn < 0.7 else 500

    with hook(answer=answer) as receiver:
        yield receiver


def settings(receiver: Hook) -> dict[str, Any]:
    """`[aggregator.notify]` that tells every event to the hook."""
    return {"urls": [receiver.url], "on": ["failed", "late", "unusual", "ready"]}


def judge(record: History, receiver: Hook, since: int, received: int, *, killed: bool) -> str:
    """Hold the runs after number ``since`` against what the hook took since ``received``.

    Every event is told once or noted as untold; a killed run may have told without a note.
    """
    runs = record.runs(20)
    new = [run for run in runs if run.id > since]
    told = untold = 0
    for run in new:
        notices = [sent for sent in run.dispatches if sent.kind == history.NOTICE]
        happened = sorted(sent.event or "" for sent in notices)
        assert len(happened) == len(set(happened)), (run, "told twice")
        if not killed:
            others = set(happened) - {events.UNUSUAL}
            assert others == _expected(run, runs), (run, happened)
        arrived = sum(sent.problem is None for sent in notices)
        told, untold = told + arrived, untold + len(notices) - arrived
    taken = len(receiver.received) - received
    # What the hook took but answered too late is noted as untold.
    assert told <= taken <= told + untold or killed, (new, receiver.titles[received:])
    return f"{told} told, {untold} noted as untold"


def _expected(run: Run, runs: list[Run]) -> set[str]:
    event = _OF_OUTCOME.get(run.outcome)
    if event is None:
        return set()
    if not run.is_good:  # a report without its copy is told as a failure
        event = events.FAILED
    earlier = next((r for r in runs if r.id < run.id and r.has_ended), None)
    over = event == events.READY and earlier is not None and not earlier.is_good
    return {event, events.OVER} if over else {event}
