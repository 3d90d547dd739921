"""A dashboard with sign-in at the tests' provider, and the steps of signing in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.ui import guard
from tests.support.command import configured
from tests.support.driving import Server, Visit
from tests.support.ports import free_port
from tests.support.provider import CLIENT, SECRET, Claims, Provider


def auth_file(folder: Path, url: str, provider: Provider) -> Path:
    """Write the `[auth]` file of a dashboard at this address, readable by its owner alone."""
    keys = {
        "redirect_uri": f"{url}/oauth2callback",
        "cookie_secret": secrets.token_hex(32),
        "client_id": CLIENT,
        "client_secret": SECRET,
        "server_metadata_url": f"{provider.issuer}/.well-known/openid-configuration",
    }
    file = folder / "auth.toml"
    file.touch(mode=0o600)
    file.write_text("[auth]\n" + "\n".join(f'{k} = "{v}"' for k, v in keys.items()))
    return file


class Site:
    """A running dashboard with sign-in, and the configuration that tests change under it."""

    def __init__(
        self,
        folder: Path,
        values: Mapping[str, Any],
        provider: Provider,
        people: dict[str, Any],
        groups: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._values, self._groups = folder, values, groups or {}
        self.audit = folder / "audit.jsonl"
        self.grant(people)
        port = free_port()
        self.secrets = auth_file(folder, f"http://127.0.0.1:{port}", provider)
        words = ("--secrets.files", str(self.secrets))
        self.server = Server(folder, folder / "aggregator.toml", *words, port=port)

    def grant(self, people: dict[str, Any]) -> None:
        """Give access to exactly these people from now on."""
        access = {"people": people, "groups": self._groups}
        configured(self._folder, self._values, access=access, audit={"path": str(self.audit)})

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The audit's records of this kind."""
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [r for r in map(json.loads, lines) if r["kind"] == kind]


def enter(
    visit: Visit, provider: Provider, email: str, seconds: float = 3600, **more: Any
) -> Visit:
    """Sign this person in for these seconds, with ``more`` claims."""
    provider.claims = Claims(email, seconds, more)
    visit.open("/")
    visit.button(guard.SIGN_IN).click()
    visit.page.wait_for_function("() => !location.search.includes('code=')")
    visit.page.get_by_text(guard.SIGNED_OUT).wait_for(state="detached")
    return visit.settle()
