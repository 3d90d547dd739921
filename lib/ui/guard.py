"""Who may see what: asked by the frame on every run of every page, before anything is computed.

There is no sign-in yet: whoever reaches the server sees masked data of every merchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.datasets import Rights

if TYPE_CHECKING:
    from lib.ui.site import Site


@dataclass(frozen=True)
class Admission:
    """The reader's rights, and the merchants (CNPJ = name) they may choose from."""

    rights: Rights
    merchants: Mapping[str, str]


def admit(site: Site) -> Admission:
    """The reader's admission; stops the page for who has none."""
    return Admission(Rights(), site.settings.merchants)
