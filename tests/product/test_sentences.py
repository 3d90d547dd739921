"""The words of every message, held once for all tests: a line each in sentences.txt.

To reword a message, change it where it stands and its English in the catalogue, run
`make sentences`, and review the difference. Other tests compare messages by their templates.
"""

from __future__ import annotations

import pytest

from tests.support import messages

GOLDEN = messages.in_golden_file()
SOURCES = messages.in_sources()
HINT = "if that is meant, run `make sentences` and review the difference"


@pytest.mark.parametrize("sentence", sorted(GOLDEN | SOURCES))
def test_a_message_stands_word_for_word_in_the_golden_file(sentence: str) -> None:
    assert sentence in SOURCES, f"no source has this line of {messages.GOLDEN.name} now; {HINT}"
    assert sentence in GOLDEN, f"{messages.GOLDEN.name} lacks this message; {HINT}"
