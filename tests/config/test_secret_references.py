"""Where passwords may be kept: HashiCorp Vault (a stub of its HTTP API), libpq's files, secret
files; and that none of them is ever shown."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lib.config import loader, secret_references
from lib.config.settings import Settings
from lib.database import sessions
from lib.domain import requests
from lib.domain.errors import AggregatorError, ConfigError
from lib.security import redaction
from tests.support.command import configured, finish, start, with_source
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases

TOKEN = "hvs.token-of-the-test"
PATH = "/v1/secret/data/aggregator/transactions"
REFERENCE = "vault:secret/aggregator/transactions#password"


@dataclass
class Vault:
    """The stub: what it holds, what it was asked, and with which status it answers."""

    address: str
    secrets: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    body: str | None = None


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vault]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            stub.asked.append(path)
            status = stub.status
            if self.headers["X-Vault-Token"] != TOKEN:
                status = 403
            elif path not in stub.secrets:
                status = 404
            found = {"data": stub.secrets.get(path), "metadata": {"version": 1}}
            answer = {"data": found} if status == 200 else {"errors": ["said by the vault"]}
            body = (stub.body or json.dumps(answer)).encode()
            self.send_response(status)
            if status == 307:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is not the stub's."""

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


def refusal(reference: str = REFERENCE) -> str:
    with pytest.raises(ConfigError) as caught:
        secret_references.resolve(reference)
    told = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in told
    assert "said by the vault" not in told
    return str(caught.value)


def logged_in(values: Mapping[str, Any]) -> str:
    """The login that both sides see."""
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
    assert vault.asked == [PATH], "once, not once a question"


def test_a_changed_password_is_found_once_the_kept_one_is_old(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret_references.resolve(REFERENCE) == PASSWORD
    vault.secrets[PATH] = {"password": "new"}
    assert secret_references.resolve(REFERENCE) == PASSWORD
    monkeypatch.setattr(secret_references, "CACHE_SECONDS", 0.0)
    assert secret_references.resolve(REFERENCE) == "new"


@pytest.mark.parametrize("reference", ["vault:", "vault:secret#key", "vault:a/b", "vault:a/b#"])
def test_a_reference_that_is_none_is_explained(vault: Vault, reference: str) -> None:
    assert refusal(reference).startswith("Uma senha do cofre se escreve vault:CAMINHO#CHAVE")
    assert vault.asked == []


@pytest.mark.parametrize("address", ["", "http://vault.example.com", "vault:8200", "ftp://x"])
def test_a_vault_in_the_clear_is_never_asked(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    assert refusal().endswith("defina VAULT_ADDR, com https.")
    assert vault.asked == []


def test_what_the_vault_refuses_or_has_not_is_one_sentence(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal("vault:secret/other#x").startswith("O cofre não tem secret/other")
    assert "não tem a chave x" in refusal("vault:secret/aggregator/transactions#x")
    vault.secrets[PATH] = {"password": 12}
    assert "não tem a chave password com um texto" in refusal()
    monkeypatch.setenv("VAULT_TOKEN", "another")
    assert refusal().startswith("O cofre recusou o acesso a secret/aggregator/transactions")


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (503, None), (307, None), (200, "<html>"), (200, "[]")]
)
def test_a_vault_that_is_sealed_or_no_vault_is_one_sentence(
    vault: Vault, status: int, body: str | None
) -> None:
    vault.status, vault.body = status, body
    assert refusal().startswith("O cofre em 127.0.0.1 não respondeu como deve")


def test_a_vault_that_is_not_there_is_one_sentence(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert refusal().startswith("O cofre em 127.0.0.1 não respondeu como deve")


def test_the_token_may_be_in_its_file_unless_others_can_read_it(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    assert refusal().endswith(f"defina VAULT_TOKEN ou {tmp_path}/.vault-token.")
    file = tmp_path / ".vault-token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o644)
    assert refusal().startswith("Outras contas podem ler o token do cofre em ")
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
        with pytest.raises(ConfigError, match="rode chmod 600 nesse arquivo") as caught:
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
    assert str(caught.value) == (
        f"{file} tem senhas e outras contas podem ler o arquivo: rode chmod 600 nele, ou use "
        "password_file."
    )
    file.chmod(0o600)
    assert logged_in_with(loader.load(file, {})) == NEEDS_PASSWORD
    file.chmod(0o644)
    within_reach.chmod(0o700)  # nobody else gets to it
    assert logged_in_with(loader.load(file, {})) == NEEDS_PASSWORD


def test_a_configuration_that_only_says_where_its_passwords_are_may_be_read(
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
    with pytest.raises(ConfigError, match="o arquivo de serviços"):
        loader.from_values(values, "teste", {})
    file.chmod(0o600)
    assert logged_in(values) == NEEDS_PASSWORD
    assert refusal("service:nobody").endswith("não tem a senha do serviço nobody.")
    file.write_text("password")
    assert refusal("service:mine").endswith("tem um erro de sintaxe.")


def test_the_password_file_of_libpq_serves_where_none_is_configured(
    vault: Vault, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:{NEEDS_PASSWORD}:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert logged_in(databases.values_for(NEEDS_PASSWORD)) == NEEDS_PASSWORD


def shown(settings: Settings) -> str:
    """Everything that a careless line of code could print of it."""
    engine = sessions.engine(settings, "transactions")
    return " ".join(
        [
            f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}",
            f"{engine!r} {engine.url} {engine.url!r} {engine.pool.status()}",
        ]
    )


def test_a_password_is_in_no_text_of_the_settings_or_the_engine(databases: Databases) -> None:
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
    told = "".join(traceback.format_exception(caught.value))
    assert secret not in told + caplog.text + redaction.scrub(told)


def test_a_password_is_in_no_process_list_and_no_output(
    databases: Databases, tmp_path: Path
) -> None:
    secret = "n3v3r-sh0wn"
    file = configured(tmp_path, databases.values_for(NEEDS_PASSWORD, secret))
    file.chmod(0o600)
    process = start("--config", str(file), "--output", str(tmp_path / "r.xlsx"))
    line = Path(f"/proc/{process.pid}/cmdline")
    seen = line.read_text() if line.exists() else ""
    said = finish(process)
    assert said.code == 2
    assert secret not in seen + said.out + said.err
