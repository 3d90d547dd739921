"""The command `init` on a terminal of its own, or with every answer as an option."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pexpect

from lib.cli import init_source
from lib.config.settings import ROOT
from tests.support.command import Completed, finish, start
from tests.support.sentences import pattern
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases

MERCHANT = "12345678000190"
SMALLER = "7KM2Q9B4000149"
INTERRUPT = "\x03"
QUESTIONS = init_source.QUESTIONS
HOST, PORT, DATABASE, USER = (QUESTIONS[key] for key in ("host", "port", "database", "user"))


class Terminal:
    """The command on a terminal; everything that it shows is kept in ``shown``."""

    def __init__(self, file: Path, *words: str, **environment: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.upper().startswith("AGGREGATOR")}
        self.shown = ""
        self._process = pexpect.spawn(
            sys.executable,
            ["-W", "error", str(ROOT / "aggregator.py"), "init", "--config", str(file), *words],
            env={**clean, **environment, "TERM": "dumb"},
            encoding="utf-8",
            timeout=120,
            dimensions=(50, 1000),
        )

    def expect(self, template: str) -> None:
        """Wait until the terminal shows a sentence of this template."""
        self._process.expect(pattern(template))
        self.shown += self._process.before + self._process.after

    def answer(self, question: str, *answers: str) -> None:
        """Wait for the question and type an answer, by default only Enter."""
        self.expect(question)
        self._process.expect(": ?")
        self.shown += self._process.before + self._process.after
        self._process.sendline(*answers)

    def interrupt(self, question: str) -> None:
        """Press Ctrl-C at this question."""
        self.expect(question)
        self._process.expect(": ?")
        self._process.send(INTERRUPT)

    def hang_up(self, question: str) -> None:
        """Close the terminal at this question, and wait for the end."""
        self.expect(question)
        self._process.expect(": ?")
        self._process.close(force=False)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self._process.expect(pexpect.EOF)
        self.shown += self._process.before
        self._process.close()
        return int(self._process.exitstatus)


def login(terminal: Terminal, source: dict[str, Any], password: str = PASSWORD) -> None:
    """Answer the questions of one database."""
    terminal.answer(HOST, source["host"])
    terminal.answer(PORT, str(source["port"]))
    terminal.answer(DATABASE, source["database"])
    terminal.answer(USER, NEEDS_PASSWORD)
    terminal.answer(init_source.HIDDEN, password)


def both(terminal: Terminal, databases: Databases) -> None:
    for side in ("transactions", "auth_logs"):
        login(terminal, databases.values[side])
        terminal.expect(init_source.QUERY_WORKS)


def options(databases: Databases, **keys: Any) -> list[str]:
    """Every answer as an option; ``keys`` replace some, None leaves one out."""
    given: dict[str, Any] = {"merchant": MERCHANT}
    for side in ("transactions", "auth_logs"):
        for key in ("host", "port", "database"):
            given[f"{side}_{key}"] = databases.values[side][key]
        given[f"{side}_user"] = NEEDS_PASSWORD
    given |= keys
    return [
        word
        for key, value in given.items()
        if value is not None
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]


def without_terminal(file: Path, *words: str, password: str = PASSWORD) -> Completed:
    environment = {
        f"AGGREGATOR__{side}__PASSWORD": password for side in ("TRANSACTIONS", "AUTH_LOGS")
    }
    return finish(start("init", "--config", str(file), *words, env=environment))


def nothing(folder: Path) -> bool:
    return list(folder.iterdir()) == []
