"""What monitors ask the server: `/healthz`, `/readyz` and `/metrics`, outside of any session.

The answers need no sign-in and say nothing about data, people or places; the metrics only answer a
request from this machine, or one with the configured token. No database is asked.
"""

from __future__ import annotations

import hmac
import shutil
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from streamlit.runtime import Runtime
from streamlit.runtime.stats import ACTIVE_SESSIONS_FAMILY

from lib.config import loader
from lib.delivery import state_file
from lib.delivery.history import history_of_demo
from lib.demo import data
from lib.domain.errors import AggregatorError
from lib.ui import app_state, session_user
from lib.ui.http_filter import NO_STORE, base_path

if TYPE_CHECKING:
    from starlette.requests import Request

    from lib.config.settings import Settings

OK: Final = "ok"
FAILED: Final = "failed"
REFUSED: Final = "Forbidden"

_READ_AGAIN_SECONDS: Final = 60.0
"""After so long, an unchanged configuration is read again: a vault may be back, or away."""
_CHECK_AGAIN_SECONDS: Final = 5.0
_LEAST_FREE_BYTES: Final = 1_000_000
_BEARER: Final = "Bearer "


def routes() -> list[Route]:
    """The routes that the server adds for monitors."""
    answers = {"/healthz": _health, "/readyz": _ready, "/metrics": _metrics}
    return [Route(f"{base_path()}{path}", call, methods=["GET"]) for path, call in answers.items()]


def _health(_: Request) -> Response:
    return _answer(200, OK)


def _ready(_: Request) -> Response:
    states = _Readiness.states()
    code = 200 if set(states.values()) == {OK} else 503
    return _answer(code, "\n".join(f"{name} {state}" for name, state in states.items()))


def _metrics(request: Request) -> Response:
    from lib.dashboard import metrics  # its library is loaded once somebody asks

    try:
        settings = _Configuration.settings()
    except AggregatorError:
        settings = None
    if not (_is_local(request) or _has_token(request, settings)):
        return _answer(403, REFUSED)
    if settings is None:
        return _answer(503, f"configuration {FAILED}")
    headers = {**NO_STORE, "Content-Type": metrics.CONTENT_TYPE}
    return Response(metrics.text(settings, _sessions()), headers=headers)


def _answer(code: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=code, headers=NO_STORE)


def _is_local(request: Request) -> bool:
    """True if a program on this machine asks, by a loopback name and without a proxy between."""
    client = request.client.host if request.client else ""
    return session_user.is_local_request(client, request.headers)


def _has_token(request: Request, settings: Settings | None) -> bool:
    given = request.headers.get("Authorization", "")
    if settings is None or not given.startswith(_BEARER):
        return False
    try:
        expected = settings.metrics.secret()
    except AggregatorError:
        return False
    token = given.removeprefix(_BEARER).strip()
    return expected is not None and hmac.compare_digest(token.encode(), expected.encode())


def _sessions() -> int:
    stats = Runtime.instance().stats_mgr.get_stats([ACTIVE_SESSIONS_FAMILY])
    return sum(int(getattr(stat, "value", 0)) for stat in stats.get(ACTIVE_SESSIONS_FAMILY, ()))


class _Configuration:
    """The settings, read once for each version of their file, and at most once a minute else."""

    _lock: ClassVar = threading.Lock()
    _stamp: ClassVar[object] = None
    _read_at: ClassVar = float("-inf")
    _settings: ClassVar[Settings | None] = None
    _problem: ClassVar[AggregatorError | None] = None

    @classmethod
    def settings(cls) -> Settings:
        """The settings in use; without a configuration the demonstration's. May raise."""
        site = app_state.find()
        if site is not None:
            return site.settings
        with cls._lock:
            stamp, now = loader.stamp(), time.monotonic()
            if stamp != cls._stamp or now - cls._read_at > _READ_AGAIN_SECONDS:
                cls._stamp, cls._read_at = stamp, now
                cls._settings, cls._problem = None, None
                try:
                    cls._settings = _read()
                except AggregatorError as problem:
                    cls._problem = problem
            if cls._settings is None:
                raise cls._problem or AggregatorError(FAILED)
            return cls._settings


class _Readiness:
    """The last answer of `/readyz`, so that nobody can make the server check all the time."""

    _lock: ClassVar = threading.Lock()
    _checked_at: ClassVar = float("-inf")
    _states: ClassVar[dict[str, str]] = {}

    @classmethod
    def states(cls) -> dict[str, str]:
        """The state of the configuration and of the store."""
        with cls._lock:
            if time.monotonic() - cls._checked_at > _CHECK_AGAIN_SECONDS:
                cls._states = _check()
                cls._checked_at = time.monotonic()
            return cls._states


def _check() -> dict[str, str]:
    try:
        settings = _Configuration.settings()
    except AggregatorError:
        return {"configuration": FAILED, "store": "unknown"}
    return {"configuration": OK, "store": OK if _is_writable(settings) else FAILED}


def _is_writable(settings: Settings) -> bool:
    """True if the state file takes a writer, and its disk is not full."""
    try:
        path = state_file.path_of(settings)
        with state_file.writing(path):
            return shutil.disk_usage(path.parent).free > _LEAST_FREE_BYTES
    except (AggregatorError, OSError):
        return False


def _read() -> Settings:
    if loader.exists():
        return loader.load()
    # As the demonstration will be once somebody opens it; until then it has no servers.
    nowhere = {"host": "localhost", "database": "demo", "user": "demo"}
    sources = {"transactions": nowhere, "auth_logs": nowhere}
    values = {"merchants": dict(data.MERCHANTS), **sources, **history_of_demo()}
    return loader.from_values(values, "demonstração")
