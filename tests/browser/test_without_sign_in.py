"""A dashboard without sign-in: refused, or shown to this machine's own browser if so configured."""

from __future__ import annotations

import base64
import http.client
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from lib.ui import export, guard
from tests.support import driving, scenario
from tests.support.driving import Server, Visit, new_page
from tests.support.sentences import says
from tests.support.servers import Databases

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("without-sign-in")]

NAME = "evil.example.com"
PAGES = ("", "overview", "consolidated", "divergences", "charts", "customers", "runs", "audit")
Allow = Callable[[bool], None]


@pytest.fixture(scope="module")
def site(
    filled: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Allow]]:
    """A dashboard that answers to any host name, and the switch of its setting."""
    folder = tmp_path_factory.mktemp("open")
    audit = {"path": str(folder / "audit.jsonl")}

    def allow(really: bool) -> None:
        access = {"without_sign_in": really}
        scenario.site(folder, filled.values, access=access, audit=audit)

    allow(False)
    server = Server(folder, folder / "aggregator.toml", "--server.allowedHosts", "*")
    yield server, allow
    server.stop()


@pytest.fixture
def visit(chromium: Browser, site: tuple[Server, Allow]) -> Iterator[Visit]:
    words = [*driving.ARGUMENTS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=driving.chromium(), args=words)
    yield Visit(new_page(browser), site[0])
    browser.close()


@contextmanager
def forwarding(server: Server) -> Iterator[str]:
    """A proxy in front of the server that adds X-Forwarded-For, as proxies do."""
    port = urlsplit(server.url).port
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as ends:

        def carry(source: socket.socket, target: socket.socket, header: bytes = b"") -> None:
            with suppress(OSError):
                while chunk := source.recv(1 << 16):
                    line, end, remainder = chunk.partition(b"\r\n") if header else (chunk, b"", b"")
                    target.sendall(line + end + header + remainder)
                    header = b""
            for connection in (source, target):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    to = socket.create_connection(("127.0.0.1", port or 0))
                    for end in (client, to):
                        ends.enter_context(end)
                    header = b"X-Forwarded-For: 10.1.2.3\r\n"
                    threading.Thread(target=carry, args=(client, to, header), daemon=True).start()
                    threading.Thread(target=carry, args=(to, client), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def shows_data(visit: Visit) -> bool:
    shown = any(word in visit.text() for word in ("R$", "Loja Exemplo"))
    return shown or visit.button(export.START).count() > 0


@pytest.mark.parametrize("page", PAGES)
def test_without_the_setting_no_page_shows_anything(
    visit: Visit, site: tuple[Server, Allow], page: str
) -> None:
    site[1](False)
    visit.open(f"/{page}")
    assert says(visit.text(), guard.NO_SIGN_IN)
    assert not shows_data(visit)


def test_with_the_setting_only_this_machines_own_browser_is_served(
    visit: Visit, site: tuple[Server, Allow]
) -> None:
    server, allow = site
    allow(True)
    visit.open("/consolidated")
    assert shows_data(visit)
    visit.open(f"http://{NAME}:{urlsplit(server.url).port}/consolidated")
    assert guard.ELSEWHERE.format(address="127.0.0.1", host=NAME) in visit.text()
    assert not shows_data(visit)
    with forwarding(server) as address:
        visit.open(f"{address}/consolidated")
        assert says(visit.text(), guard.ELSEWHERE)
        assert not shows_data(visit)


def test_with_the_setting_a_server_at_another_address_serves_nobody(
    chromium: Browser, filled: Databases, tmp_path: Path
) -> None:
    file = scenario.site(tmp_path, filled.values)
    words = ("--server.allowedHosts", "*")
    server = Server(tmp_path, file, *words, address="127.0.0.2")
    try:
        page = new_page(chromium)
        visit = Visit(page, server).open("/consolidated")
        assert says(visit.text(), guard.ELSEWHERE)
        assert not shows_data(visit)
        page.context.close()
    finally:
        server.stop()


def test_a_page_of_another_port_of_this_machine_gets_no_socket_and_no_figures(
    site: tuple[Server, Allow],
) -> None:
    server, allow = site
    allow(True)
    host = urlsplit(server.url).netloc

    def opens(origin: str) -> bool:
        shake = {
            "Host": host,
            "Origin": origin,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
            "Sec-WebSocket-Protocol": "streamlit",
        }
        return status("/_stcore/stream", shake) == HTTPStatus.SWITCHING_PROTOCOLS

    def status(path: str, headers: dict[str, str]) -> int:
        with closing(http.client.HTTPConnection(host, timeout=20)) as connection:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status

    assert opens(server.url)
    for other in ("http://localhost:1", "http://127.0.0.1:1", "https://localhost", "null"):
        assert not opens(other), other
        assert status("/_stcore/host-config", {"Origin": other}) == HTTPStatus.FORBIDDEN
    assert status("/_stcore/metrics", {}) == HTTPStatus.NOT_FOUND
    assert status("/_stcore/health", {}) == HTTPStatus.OK
