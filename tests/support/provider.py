"""An OpenID provider on this machine, which signs in the person of its claims at once."""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "aggregator", "the-client's-secret"


@dataclass
class Claims:
    """The identity and lifetime of the next sign-in."""

    email: str = ""
    seconds: float = 3600
    more: dict[str, Any] = field(default_factory=dict)


class Provider:
    """A running provider; set ``claims`` before each sign-in, read ``expires_at`` after it."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.expires_at = 0.0
        self._key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, parse_qs(urlsplit(self.path).query))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                provider._answer(self, parse_qs(self.rfile.read(length).decode()))

            def log_message(self, *_: object) -> None:
                """Keep requests out of the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop serving and release the port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, query: dict[str, list[str]]) -> None:
        path = urlsplit(request.path).path
        if path == "/authorize":
            code = secrets.token_hex(8)
            self._codes[code] = query["nonce"][0]
            to = f"{query['redirect_uri'][0]}?code={code}&state={query['state'][0]}"
        elif path == "/logout":
            to = query.get("post_logout_redirect_uri", [f"{self.issuer}/bye"])[0]
        else:
            self._send(request, self._document(path, query))
            return
        request.send_response(302)
        request.send_header("Location", to)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _document(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [self._key.as_dict(private=False)]}
        if path == "/token":
            return {
                "access_token": secrets.token_hex(8),
                "token_type": "Bearer",
                "id_token": self._id_token(self._codes.pop(query["code"][0])),
            }
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        self.expires_at = int(now + self.claims.seconds)
        claims = {
            "iss": self.issuer,
            "sub": self.claims.email,
            "aud": CLIENT,
            "iat": now,
            "exp": self.expires_at,
            "nonce": nonce,
            "email": self.claims.email,
            **self.claims.more,
        }
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self._key)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
