"""Card numbers and CPFs in text that people type: any eleven digits or more, however spelled.

Dates and times are no such numbers. Decides nothing about what takes their place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

_SHORTEST: Final = 11
_BETWEEN: Final = r"[\s\u200b\u2060\ufeff./\\_,:;|–—-]{0,3}"
_DATE: Final = (
    r"(?<!\d)(?:(?:0?[1-9]|[12]\d|3[01])[/.-](?:0?[1-9]|1[0-2])[/.-](?:19|20)\d\d"
    r"|(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?!\d)"
)
_TIME: Final = r"(?<!\d)(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?!\d)"
_NUMBER: Final = re.compile(rf"{_DATE}|{_TIME}|(\d(?:{_BETWEEN}\d){{{_SHORTEST - 1},}})")


def replace(text: str, replacement: Callable[[str], str]) -> str:
    """The text with each long number replaced, given its digits alone, in ASCII."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        digits = (unicodedata.digit(character, None) for character in match[1])
        return replacement("".join(str(digit) for digit in digits if digit is not None))

    return _NUMBER.sub(replaced, text)
