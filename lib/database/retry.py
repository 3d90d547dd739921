"""Retry transient failures, a few times and within a deadline.

Only a `TransientError` is retried: a lost or refused connection, a server that restarts or is
full. A wrong password, a missing table or unbalanced books get exactly one attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
)

from lib.domain.errors import TransientError

ATTEMPTS: Final = 3
FIRST_WAIT_SECONDS: Final = 1.0
DEADLINE_SECONDS: Final = 600.0

_log: Final = logging.getLogger(__name__)
RETRYING: Final = "%s (tentativa %d de %d; a próxima em %.0f s)"

_Result = TypeVar("_Result")


def call(function: Callable[[], _Result]) -> _Result:
    """Call ``function`` up to three times and return its result; log each failed attempt.

    Waits 1 s, then 2 s, and starts no attempt later than ten minutes after the first. Raises the
    last attempt's error.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(DEADLINE_SECONDS),
        wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
        before_sleep=_log_attempt,
        reraise=True,
    )
    return retrying(function)


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    _log.warning(RETRYING, error, state.attempt_number, ATTEMPTS, wait)
