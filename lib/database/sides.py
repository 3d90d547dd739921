"""Both sides of a run: work done on each, and one error where both fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from lib.database import running_sessions
from lib.domain import requests
from lib.domain.errors import ContractError, ExtractionError, TransientError

if TYPE_CHECKING:
    from lib.domain.requests import Side

BOTH_FAILED: Final = "Os dois bancos falharam: {first} {second}"

_Result = TypeVar("_Result")


def each(work: Callable[[Side], _Result]) -> dict[Side, _Result]:
    """Do the work on both sides and return the results; raises `failure_of` what failed."""
    results, failure = attempted(work)
    if failure:
        raise failure
    return results


def attempted(
    work: Callable[[Side], _Result],
) -> tuple[dict[Side, _Result], BaseException | None]:
    """Do the work on both sides; return the results of what succeeded and the error of the rest."""
    calls = [partial(work, side) for side in requests.SIDES]
    futures = dict(zip(requests.SIDES, running_sessions.together(calls), strict=True))
    failures = [e for future in futures.values() if (e := future.exception())]
    results = {s: future.result() for s, future in futures.items() if not future.exception()}
    failure = failure_of(failures) if failures else None
    if failure is not None and not isinstance(failure, ExtractionError):
        raise failure
    return results, failure


def failure_of(failures: Sequence[BaseException]) -> BaseException:
    """The error to raise for one or two failed sides: where both failed, one that names both.

    It is transient, or a breach of the contract, only if both are.
    """
    if unexpected := [f for f in failures if not isinstance(f, ExtractionError)]:
        return unexpected[0]
    if len(failures) == 1:
        return failures[0]
    kind: type[ExtractionError] = ExtractionError
    for narrower in (TransientError, ContractError):
        if all(isinstance(failure, narrower) for failure in failures):
            kind = narrower
    first, second = failures
    return kind(BOTH_FAILED, first=first, second=second)
