"""Compare texts with the templates of messages, so that tests do not repeat the words."""

from __future__ import annotations

import re

_VALUE = re.compile(r"\\\{[^{}]*\\\}")


def pattern(template: str) -> str:
    """A regular expression that matches every sentence of this template."""
    return _VALUE.sub(".*?", re.escape(template))


def says(text: str, template: str) -> bool:
    """True if the text contains a sentence of this template."""
    return re.search(pattern(template), text, flags=re.DOTALL) is not None
