"""Asks again for what can heal by itself, a few times and not for long.

Only a `TransientError` can: a lost or refused connection, a server restarting or full. A wrong
password, a missing table or an unbalanced book gets exactly one attempt. Knows no database.
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
_AGAIN: Final = "%s (tentativa %d de %d; a próxima em %.0f s)"

_Result = TypeVar("_Result")


def persist(ask: Callable[[], _Result]) -> _Result:
    """What ``ask`` gives, asked at most three times; each failed attempt is a line of the log.

    Waits 1 s, then 2 s, and begins no attempt later than ten minutes after the first. Raises what
    the last attempt raised.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(DEADLINE_SECONDS),
        wait=wait_exponential(multiplier=FIRST_WAIT_SECONDS),
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(ask)


def _tell(state: RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    _log.warning(_AGAIN, problem, state.attempt_number, ATTEMPTS, wait)
