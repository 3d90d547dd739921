"""The keys of a configuration that `init --replace` keeps: all that it asks nothing about."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lib.domain.requests import SIDES

if TYPE_CHECKING:
    from lib.domain.requests import Side

SIGN_IN: Final = "auth"
"""Streamlit's table of the OpenID provider."""

_ASKED: Final = frozenset({"merchants", "allow_insecure", *SIDES})
_ASKED_OF_A_SIDE: Final = frozenset(
    {"host", "port", "database", "user", "password", "password_file"}
    | {"sslmode", "sslrootcert", "query_file"}
)


@dataclass(frozen=True)
class Kept:
    """The kept keys: of the tables outside [aggregator], of [aggregator], and of its two sides."""

    others: dict[str, Any]
    aggregator: dict[str, Any]
    sides: dict[Side, dict[str, Any]]

    def names(self) -> list[str]:
        """The kept tables, in brackets, and keys."""
        return [
            *_names(self.others, ""),
            *_names(self.aggregator, "aggregator."),
            *(name for side in SIDES for name in _names(self.sides[side], f"aggregator.{side}.")),
        ]


def kept(text: str) -> Kept:
    """What a configuration's text has to keep. Raises ValueError if it is no TOML."""
    others = tomllib.loads(text)
    table = _table(others.pop("aggregator", None))
    aggregator = _without(table, _ASKED)
    access = _table(aggregator.pop("access", None))
    access.pop("without_sign_in", None)
    return Kept(
        others,
        aggregator | ({"access": access} if access else {}),
        {side: _without(_table(table.get(side)), _ASKED_OF_A_SIDE) for side in SIDES},
    )


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(table: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _names(table: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in table.items():
        yield f"[{prefix}{key}]" if isinstance(value, dict) else f"{prefix}{key}"
