"""Messages to the user other than errors: a Portuguese template and its values.

Screens translate the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Notice:
    """One sentence for the user; ``serious`` if it makes the results probably wrong."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    serious: bool = True

    def __str__(self) -> str:
        return self.template.format(**self.values)


def thousands(number: int) -> str:
    """Write a whole number: 1.234.567."""
    return f"{number:,}".replace(",", ".")


def counted(number: int, singular: str, plural: str) -> str:
    """Write a whole number with its noun: 1 registro, 2.000 registros."""
    return f"{thousands(number)} {singular if number == 1 else plural}"
