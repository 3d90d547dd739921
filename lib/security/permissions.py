"""Permissions: the sum of the grants of `[aggregator.access]` that apply to a person.

Pure: identity and configuration in, permission out. Anyone without a grant has no access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lib.config.settings import Access, Grant

ANALYST: Final = "analyst"
CLEAR_DATA: Final = "clear_data"
AUDITOR: Final = "auditor"
EVERY_MERCHANT: Final = "*"


@dataclass(frozen=True)
class Person:
    """A signed-in person, as reported by the identity provider."""

    email: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Permission:
    """Merchants to see masked, to export in clear, and to mark cases of; access to the audit."""

    merchants: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    auditor: bool = False
    analyst: tuple[str, ...] = ()

    @property
    def grants_access(self) -> bool:
        """True if any page may be opened."""
        return bool(self.merchants or self.auditor)


def resolve(access: Access, configured: Iterable[str], person: Person) -> Permission:
    """Add up the person's grants by e-mail and by group, merchants in configured order.

    The role for clear data covers only the merchants of the grant that includes it.
    """
    configured = tuple(configured)
    grants = list(_grants(access, person))
    visible = _merchants(configured, (g for g in grants if {ANALYST, CLEAR_DATA} & set(g.roles)))
    clear = _merchants(configured, (g for g in grants if CLEAR_DATA in g.roles))
    marked = _merchants(configured, (g for g in grants if ANALYST in g.roles))
    return Permission(visible, clear, any(AUDITOR in grant.roles for grant in grants), marked)


def _grants(access: Access, person: Person) -> Iterable[Grant]:
    email = _folded(person.email)
    yield from _named(access.people, {email} if email else set())
    yield from _named(access.groups, {_folded(group) for group in person.groups})


def _named(grants: Mapping[str, Grant], names: set[str]) -> Iterable[Grant]:
    return (grant for name, grant in grants.items() if _folded(name) in names)


def _merchants(configured: tuple[str, ...], grants: Iterable[Grant]) -> tuple[str, ...]:
    granted = {cnpj for grant in grants for cnpj in grant.merchants}
    return tuple(c for c in configured if c in granted or EVERY_MERCHANT in granted)


def _folded(name: str) -> str:
    # casefold() would unite names that the provider tells apart, such as ß and ss.
    return name.strip().lower()
