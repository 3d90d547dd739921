"""The session's user: the claims of the sign-in, their validity, and the browser's address.

The only reader of Streamlit's sign-in. Decides nothing about rights (`lib.security.permissions`
does).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import streamlit as st

from lib.config.file_permissions import require_private
from lib.security.permissions import Person

_RECHECK_SECONDS: Final = 1.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTH: Final = "os segredos de [auth]"
_OF_SITE: Final = ("redirect_uri", "cookie_secret")
_OF_PROVIDER: Final = ("client_id", "client_secret", "server_metadata_url")
_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded")


def sign_in_configured() -> bool:
    """True if there is an [auth] table for `st.login`."""
    return _secrets_exist() and "auth" in st.secrets


def sign_in_keys() -> dict[str, bool]:
    """The keys that [auth] needs, and if each has a value; no value is returned."""
    table: Mapping[str, Any] = st.secrets["auth"] if sign_in_configured() else {}
    # Each named provider has a table of its own with the last three keys.
    providers = [value for value in table.values() if isinstance(value, Mapping)] or [table]
    return {
        **{key: bool(table.get(key)) for key in _OF_SITE},
        **{key: all(provider.get(key) for provider in providers) for key in _OF_PROVIDER},
    }


class _Absence:
    """Holds the last time, on the monotonic clock, at which no secrets file existed."""

    at: ClassVar = -_RECHECK_SECONDS


def _secrets_exist() -> bool:
    # For a missing file, Streamlit searches at every access and blocks the other sessions.
    if time.monotonic() - _Absence.at < _RECHECK_SECONDS:
        return False
    exist = st.secrets.load_if_toml_exists()
    if not exist:
        _Absence.at = time.monotonic()
    return exist


def require_private_secrets() -> None:
    """Raise ConfigError if other accounts may read the secrets of the sign-in."""
    if sign_in_configured():
        for file in st.get_option("secrets.files"):
            require_private(Path(file), _AUTH)


@dataclass(frozen=True)
class Visitor:
    """A session's sign-in and origin: the provider's claims, the browser's address and place."""

    claims: Mapping[str, Any]
    address: str
    at_this_machine: bool

    @property
    def signed_in(self) -> bool:
        """True if the browser sent the cookie of a sign-in."""
        return bool(self.claims.get("is_logged_in"))

    @property
    def expired(self) -> bool:
        """True if the identity token has expired or never expires; the cookie lasts 30 days."""
        end = self.claims.get("exp")
        return not isinstance(end, int | float) or end <= time.time()

    @property
    def name(self) -> str:
        """The person's e-mail as in `person`, else the provider's subject."""
        return self._email or str(self.claims.get("sub") or "?")

    def person(self, groups_claim: str) -> Person:
        """The signed-in person, without an e-mail that the provider calls unverified."""
        groups: Any = self.claims.get(groups_claim)
        names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        return Person(self._email, tuple(map(str, names)))

    @property
    def _email(self) -> str:
        # Some providers write the claim as text; without the claim, the e-mail counts as verified.
        verified = self.claims.get("email_verified")
        if verified is None or verified is True or verified == "true":
            return str(self.claims.get("email") or "").strip().lower()
        return ""


def visitor() -> Visitor:
    """This session's visitor."""
    address = str(st.context.ip_address or "127.0.0.1")
    # Without a sign-in there are no claims, and each look at them would search for the secrets.
    claims = dict(st.user) if sign_in_configured() else {}
    return Visitor(claims, address, at_this_machine())


def at_this_machine() -> bool:
    """True if server and browser are on this machine, without a proxy in between.

    The server listens on loopback only, the request addresses a loopback name (no DNS rebinding),
    and no proxy forwarded the request.
    """
    address, _ = place()
    return st.context.ip_address is None and is_local_request(address, st.context.headers)


def is_local_request(address: str, headers: Mapping[str, str]) -> bool:
    """True for a request from or to this address of this machine, by its name, not forwarded."""
    return (
        address in _LOOPBACK
        and _host_name(headers) in _LOOPBACK
        and not any(name in headers for name in _FORWARDED)
    )


def place() -> tuple[str, str]:
    """The address that the server listens on, and the host name that the browser asked for."""
    return str(st.get_option("server.address") or ""), _host_name(st.context.headers)


def _host_name(headers: Mapping[str, str]) -> str:
    return (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
