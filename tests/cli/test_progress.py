"""Progress on a terminal and in lines, for every order of stages that a run has."""

from __future__ import annotations

import io
import sys

import pytest

from lib.cli import progress

ORDERS = {
    "a whole run": ["transactions", "auth_logs", "matching", "writing"],
    "resumed, with both sides staged": ["matching", "writing"],
    "one side begins late": ["auth_logs", "transactions", "matching", "writing"],
    "ended while reading": ["transactions"],
    "nothing to do": [],
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
@pytest.mark.parametrize("stages", ORDERS.values(), ids=ORDERS)
def test_every_stage_is_shown_with_its_rows(
    monkeypatch: pytest.MonkeyPatch, stages: list[str], stream: type[io.StringIO]
) -> None:
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress.display() as update:
        for stage in stages:
            update(stage, 0)
            update(stage, 1_234)
    text = shown.getvalue()
    for stage in stages:
        assert progress.STAGES[stage] in text
    assert text.count(progress.records(1_234)) >= len(stages)


def test_a_read_that_is_retried_starts_its_stage_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.display() as update:
        for rows in (0, 500, 0, 700):
            update("transactions", rows)
    assert progress.records(700) in sys.stderr.getvalue()  # type: ignore[attr-defined]
