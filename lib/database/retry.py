"""Retry transient failures, a few times and within a deadline.

Only a `TransientError`, or a `TransientCopyError` of a report's copy, is retried: a lost or refused
connection, a server that restarts or is full. A wrong password, a missing table or unbalanced books
get exactly one attempt. Readers of a shared snapshot leave a `SnapshotError` to the one who took
the snapshot.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
)

from lib.domain.errors import SnapshotError, TransientCopyError, TransientError

ATTEMPTS: Final = 3
FIRST_WAIT_SECONDS: Final = 1.0
DEADLINE_SECONDS: Final = 600.0

_log: Final = logging.getLogger(__name__)
RETRYING: Final = "%s (tentativa %d de %d; a próxima em %.0f s)"

_TRANSIENT: Final = (TransientError, TransientCopyError)

_Result = TypeVar("_Result")


def call(function: Callable[[], _Result]) -> _Result:
    """Call ``function`` up to three times and return its result; log each failed attempt.

    Waits 1 s, then 2 s, and starts no attempt later than ten minutes after the first. Raises the
    last attempt's error.
    """
    return _call(function, lambda error: isinstance(error, _TRANSIENT), DEADLINE_SECONDS)


def within_snapshot(function: Callable[[], _Result]) -> _Result:
    """`call` for a reader of a shared snapshot: a `SnapshotError` gets one attempt."""

    def retried(error: BaseException) -> bool:
        return isinstance(error, TransientError) and not isinstance(error, SnapshotError)

    return _call(function, retried, DEADLINE_SECONDS)


def from_new_snapshot(function: Callable[[], _Result]) -> _Result:
    """Retry only a `SnapshotError`, without a deadline: a long read is repeated as well."""
    return _call(function, lambda error: isinstance(error, SnapshotError), math.inf)


def _call(
    function: Callable[[], _Result], retried: Callable[[BaseException], bool], deadline: float
) -> _Result:
    retrying = Retrying(
        retry=retry_if_exception(retried),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(deadline),
        wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
        before_sleep=_end_attempt,
        reraise=True,
    )
    return retrying(function)


def _end_attempt(state: RetryCallState) -> None:
    """Log the failed attempt, and release what it has read before the next one begins."""
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    _log.warning(RETRYING, error, state.attempt_number, ATTEMPTS, wait)
    if error:  # its frames hold the table of the side that did not fail
        traceback.clear_frames(error.__traceback__)
