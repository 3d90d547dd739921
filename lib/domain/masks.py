"""Masks of card numbers, CPFs and texts: the pattern of long numbers, and each mask in Python.

The twin of `lib.database.masking`, for values that a clear run has read: both give the same text
for the same value, so a record is recognized in masked and in clear runs. Executes no SQL.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "******"
NO_CPF: Final = "***********"

# A digit may be full-width; between groups stand up to three blanks or signs, of Unicode too.
_DIGIT: Final = r"[0-9\uff10-\uff19]"
_SIGNS: Final = (
    r"[\s\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    r"./_,:|\u2010-\u2015-]"
)
# Python takes the first alternative that matches and PostgreSQL the longest one: of groups that
# begin alike, the longest must come first.
_GROUPS: Final = (
    "{11,}",  # any card number or bare CPF, also one behind a prefix
    "{3} {3} {3} {2}",  # a CPF
    "{9} {2}",
    "{4} {4} {4} {4} {1,7}",  # a card
    "{4} {4} {4} {1,7}",
    "{4} {4} {4}",
    "{4} {6} {4,5}",  # as American Express and Diners group it
    "{8} {8}",
    "{6} {10}",
)
LONG_RUNS: Final = "|".join(
    f"{_SIGNS}{{1,3}}".join(_DIGIT + length for length in groups.split()) for groups in _GROUPS
)
"""The regular expression of all these groups."""

_NO_DIGIT: Final = re.compile("[^0-9]+")
_LONG: Final = re.compile(LONG_RUNS, re.ASCII)


def card(value: str | None) -> str | None:
    """Show the first 6 and last 4 digits; below 13 digits only the last 4, below 9 none."""
    if not value:
        return None
    digits = _NO_DIGIT.sub("", value)
    if len(digits) >= 13:
        return f"{digits[:6]}{MASK}{digits[-4:]}"
    return MASK + digits[-4:] if len(digits) >= 9 else MASK


def cpf(value: str | None) -> str | None:
    """Show ``***.456.789-**``, or asterisks only unless there are exactly 11 digits."""
    if not value:
        return None
    digits = _NO_DIGIT.sub("", value)
    return f"***.{digits[3:6]}.{digits[6:9]}-**" if len(digits) == 11 else NO_CPF


def text(value: str | None) -> str | None:
    """Replace every run of digits that could be a card number or a CPF by six asterisks."""
    return _LONG.sub(MASK, value) if value else value
