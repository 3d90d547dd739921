"""Servers that receive notices: a web hook that may fail, and a mail server."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.ports import free_port

SECRET = "s3gr3d0-do-aviso"


@dataclass
class Hook:
    """A web hook: what it received, and how it answers (status, and where a redirect leads)."""

    port: int = 0
    answer: Callable[[], int] = lambda: 200
    location: str = ""
    bad_headers: bool = False
    received: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The hook's address for Apprise, with a password and a token in it."""
        return f"json://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}"

    @property
    def target(self) -> str:
        """The hook's address as it may be shown."""
        return "json://127.0.0.1"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for _, body in self.received]

    @property
    def texts(self) -> list[str]:
        return [body["message"] for _, body in self.received]


@contextmanager
def hook(tls: ssl.SSLContext | None = None, **keys: Any) -> Iterator[Hook]:
    """Run a web hook while the block runs."""
    state = Hook(**keys)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length))
            status = state.answer()
            if status < 300:
                state.received.append((self.path, body))
            self.send_response(status)
            if state.location:
                self.send_header("Location", state.location)
            if state.bad_headers:
                self.wfile.write(b"".join([*self._headers_buffer, b"no header at all\r\n"]))
                self._headers_buffer = []
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


@dataclass
class Mail:
    """A mail server: what it received, and the answer to each message."""

    port: int
    answer: str = "250 OK"
    received: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The server's address for Apprise."""
        place = f"127.0.0.1:{self.port}"
        return f"mailto://{place}?from=robo@example.com&to=equipe@example.com"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        """Take or refuse a message (called by the server)."""
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.received.append(message)
        return self.answer


@contextmanager
def mail_server(answer: str = "250 OK") -> Iterator[Mail]:
    """Run a mail server while the block runs."""
    state = Mail(free_port(), answer)
    controller = Controller(state, hostname="127.0.0.1", port=state.port)
    controller.start()
    try:
        yield state
    finally:
        controller.stop()
