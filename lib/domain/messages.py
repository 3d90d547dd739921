"""A sentence for the reader that is no failure: a Portuguese template and its values.

So that a screen can translate the template. Knows nothing of the rest of the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Notice:
    """One sentence for the reader; ``serious`` where results are likely wrong because of it."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    serious: bool = True

    def __str__(self) -> str:
        return self.template.format(**self.values)


def thousands(number: int) -> str:
    """A whole number: 1.234.567."""
    return f"{number:,}".replace(",", ".")


def counted(number: int, one: str, many: str) -> str:
    """A whole number with its noun: 1 registro, 2.000 registros."""
    return f"{thousands(number)} {one if number == 1 else many}"
