"""Retries: which errors, how often and how late."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from lib.database import retry
from lib.domain.errors import (
    AggregatorError,
    ConfigError,
    ContractError,
    ExtractionError,
    SnapshotError,
    TransientError,
)

LOST = TransientError("{side}: lost", side="auth_logs")
STALE = SnapshotError("{side}: reloaded", side="auth_logs")


def read_with(*outcomes: AggregatorError | str) -> tuple[Callable[[], str], list[int]]:
    """A function that returns or raises these outcomes in turn, and the list of its calls."""
    calls: list[int] = []
    remaining = iter(outcomes)

    def read() -> str:
        calls.append(1)
        outcome = next(remaining)
        if isinstance(outcome, AggregatorError):
            raise outcome
        return outcome

    return read, calls


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_failure_that_passes_within_three_attempts_gives_the_result(failures: int) -> None:
    read, calls = read_with(*[LOST] * failures, "lido")
    assert (retry.call(read), len(calls)) == ("lido", failures + 1)


def test_a_lasting_failure_is_tried_three_times_and_raises_its_own_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, calls = read_with(*[LOST] * 9)
    with pytest.raises(TransientError, match=str(LOST)):
        retry.call(read)
    assert len(calls) == retry.ATTEMPTS
    assert [(r.levelno, r.msg, r.args[:2]) for r in caplog.records] == [
        (logging.WARNING, retry.RETRYING, (LOST, 1)),
        (logging.WARNING, retry.RETRYING, (LOST, 2)),
    ]


@pytest.mark.parametrize("kind", [ExtractionError, ContractError, ConfigError])
def test_other_errors_are_not_retried(kind: type[AggregatorError]) -> None:
    read, calls = read_with(kind("não"), "lido")
    with pytest.raises(kind):
        retry.call(read)
    assert len(calls) == 1


def test_a_reader_of_a_shared_snapshot_repeats_only_what_the_snapshot_outlives() -> None:
    read, calls = read_with(LOST, STALE, "lido")
    with pytest.raises(SnapshotError):
        retry.within_snapshot(read)
    assert len(calls) == 2


def test_who_takes_the_snapshot_repeats_the_read_from_a_new_one_however_long_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "DEADLINE_SECONDS", 0.0)
    read, calls = read_with(STALE, LOST, "lido")
    with pytest.raises(TransientError, match=str(LOST)):
        retry.from_new_snapshot(read)
    assert len(calls) == 2


def test_the_first_wait_is_a_second_and_the_next_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 1.0)
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    read, _ = read_with(LOST, LOST, "lido")
    retry.call(read)
    assert waits == [1.0, 2.0]


def test_no_attempt_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "DEADLINE_SECONDS", 0.0)
    read, calls = read_with(LOST, "lido")
    with pytest.raises(TransientError):
        retry.call(read)
    assert len(calls) == 1
