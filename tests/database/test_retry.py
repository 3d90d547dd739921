"""What is asked again, how often, and what is not."""

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
    TransientError,
)

LOST = TransientError("{side}: a conexão caiu.", side="auth_logs")


def answering(*answers: AggregatorError | str) -> tuple[Callable[[], str], list[int]]:
    """A question with these answers in turn, and how often it was asked."""
    asked: list[int] = []
    left = iter(answers)

    def ask() -> str:
        asked.append(1)
        answer = next(left)
        if isinstance(answer, AggregatorError):
            raise answer
        return answer

    return ask, asked


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_what_heals_within_three_attempts_gives_its_answer(failures: int) -> None:
    ask, asked = answering(*[LOST] * failures, "lido")
    assert (retry.call(ask), len(asked)) == ("lido", failures + 1)


def test_what_does_not_heal_is_asked_three_times_and_raises_its_own_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask, asked = answering(*[LOST] * 9)
    with pytest.raises(TransientError, match="a conexão caiu"):
        retry.call(ask)
    assert len(asked) == retry.ATTEMPTS
    assert [(r.levelno, r.getMessage().partition(" (")[0]) for r in caplog.records] == [
        (logging.WARNING, "auth_logs: a conexão caiu.")
    ] * 2


@pytest.mark.parametrize("kind", [ExtractionError, ContractError, ConfigError])
def test_what_cannot_heal_is_asked_once(kind: type[AggregatorError]) -> None:
    ask, asked = answering(kind("não"), "lido")
    with pytest.raises(kind):
        retry.call(ask)
    assert len(asked) == 1


def test_the_first_wait_is_a_second_and_the_next_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 1.0)
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    ask, _ = answering(LOST, LOST, "lido")
    retry.call(ask)
    assert waits == [1.0, 2.0]


def test_no_attempt_begins_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "DEADLINE_SECONDS", 0.0)
    ask, asked = answering(LOST, "lido")
    with pytest.raises(TransientError):
        retry.call(ask)
    assert len(asked) == 1
