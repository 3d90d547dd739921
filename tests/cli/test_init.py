"""The command `init`, driven on a terminal and by its options, against two real servers."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from lib.cli import init, init_source, main, questions
from lib.config import loader
from lib.database import error_translation as errors
from tests.support.init_terminal import (
    DATABASE,
    HOST,
    MERCHANT,
    PORT,
    SMALLER,
    USER,
    Terminal,
    both,
    nothing,
    options,
    without_terminal,
)
from tests.support.sentences import says
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases


def test_the_answers_become_a_private_configuration_that_works(
    filled: Databases, target: Path
) -> None:
    terminal = Terminal(target)
    both(terminal, filled)
    terminal.expect(f"1. {MERCHANT}, 2 transações")
    terminal.expect(f"2. {SMALLER}, 1 transação")
    terminal.answer(init.WHICH, "2, 1")
    terminal.answer(init.NAME_OF, "Café")
    terminal.answer(init.NAME_OF, "")
    terminal.answer(init.WITHOUT_SIGN_IN, "")
    assert terminal.end() == main.DONE, terminal.shown
    assert says(terminal.shown, init.WRITTEN)
    assert says(terminal.shown, init.NEXT_HERE)
    assert PASSWORD not in terminal.shown

    settings = loader.load(target, {})
    assert settings.merchants == {SMALLER: "Café", MERCHANT: MERCHANT}
    assert settings.access.without_sign_in
    for side in ("transactions", "auth_logs"):
        source = getattr(settings, side)
        assert (source.user, source.secret()) == (NEEDS_PASSWORD, PASSWORD)
        assert source.database == filled.values[side]["database"]
    names = {"aggregator.toml", "transactions.password", "auth_logs.password"}
    assert {file.name for file in target.parent.iterdir()} == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in target.parent.iterdir()} == {0o600}
    assert PASSWORD not in target.read_text(encoding="utf-8")


def test_what_is_wrong_is_asked_again_and_nothing_else(filled: Databases, target: Path) -> None:
    terminal, source = Terminal(target), filled.values["transactions"]
    terminal.answer(HOST, "/nowhere")
    terminal.answer(PORT, "many")
    terminal.expect(init_source.BAD_PORT)
    terminal.answer(PORT, str(source["port"]))
    terminal.answer(DATABASE, "elsewhere")
    terminal.answer(USER, NEEDS_PASSWORD)
    terminal.answer(init_source.HIDDEN, "wrong")
    terminal.expect(errors.NOT_CONNECTED)
    terminal.answer(f"{HOST} [/nowhere]", source["host"])
    terminal.answer(f"{PORT} [{source['port']}]", "")
    terminal.expect(errors.BY_STATE["28"])
    terminal.answer(f"{USER} [{NEEDS_PASSWORD}]", "")
    terminal.answer(init_source.HIDDEN, PASSWORD)
    terminal.expect(errors.BY_STATE["3D"])
    terminal.answer(f"{DATABASE} [elsewhere]", source["database"])
    terminal.expect(init_source.CONNECTED)
    # The second server's defaults are the first one's answers.
    terminal.answer(f"{HOST} [{source['host']}]", filled.values["auth_logs"]["host"])
    terminal.answer(PORT, str(filled.values["auth_logs"]["port"]))
    terminal.answer(DATABASE, filled.values["auth_logs"]["database"])
    terminal.answer(f"{USER} [{NEEDS_PASSWORD}]", "")
    terminal.answer(init_source.HIDDEN, PASSWORD)
    terminal.answer(init.WHICH, "nobody")
    terminal.expect(init.BAD_MERCHANT)
    terminal.answer(init.WHICH, "1")
    terminal.answer(init.NAME_OF, "Loja")
    terminal.answer(init.WITHOUT_SIGN_IN, "maybe")
    terminal.expect(questions.YES_OR_NO)
    terminal.answer(init.WITHOUT_SIGN_IN, "n")
    assert terminal.end() == main.DONE, terminal.shown
    assert says(terminal.shown, init.NEXT_SIGN_IN)
    assert not loader.load(target, {}).access.without_sign_in


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, 4, 7])
def test_an_interruption_at_any_question_leaves_nothing(
    filled: Databases, target: Path, at: int
) -> None:
    terminal = Terminal(target)
    if at < 5:
        for question, answer in [
            (HOST, filled.values["transactions"]["host"]),
            (PORT, str(filled.values["transactions"]["port"])),
            (DATABASE, filled.values["transactions"]["database"]),
            (USER, NEEDS_PASSWORD),
        ][:at]:
            terminal.answer(question, answer)
        terminal.interrupt([HOST, PORT, DATABASE, USER, init_source.HIDDEN][at])
    else:
        both(terminal, filled)
        terminal.answer(init.WHICH, "1")
        terminal.answer(init.NAME_OF, "Loja")
        terminal.interrupt(init.WITHOUT_SIGN_IN)
    assert terminal.end() == main.INTERRUPTED
    assert says(terminal.shown, main.INTERRUPTED_SENTENCE)
    assert nothing(target.parent)


def test_every_answer_can_be_an_option(filled: Databases, target: Path) -> None:
    words = options(filled, merchant=f"{MERCHANT}=Loja")
    result = without_terminal(target, *words)
    assert result.code == main.DONE, result.err
    assert PASSWORD not in result.out + result.err
    assert loader.load(target, {}).merchants == {MERCHANT: "Loja"}
    assert loader.load(target, {}).auth_logs.secret() == PASSWORD


@pytest.mark.parametrize(
    ("changed", "template"),
    [
        ({"transactions_host": None}, questions.NO_ANSWER),
        ({"auth_logs_database": None}, questions.NO_ANSWER),
        ({"merchant": None}, questions.NO_ANSWER),
        ({"merchant": "123"}, init.NOT_A_CNPJ),
        ({"transactions_host": "/nowhere"}, errors.NOT_CONNECTED),
        ({"auth_logs_user": "nobody"}, errors.BY_STATE["28"]),
        ({"auth_logs_database": "elsewhere"}, errors.BY_STATE["3D"]),
    ],
)
def test_without_a_terminal_a_failure_is_one_sentence_and_leaves_nothing(
    filled: Databases, target: Path, changed: dict[str, Any], template: str
) -> None:
    result = without_terminal(target, *options(filled, **changed))
    assert result.code == main.FAILED
    assert result.out == ""
    assert says(result.sentence, template), result.err
    assert nothing(target.parent)


def test_a_wrong_password_without_a_terminal_is_refused_and_not_repeated(
    filled: Databases, target: Path
) -> None:
    result = without_terminal(target, *options(filled), password="secreta!")
    assert (result.code, says(result.sentence, errors.BY_STATE["28"])) == (main.FAILED, True)
    assert "secreta!" not in result.err
    assert nothing(target.parent)


def test_what_check_finds_wrong_is_said_over_the_written_file(
    filled: Databases, target: Path
) -> None:
    filled.execute("transactions", "UPDATE transactions SET transaction_time = NULL")
    filled.execute("transactions", "ALTER TABLE transactions ALTER amount TYPE numeric(12,3)")
    filled.execute("transactions", "UPDATE transactions SET amount = 1.234")
    result = without_terminal(target, *options(filled))
    assert (result.code, target.exists()) == (main.FAILED, True)
    assert says(result.sentence, init.CHECK_FAILED)


def test_a_folder_that_cannot_be_written_is_refused_before_any_question(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "missing" / "aggregator.toml")
    assert terminal.end() == main.FAILED
    assert not says(terminal.shown, HOST)
