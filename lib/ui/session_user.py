"""The session's user: the claims of the sign-in, their validity, and the browser's address.

The only reader of Streamlit's sign-in. Decides nothing about rights (`lib.security.permissions`
does).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Final

import streamlit as st

from lib.config.file_permissions import require_private
from lib.security.permissions import Person

_RECHECK_SECONDS: Final = 1.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTH: Final = "os segredos de [auth]"
_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded")


def sign_in_configured() -> bool:
    """True where there is an [auth] table for `st.login`."""
    return _secrets_exist() and "auth" in st.secrets


class _Absence:
    """The last time, on the monotonic clock, that there was no file of secrets."""

    at: ClassVar = -_RECHECK_SECONDS


def _secrets_exist() -> bool:
    # Streamlit looks for a missing file at every access, one session at a time.
    if time.monotonic() - _Absence.at < _RECHECK_SECONDS:
        return False
    exist = st.secrets.load_if_toml_exists()
    if not exist:
        _Absence.at = time.monotonic()
    return exist


def require_private_secrets() -> None:
    """Raise ConfigError where other accounts may read the secrets of the sign-in."""
    if sign_in_configured():
        for file in st.get_option("secrets.files"):
            require_private(Path(file), _AUTH)


def signed_in() -> bool:
    """True where the browser sent the cookie of a sign-in."""
    return bool(st.user.get("is_logged_in"))


def expired() -> bool:
    """True where the identity token has expired or has no end; Streamlit's cookie lasts 30 days."""
    end = st.user.get("exp")
    return not isinstance(end, int | float) or end <= time.time()


def person(groups_claim: str) -> Person:
    """The signed-in person, without an e-mail that the provider calls unverified."""
    groups: Any = st.user.get(groups_claim)
    names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Person(_email(), tuple(map(str, names)))


def name() -> str:
    """The signed-in person's e-mail as in `person`, else the provider's subject."""
    return _email() or str(st.user.get("sub") or "?")


def _email() -> str:
    # Some providers write the claim as text; without the claim, the e-mail counts as verified.
    verified = st.user.get("email_verified")
    if verified is None or verified is True or verified == "true":
        return str(st.user.get("email") or "").strip().lower()
    return ""


def address() -> str:
    """The browser's address."""
    return str(st.context.ip_address or "127.0.0.1")


def at_this_machine() -> bool:
    """True where server and browser are on this machine, with nothing in between.

    The server listens on loopback only, the request names it so (no DNS rebinding), and no proxy
    forwarded the request.
    """
    headers = st.context.headers
    host = (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    return (
        st.get_option("server.address") in _LOOPBACK
        and st.context.ip_address is None
        and host in _LOOPBACK
        and not any(name in headers for name in _FORWARDED)
    )
