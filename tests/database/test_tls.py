"""Connections to a PostgreSQL with TLS, whose certificates are right, wrong or missing.

The embedded servers are built without TLS, so this one is the system's (Debian: postgresql).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.config import file_permissions, loader
from lib.config.settings import INSECURE
from lib.database import sessions
from lib.database.error_translation import (
    BY_STATE,
    CLIENT_CERTIFICATE,
    LOGIN_INCOMPLETE,
    NOT_ADMITTED_WITHOUT_TLS,
    TLS_REFUSED,
    UNTRUSTED,
    WRONG_HOST,
)
from lib.domain.errors import ConfigError, ExtractionError
from tests.support.certificates import EXPIRED, Authority
from tests.support.sentences import pattern, says
from tests.support.tls_server import BINARIES, HERE, Server

REMOTE = ["db.example.com", "10.0.0.1", "localhost.example.com", "/run/a,db.example.com", "::2"]
LOCAL = ["localhost", "127.0.0.1", "127.9.9.9", "::1", "/run/postgresql", "@abstract"]
WEAK = ["disable", "allow", "prefer", "require", "verify-ca"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mda-tls-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def impostor(folder: Path) -> Authority:
    return Authority(folder, "impostor")


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[Server]:
    if not BINARIES:
        pytest.skip("needs the system's PostgreSQL (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="mda-tls-server-"))  # it becomes the server's account's
    server = Server(folder, authority)
    server.present(authority.issue("first", HERE))
    server.execute("CREATE ROLE aggregator LOGIN")
    server.execute("CREATE ROLE certified LOGIN")
    server.execute("CREATE ROLE guarded LOGIN PASSWORD 'certa'")
    yield server
    server.stop()
    shutil.rmtree(folder)


def values(source: dict[str, Any], **keys: Any) -> dict[str, Any]:
    local = {"host": "/nowhere", "database": "b", "user": "u"}
    sides = {"transactions": source, "auth_logs": local}
    return {"merchants": {"12345678000195": "Loja"}, **sides, **keys}


def connected(server: Server, authority: Authority | None, **keys: Any) -> tuple[bool, str]:
    """The encryption of the connection, and the client certificate that the server received."""
    source = {"host": HERE, "port": server.port, "database": "postgres", "user": "aggregator"}
    root = {"sslrootcert": str(authority.root)} if authority else {}
    source |= {"sslmode": "verify-full", **root, **keys}
    settings = loader.from_values(values(source), "teste", {})
    with sessions.session(settings, "transactions") as cursor:
        cursor.execute("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return cursor.fetchone()


def refused(server: Server, authority: Authority | None, **keys: Any) -> str:
    with pytest.raises(ExtractionError) as caught:
        connected(server, authority, **keys)
    return str(caught.value)


def test_the_right_server_is_read_over_tls(running: Server, authority: Authority) -> None:
    running.present(authority.issue("right", HERE))
    assert connected(running, authority) == (True, None)


def test_a_server_with_another_hosts_certificate_is_refused(
    running: Server, authority: Authority
) -> None:
    running.present(authority.issue("other", "db.example.com"))
    assert refused(running, authority) == WRONG_HOST.format(side="transactions", host=HERE)
    assert connected(running, authority, sslmode="verify-ca")[0], "why verify-ca is not enough"


def test_a_server_of_an_unknown_authority_is_refused(
    running: Server, authority: Authority, impostor: Authority
) -> None:
    running.present(impostor.issue("false", HERE))
    assert refused(running, authority) == UNTRUSTED.format(side="transactions")
    assert connected(running, None, sslmode="require")[0], "why require is not enough"


def test_a_server_whose_certificate_expired_is_refused(
    running: Server, authority: Authority
) -> None:
    running.present(authority.issue("late", HERE, valid=EXPIRED))
    assert refused(running, authority) == UNTRUSTED.format(side="transactions")


def test_an_entry_for_tls_alone_is_named_without_tls_and_a_wrong_password_with_it(
    running: Server, authority: Authority
) -> None:
    running.present(authority.issue("again", HERE))
    without = NOT_ADMITTED_WITHOUT_TLS.format(side="transactions")
    assert refused(running, None, sslmode="disable") == without
    for sslmode in ("prefer", "require"):
        login = {"user": "guarded", "password": "errada", "sslmode": sslmode}
        assert refused(running, None, **login) == BY_STATE["28"].format(side="transactions")
    nothing = LOGIN_INCOMPLETE.format(side="transactions")
    assert refused(running, None, user="guarded", sslmode="require") == nothing


def test_a_missing_file_of_authorities_is_refused(running: Server, folder: Path) -> None:
    gone = str(folder / "gone.pem")
    assert refused(running, None, sslrootcert=gone) == TLS_REFUSED.format(side="transactions")


def test_a_client_certificate_is_presented_and_a_missing_one_is_reported(
    running: Server, authority: Authority, impostor: Authority
) -> None:
    running.present(authority.issue("server", HERE))
    mine, false = authority.issue("certified"), impostor.issue("certified_by_nobody")
    login = {"user": "certified"}
    assert connected(
        running, authority, **login, sslcert=str(mine.certificate), sslkey=str(mine.key)
    ) == (True, "/CN=certified")
    missing = CLIENT_CERTIFICATE.format(side="transactions")
    assert refused(running, authority, **login) == missing
    false_pair = {"sslcert": str(false.certificate), "sslkey": str(false.key)}
    assert says(refused(running, authority, **login, **false_pair), TLS_REFUSED)
    exposed = authority.issue("certified_and_exposed")
    exposed.key.chmod(0o644)
    pair = {"sslcert": str(exposed.certificate), "sslkey": str(exposed.key)}
    with pytest.raises(ConfigError, match=pattern(file_permissions.EXPOSED)):
        connected(running, authority, **login, **pair)


@pytest.mark.skipif(os.name != "posix", reason="needs modes")
def test_authorities_that_another_account_can_change_are_refused(
    running: Server, authority: Authority, within_reach: Path
) -> None:
    running.present(authority.issue("right", HERE))
    roots = within_reach / "ca.pem"
    roots.write_bytes(authority.root.read_bytes())
    assert connected(running, None, sslrootcert=str(roots)) == (True, None)
    roots.chmod(0o666)
    with pytest.raises(ConfigError, match=pattern(file_permissions.CHANGEABLE)):
        connected(running, None, sslrootcert=str(roots))
    roots.chmod(0o644)
    within_reach.chmod(0o777)
    with pytest.raises(ConfigError, match=pattern(file_permissions.REPLACEABLE)):
        connected(running, None, sslrootcert=str(roots))


@pytest.mark.parametrize("host", REMOTE)
def test_a_remote_server_without_verification_is_refused_before_any_connection(host: str) -> None:
    for sslmode in WEAK:
        source = {"host": host, "database": "a", "user": "u", "sslmode": sslmode}
        with pytest.raises(ConfigError) as caught:
            loader.from_values(values(source), "aqui.toml", {})
        assert (caught.value.template, caught.value.values) == (
            loader.INSECURE,
            {"origin": "aqui.toml", "key": "aggregator.transactions.sslmode", "host": host},
        )


@pytest.mark.parametrize("host", REMOTE)
def test_an_allowed_risk_is_a_warning(host: str) -> None:
    source = {"host": host, "database": "a", "user": "u", "sslmode": "require"}
    settings = loader.from_values(values(source, allow_insecure=True), "aqui.toml", {})
    assert list(map(str, settings.warnings())) == [
        INSECURE.format(side="transactions", host=host, sslmode="require")
    ]


@pytest.mark.parametrize("host", LOCAL)
def test_a_server_on_this_machine_needs_no_certificate(host: str) -> None:
    source = {"host": host, "database": "a", "user": "u", "sslmode": "disable"}
    assert loader.from_values(values(source), "aqui.toml", {}).warnings() == []


def test_a_remote_server_is_verified_by_default() -> None:
    source = {"host": "db.example.com", "database": "a", "user": "u"}
    settings = loader.from_values(values(source), "aqui.toml", {})
    assert settings.transactions.sslmode == "verify-full"
