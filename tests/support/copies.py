"""A run that copies its report, and what came of it."""

from __future__ import annotations

import hashlib
from typing import Any

from lib.cli import main, run
from lib.delivery import history
from tests.support.command import Command, Completed
from tests.support.faults import PERIOD
from tests.support.sentences import says

SECRET = "s3nh@-da-copia"


def copied(command: Command, table: dict[str, Any], *words: str, **keys: Any) -> Completed:
    where = {"path": str(command.folder / "history.sqlite")}
    return command.run(*PERIOD, *words, copies=table, history=where, **keys)


def last(command: Command) -> history.Run:
    return history.History(command.folder / "history.sqlite").runs(1)[0]


def failed(command: Command, result: Completed, template: str) -> None:
    """The report is in place, the run is done but not good, and one sentence says why."""
    assert result.code == main.FAILED, result.err
    assert says(result.sentence, template), result.err
    assert "Traceback" not in result.err
    assert says(result.out, run.WRITTEN)
    run_ = last(command)
    assert (run_.outcome, run_.is_good) == (history.DONE, False)
    assert says(run_.note or "", template)
    assert hashlib.sha256(command.target.read_bytes()).hexdigest() == run_.sha256
    [sent] = run_.dispatches
    assert (sent.kind, says(sent.problem or "", template)) == (history.COPY, True)


def right(command: Command, result: Completed) -> bytes:
    assert result.code == main.DONE, result.err
    assert [sent.problem for sent in last(command).dispatches] == [None]
    assert last(command).is_good
    return command.target.read_bytes()
