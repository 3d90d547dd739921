"""Who may see what: a person's grants of `[aggregator.access]`, added up.

Pure: is told who asks and what is configured, and answers. Whoever is in no grant may nothing.
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
    """Who signed in, as the identity provider says."""

    email: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Permission:
    """What somebody may: see these merchants masked, export those in clear, read the audit."""

    merchants: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    auditor: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is anything at all."""
        return bool(self.merchants or self.auditor)


def permission(access: Access, configured: Iterable[str], person: Person) -> Permission:
    """The person's grants by e-mail and by group together, in the configured merchants' order.

    Clear data are those of the merchants of a grant with that role, not of the person's others.
    """
    configured = tuple(configured)
    grants = list(_grants(access, person))
    seen = _merchants(configured, (g for g in grants if {ANALYST, CLEAR_DATA} & set(g.roles)))
    clear = _merchants(configured, (g for g in grants if CLEAR_DATA in g.roles))
    return Permission(seen, clear, any(AUDITOR in grant.roles for grant in grants))


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
    # Folding further would make one name of two that the provider tells apart, as ß and ss.
    return name.strip().lower()
