"""Every message has an English translation with the same values."""

from __future__ import annotations

import re
from functools import cache
from string import Formatter

import pytest
from babel.messages import pofile

from lib.ui.i18n import CATALOGUES, ENGLISH, PORTUGUESE, catalogue
from tests.support import messages


@cache
def english() -> dict[tuple[str, ...], tuple[str, ...]]:
    with (CATALOGUES / ENGLISH / "LC_MESSAGES" / "messages.po").open("rb") as file:
        entries = pofile.read_po(file, locale=ENGLISH, abort_invalid=True)
    return {
        _tuple(message.id): _tuple(message.string)
        for message in entries
        if message.id and not message.fuzzy
    }


def test_no_message_on_a_screen_lacks_its_english() -> None:
    lacking = {m for m in messages.on_screen() if not all(english().get(m, ("",)))}
    assert lacking == set()


def test_no_sentence_of_an_error_lacks_its_english() -> None:
    lacking = {m for m in messages.of_errors() if not all(english().get((m,), ("",)))}
    assert lacking == set()


def test_no_word_in_a_cell_lacks_its_english() -> None:
    lacking = {m for m in messages.of_values() if not all(english().get((m,), ("",)))}
    assert lacking == set()


def test_no_name_of_a_file_lacks_its_english() -> None:
    lacking = {m for m in messages.of_files() if not all(english().get((m,), ("",)))}
    assert lacking == set()


def test_no_translation_is_left_of_a_message_that_is_gone() -> None:
    singles = messages.of_errors() | messages.of_values() | messages.of_files()
    known = messages.on_screen() | {(message,) for message in singles}
    assert set(english()) - known == set()


def test_a_translation_has_the_values_of_its_message() -> None:
    wrong = {m: text for m, text in english().items() if _values(*m) != _values(*text)}
    assert wrong == {}


def test_no_english_is_portuguese() -> None:
    suspects = re.compile(r"[ãõçáéíóúâêôà]|\b(não|com|para|uma|dos|das)\b")
    portuguese = {text for words in english().values() for text in words if suspects.search(text)}
    assert portuguese == set()


@pytest.mark.parametrize("name", [PORTUGUESE, "xx"])
def test_a_language_without_a_catalogue_reads_the_portuguese(name: str) -> None:
    assert catalogue(name).gettext("Hoje") == "Hoje"


def _tuple(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def _values(*texts: str) -> set[str]:
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
