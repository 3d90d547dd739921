"""Counts of things as the command line, its log and its errors write them, in Portuguese.

Knows nothing of what is counted. What screens write is `lib.ui.i18n.n`'s.
"""

from __future__ import annotations


def thousands(number: int) -> str:
    """A whole number: 1.234.567."""
    return f"{number:,}".replace(",", ".")


def counted(number: int, one: str, many: str) -> str:
    """A whole number with its noun: 1 registro, 2.000 registros."""
    return f"{thousands(number)} {one if number == 1 else many}"
