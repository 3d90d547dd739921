"""The nginx configuration of docs/deployment.md: its headers, its refusals, and a browser."""

from __future__ import annotations

import base64
import getpass
import http.client
import re
import secrets
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lib.config.settings import ROOT
from lib.ui import export, guard
from tests.support import driving
from tests.support.certificates import Authority
from tests.support.command import configured, soon
from tests.support.driving import Server, Visit, new_page
from tests.support.ports import free_port
from tests.support.provider import Claims, Provider
from tests.support.scenario import MERCHANT
from tests.support.servers import Databases
from tests.support.signing import auth_file

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("reverse-proxy")]

NAME = "aggregator.example.com"
ANA = "ana@example.com"
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
WHOLE = """
user {user}; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""


def documented() -> str:
    """The server block of docs/deployment.md."""
    block = re.search(r"```nginx\n(.*?)```", DOCUMENT, re.DOTALL)
    assert block
    return block[1]


class Proxy:
    """nginx with the documented server block, on this machine's ports and certificate."""

    def __init__(self, folder: Path, port: int, dashboard: Server, provider: str) -> None:
        self.url = f"https://{NAME}:{port}"
        self._port, self._name = port, f"{NAME}:{port}"
        pair = Authority(folder, "authority").issue("proxy", NAME)
        replacements = {
            "listen 443": f"listen 127.0.0.1:{port}",
            "/etc/ssl/aggregator.pem": str(pair.certificate),
            "/etc/ssl/private/aggregator.key": str(pair.key),
            f"wss://{NAME}": f"wss://{NAME}:{port}",
            "https://login.example.com": provider,
            "http://127.0.0.1:8501": dashboard.url,
            # This directive came with nginx 1.25; Debian's is older.
            "    http2 on;\n": "",
        }
        server = documented()
        for documented_text, text in replacements.items():
            assert documented_text in server
            server = server.replace(documented_text, text)
        file, log = folder / "nginx.conf", folder / "error.log"
        user = getpass.getuser()
        file.write_text(WHOLE.format(user=user, folder=folder, server=server))
        self._process = subprocess.Popen(["nginx", "-c", str(file), "-e", str(log)])
        assert soon(self._answers), log.read_text()

    def ask(self, path: str = "/", **headers: str) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer to a request with these headers."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with closing(
            http.client.HTTPSConnection("127.0.0.1", self._port, context=context, timeout=20)
        ) as connection:
            connection.request("GET", path, headers={"Host": self._name, **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}

    def opens(self, **headers: str) -> bool:
        """True if a request with these headers opens the WebSocket of the data."""
        shake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
            "Sec-WebSocket-Protocol": "streamlit",
        }
        return self.ask("/_stcore/stream", **shake, **headers)[0] == HTTPStatus.SWITCHING_PROTOCOLS

    def stop(self) -> None:
        """Terminate nginx and wait for its end."""
        self._process.terminate()
        self._process.wait(120)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.ask()[0] == HTTPStatus.OK
        return False


@pytest.fixture(scope="module")
def dashboard(
    filled: Databases, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Proxy]]:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx (Debian: apt-get install nginx-light)")
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    access = {"people": {ANA: {"roles": ["analyst"], "merchants": [MERCHANT]}}}
    auth = auth_file(folder, f"https://{NAME}:{port}", provider)
    names = ("--server.allowedHosts", NAME, "--server.allowedHosts", "127.0.0.1")
    words = ("--secrets.files", str(auth), *names)
    server = Server(folder, configured(folder, filled.values, access=access), *words)
    try:
        proxy = Proxy(folder, port, server, provider.issuer)
        yield server, proxy
        proxy.stop()
    finally:
        server.stop()


@pytest.fixture
def visit(chromium: Browser, dashboard: tuple[Server, Proxy]) -> Iterator[Visit]:
    words = [*driving.ARGUMENTS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=driving.chromium(), args=words)
    yield Visit(new_page(browser, ignore_https_errors=True), dashboard[0], dashboard[1].url)
    browser.close()


def test_every_answer_has_the_documented_security_headers(dashboard: tuple[Server, Proxy]) -> None:
    expected = dict(re.findall(r'add_header (\S+) "?(.*?)"? always;', documented()))
    assert len(expected) == 7
    status, headers = dashboard[1].ask()
    assert status == HTTPStatus.OK
    policy = headers.pop("content-security-policy")
    assert (
        re.sub(r":\d+", "", policy.split("form-action")[0])
        == (expected.pop("Content-Security-Policy").split("form-action")[0])
    )
    del expected["Cache-Control"]  # a download's, below
    assert {name: headers[name.lower()] for name in expected} == expected


def test_the_servers_own_metrics_are_not_served_to_the_network(
    dashboard: tuple[Server, Proxy],
) -> None:
    server, proxy = dashboard
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server.url}/_stcore/metrics")  # noqa: S310
    assert proxy.ask("/_stcore/metrics")[0] == HTTPStatus.NOT_FOUND
    for path in ("//_stcore/metrics", "/_stcore/%6detrics/", "/any/_stcore/metrics?a=b"):
        assert proxy.ask(path)[0] == HTTPStatus.NOT_FOUND
    assert proxy.ask("/_stcore/health")[0] == HTTPStatus.OK


def test_a_page_of_another_name_or_origin_gets_no_socket(dashboard: tuple[Server, Proxy]) -> None:
    proxy = dashboard[1]
    assert proxy.opens(Origin=proxy.url)
    assert not proxy.opens(Host="evil.example.com", Origin="https://evil.example.com")
    for other in ("https://evil.example.com", "http://localhost:1", f"https://{NAME}:1", "null"):
        assert not proxy.opens(Origin=other)


def test_behind_the_proxy_a_person_signs_in_reads_charts_and_downloads(
    visit: Visit, dashboard: tuple[Server, Proxy], provider: Provider
) -> None:
    provider.claims = Claims(ANA)
    visit.open("/")
    visit.button(guard.SIGN_IN).click()
    visit.button(export.START).wait_for()
    with visit.page.expect_download() as waiting:
        visit.button(export.START).click()
    assert waiting.value.suggested_filename.endswith(".xlsx")
    cookies = visit.page.context.cookies()
    header = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies)
    status, headers = dashboard[1].ask(waiting.value.url.removeprefix(visit.by), Cookie=header)
    assert (status, headers["cache-control"]) == (HTTPStatus.OK, "no-store")
    for name in ("consolidated", "charts"):
        visit.open(f"/{name}")
    visit.page.locator(".js-plotly-plot").first.wait_for()
    assert all(c["httpOnly"] for c in cookies if "user" in c["name"] or "browser" in c["name"])
    assert visit.errors == []
