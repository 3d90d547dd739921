"""Questions on a terminal, one a line, with the default in brackets; passwords are not shown.

Without a terminal nothing is asked: the default is the answer, or an error names the option.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import typer

from lib.domain.errors import ConfigError

NO_ANSWER: Final = "Sem um terminal para perguntar, falta {option}."
YES_OR_NO: Final = "Responda s ou n."
YES: Final = "s"
NO: Final = "n"
_YES: Final = frozenset({"s", "sim", "y", "yes"})
_NO: Final = frozenset({"n", "não", "nao", "no"})


def interactive() -> bool:
    """True if someone can answer: standard input and standard error are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def say(text: object = "") -> None:
    """Write one line of the conversation."""
    typer.echo(str(text), err=True)


def ask(
    question: str,
    option: str,
    default: str | None = None,
    problem: Callable[[str], str | None] = lambda _: None,
    *,
    shown: bool = True,
) -> str:
    """The answer, or the default for an empty one; asks again while ``problem`` returns a sentence.

    Raises ConfigError, naming the option, without a terminal and a default.
    """
    if not interactive():
        if default is None:
            raise ConfigError(NO_ANSWER, option=option)
        return default
    while True:
        answer = str(
            typer.prompt(question, default=default, show_default=shown and bool(default), err=True)
        ).strip()
        sentence = problem(answer)
        if sentence is None:
            return answer
        say(sentence)


def secret(question: str) -> str:
    """A password, which the terminal does not show; empty without a terminal."""
    if not interactive():
        return ""
    return str(typer.prompt(question, default="", show_default=False, hide_input=True, err=True))


def confirm(question: str, *, default: bool) -> bool:
    """True for yes; the default without a terminal."""
    if not interactive():
        return default
    choices = f"{YES.upper()}/{NO}" if default else f"{YES}/{NO.upper()}"

    def problem(answer: str) -> str | None:
        return None if answer.lower() in _YES | _NO else YES_OR_NO

    # The capital letter is the default.
    answer = ask(f"{question} [{choices}]", "", YES if default else NO, problem, shown=False)
    return answer.lower() in _YES
