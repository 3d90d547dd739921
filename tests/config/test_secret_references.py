"""Passwords in HashiCorp Vault (a stub of its HTTP API), libpq's files and secret files.

No password is ever shown.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lib.config import file_permissions, loader, secret_references
from lib.config.settings import Settings
from lib.database import sessions
from lib.domain import requests
from lib.domain.errors import AggregatorError, ConfigError
from lib.security import redaction
from tests.support.command import configured, finish, start, with_source
from tests.support.sentences import pattern
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases

VAULT_ERROR = "text of the vault's error"
TOKEN = "hvs.token-of-the-test"
PATH = "/v1/secret/data/aggregator/transactions"
REFERENCE = "vault:secret/aggregator/transactions#password"


@dataclass
class Vault:
    """The stub: its secrets, the paths requested, and the status and body of its responses."""

    address: str
    secrets: dict[str, Any] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    status: int = 200
    body: str | None = None


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vault]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            stub.requested.append(path)
            status = stub.status
            if self.headers["X-Vault-Token"] != TOKEN:
                status = 403
            elif path not in stub.secrets:
                status = 404
            secret = {"data": stub.secrets.get(path), "metadata": {"version": 1}}
            response = {"data": secret} if status == 200 else {"errors": [VAULT_ERROR]}
            body = (stub.body or json.dumps(response)).encode()
            self.send_response(status)
            if status == 307:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the stub's requests out of the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Vault(f"http://127.0.0.1:{server.server_port}", {PATH: {"password": PASSWORD}})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("VAULT_CACERT", "VAULT_NAMESPACE", "PGSERVICEFILE", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAULT_ADDR", stub.address)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    monkeypatch.setattr(secret_references, "_cache", {})
    yield stub
    server.shutdown()
    server.server_close()


def refusal(reference: str = REFERENCE) -> tuple[str, dict[str, object]]:
    """Template and values of the error that this reference raises."""
    with pytest.raises(ConfigError) as caught:
        secret_references.resolve(reference)
    trace = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in trace
    assert VAULT_ERROR not in trace
    return caught.value.template, caught.value.values


def logged_in(values: Mapping[str, Any]) -> str:
    """The login that both servers see."""
    return logged_in_with(loader.from_values(values, "teste", {}))


def logged_in_with(settings: Settings) -> str:
    users = set()
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            cursor.execute("SELECT current_user")
            users.add(cursor.fetchone()[0])
    (user,) = users
    return str(user)


def test_a_password_of_the_vault_opens_the_databases(vault: Vault, databases: Databases) -> None:
    assert logged_in(databases.values_for(NEEDS_PASSWORD, REFERENCE)) == NEEDS_PASSWORD
    assert vault.requested == [PATH], "one request serves both sides"


def test_a_changed_password_is_noticed_once_the_cached_one_expires(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret_references.resolve(REFERENCE) == PASSWORD
    vault.secrets[PATH] = {"password": "new"}
    assert secret_references.resolve(REFERENCE) == PASSWORD
    monkeypatch.setattr(secret_references, "CACHE_SECONDS", 0.0)
    assert secret_references.resolve(REFERENCE) == "new"


@pytest.mark.skipif(os.name != "posix", reason="needs modes")
def test_no_token_is_sent_under_authorities_that_another_account_can_change(
    vault: Vault, within_reach: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = within_reach / "ca.pem"
    roots.touch()
    roots.chmod(0o666)
    monkeypatch.setenv("VAULT_CACERT", str(roots))
    template, values = refusal()
    assert (template, values["file"]) == (file_permissions.CHANGEABLE, roots)
    assert vault.requested == []


@pytest.mark.parametrize("reference", ["vault:", "vault:secret#key", "vault:a/b", "vault:a/b#"])
def test_an_invalid_reference_is_explained(vault: Vault, reference: str) -> None:
    assert refusal(reference) == (secret_references.BAD_REFERENCE, {})
    assert vault.requested == []


@pytest.mark.parametrize("address", ["", "http://vault.example.com", "vault:8200", "ftp://x"])
def test_no_request_goes_to_a_vault_without_https(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    assert refusal() == (secret_references.NO_ADDRESS, {})
    assert vault.requested == []


def test_a_secret_that_the_vault_refuses_or_lacks_is_one_sentence(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "secret/aggregator/transactions"
    assert refusal("vault:secret/other#x") == (
        secret_references.NOT_THERE,
        {"path": "secret/other"},
    )
    assert refusal(f"vault:{path}#x") == (secret_references.NO_KEY, {"path": path, "key": "x"})
    vault.secrets[PATH] = {"password": 12}
    assert refusal() == (secret_references.NO_KEY, {"path": path, "key": "password"})
    monkeypatch.setenv("VAULT_TOKEN", "another")
    assert refusal() == (secret_references.FORBIDDEN, {"path": path})


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (503, None), (307, None), (200, "<html>"), (200, "[]")]
)
def test_a_vault_that_is_sealed_or_no_vault_is_one_sentence(
    vault: Vault, status: int, body: str | None
) -> None:
    vault.status, vault.body = status, body
    assert refusal() == (secret_references.VAULT_DOWN, {"host": "127.0.0.1"})


def test_a_vault_that_is_not_there_is_one_sentence(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert refusal() == (secret_references.VAULT_DOWN, {"host": "127.0.0.1"})


def test_the_token_may_be_in_its_file_unless_others_can_read_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    file = tmp_path / ".vault-token"
    assert refusal() == (secret_references.NO_ACCESS, {"file": file})
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o644)
    template, values = refusal()
    assert (template, values["file"]) == (file_permissions.EXPOSED, file)
    file.chmod(0o600)
    assert secret_references.resolve(REFERENCE) == PASSWORD


def test_a_password_file_that_others_can_read_is_refused(
    databases: Databases, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    values = databases.values_for(NEEDS_PASSWORD)
    for side in requests.SIDES:
        values = with_source(values, side, password_file=str(file))
    for mode in (0o644, 0o604, 0o660, 0o602):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=pattern(file_permissions.EXPOSED)) as caught:
            loader.from_values(values, "teste", {})
        assert PASSWORD not in str(caught.value)
    file.chmod(0o400)
    assert logged_in(values) == NEEDS_PASSWORD


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620])
def test_a_configuration_with_passwords_that_others_can_read_is_refused(
    databases: Databases, within_reach: Path, mode: int
) -> None:
    file = configured(within_reach, databases.values_for(NEEDS_PASSWORD, PASSWORD))
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        loader.load(file, {})
    assert str(caught.value) == loader.EXPOSED.format(file=file, instead="password_file")
    file.chmod(0o600)
    assert logged_in_with(loader.load(file, {})) == NEEDS_PASSWORD
    file.chmod(0o644)
    within_reach.chmod(0o700)  # other accounts cannot reach the file
    assert logged_in_with(loader.load(file, {})) == NEEDS_PASSWORD


def test_a_configuration_with_references_only_may_be_readable_by_all(
    vault: Vault, databases: Databases, tmp_path: Path
) -> None:
    file = configured(tmp_path, databases.values_for(NEEDS_PASSWORD, REFERENCE))
    file.chmod(0o644)
    assert logged_in_with(loader.load(file, {})) == NEEDS_PASSWORD


def test_the_service_file_of_libpq_may_have_the_password(
    vault: Vault, databases: Databases, tmp_path: Path
) -> None:
    file = tmp_path / ".pg_service.conf"
    file.write_text(f"[other]\npassword=no\n[mine]\nhost=elsewhere\npassword={PASSWORD}\n")
    values = databases.values_for(NEEDS_PASSWORD, "service:mine")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=pattern(file_permissions.EXPOSED)):
        loader.from_values(values, "teste", {})
    file.chmod(0o600)
    assert logged_in(values) == NEEDS_PASSWORD
    assert refusal("service:nobody") == (
        secret_references.NO_SERVICE,
        {"file": file, "name": "nobody"},
    )
    file.write_text("password")
    assert refusal("service:mine") == (secret_references.BAD_SERVICES, {"file": file})


def test_the_password_file_of_libpq_applies_without_a_configured_password(
    vault: Vault, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".pgpass"
    file.write_text(f"*:*:*:{NEEDS_PASSWORD}:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert logged_in(databases.values_for(NEEDS_PASSWORD)) == NEEDS_PASSWORD


def shown(settings: Settings) -> str:
    """Every text representation of the settings and their pool."""
    pool = sessions.pool(settings, "transactions")
    return " ".join(
        [
            f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}",
            f"{pool!r} {pool.status()} {pool._creator!r}",
        ]
    )


def test_a_password_is_in_no_text_of_the_settings_or_the_pool(databases: Databases) -> None:
    secret = "n3v3r-sh0wn"
    settings = loader.from_values(
        databases.values_for(NEEDS_PASSWORD, secret) | {"window_days": 1}, "teste", {}
    )
    assert secret not in shown(settings)


def test_a_refused_password_is_in_no_traceback_and_no_log(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "n3v3r@sh0wn/%40:?"
    caplog.set_level(logging.DEBUG)
    settings = loader.from_values(databases.values_for(NEEDS_PASSWORD, secret), "teste", {})
    with (
        pytest.raises(AggregatorError) as caught,
        sessions.session(settings, "transactions"),
    ):
        pass
    trace = "".join(traceback.format_exception(caught.value))
    assert secret not in trace + caplog.text + redaction.scrub(trace)


def test_a_password_is_in_no_process_list_and_no_output(
    databases: Databases, tmp_path: Path
) -> None:
    secret = "n3v3r-sh0wn"
    file = configured(tmp_path, databases.values_for(NEEDS_PASSWORD, secret))
    file.chmod(0o600)
    process = start("--config", str(file), "--output", str(tmp_path / "r.xlsx"))
    entry = Path(f"/proc/{process.pid}/cmdline")
    command = entry.read_text() if entry.exists() else ""
    result = finish(process)
    assert result.code == 2
    assert secret not in command + result.out + result.err
