"""Who sits at the browser: the signed-in person's claims, the address, and what is wrong with
them.

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

_LOOK_SECONDS: Final = 1.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTH: Final = "os segredos de [auth]"
_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded")


def sign_in_configured() -> bool:
    """Whether there is an [auth] table for `st.login`."""
    return _secrets_exist() and "auth" in st.secrets


class _Looked:
    """When there was no file of secrets, last."""

    at: ClassVar = -_LOOK_SECONDS


def _secrets_exist() -> bool:
    # Streamlit looks for a file that is not there at every question, one session at a time.
    if time.monotonic() - _Looked.at < _LOOK_SECONDS:
        return False
    found = st.secrets.load_if_toml_exists()
    if not found:
        _Looked.at = time.monotonic()
    return found


def require_private_secrets() -> None:
    """Raise ConfigError where others may read the cookie's and the client's secret."""
    if sign_in_configured():
        for file in st.get_option("secrets.files"):
            require_private(Path(file), _AUTH)


def signed_in() -> bool:
    """Whether the browser brought the cookie of a sign-in."""
    return bool(st.user.get("is_logged_in"))


def expired() -> bool:
    """Whether the identity token is over, or says of no end; Streamlit's cookie lasts 30 days."""
    end = st.user.get("exp")
    return not isinstance(end, int | float) or end <= time.time()


def person(groups_claim: str) -> Person:
    """The signed-in person; an e-mail that its provider does not call verified is none."""
    groups: Any = st.user.get(groups_claim)
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Person(_email(), tuple(map(str, named)))


def name() -> str:
    """The signed-in person's e-mail as `person` has it, else the provider's own name for them."""
    return _email() or str(st.user.get("sub") or "?")


def _email() -> str:
    # Some providers write the claim as a text; one that writes none is believed.
    verified = st.user.get("email_verified")
    if verified is None or verified is True or verified == "true":
        return str(st.user.get("email") or "").strip().lower()
    return ""


def address() -> str:
    """Where the browser is."""
    return str(st.context.ip_address or "127.0.0.1")


def at_this_machine() -> bool:
    """Whether server and browser are on this machine, with nothing in between.

    The server listens to no other address, the address was not asked for by another name (DNS
    rebinding), and no proxy passed the request on.
    """
    headers = st.context.headers
    host = (headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    return (
        st.get_option("server.address") in _LOOPBACK
        and st.context.ip_address is None
        and host in _LOOPBACK
        and not any(name in headers for name in _FORWARDED)
    )
