"""Send messages by Apprise, within one time limit for all targets.

Loads Apprise, which takes a second, when there is something to send. What a target or Apprise says
is never repeated: an address holds secrets. Knows no run and no history.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from lib.config import secret_references
from lib.delivery import events
from lib.domain.errors import AggregatorError

if TYPE_CHECKING:
    from lib.delivery.notice_body import Message

LIMIT_SECONDS: Final = 9.5
"""For all messages to all targets, the loading of Apprise included."""

NO_ANSWER: Final = "não houve resposta em tempo"
ANSWERED: Final = "a resposta foi {status}"
NOT_REACHED: Final = "a conexão falhou"
REFUSED: Final = "o envio falhou; confira o endereço"
UNKNOWN: Final = "o Apprise não conhece um endereço assim"
UNEXPECTED: Final = "erro inesperado ({kind})"

_SENDER: Final = "Marketing Data Aggregator"
_KINDS: Final = {
    events.FAILED: "failure",
    events.LATE: "warning",
    events.UNUSUAL: "warning",
    events.OVER: "success",
    events.READY: "success",
}
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_HOST_IN_TEMPLATE: Final = re.compile(r"\{schema\}://(?:[^/@]*@)?\{host\}")
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_CONNECTION: Final = re.compile(r"(?i)connection error|socket exception|socket error")


@dataclass(frozen=True)
class Sent:
    """A message to a target, named by scheme and host; ``problem`` is None if it arrived."""

    target: str
    message: Message
    problem: str | None = None


def send(urls: Sequence[str], messages: Sequence[Message], sender_url: str = "") -> list[Sent]:
    """Send each message once to each target and return what came of it, in this order.

    A target that does not answer in time keeps its thread, which ends with the process.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    attempts = [_Attempt(url, message, sender_url) for message in messages for url in urls]
    try:
        for attempt in attempts:
            attempt.start()
        for attempt in attempts:
            attempt.join(max(0.0, deadline - time.monotonic()))
    except KeyboardInterrupt:
        pass  # what has been sent is known, and the rest is not waited for
    return [attempt.result for attempt in attempts]


def prepare() -> None:
    """Load Apprise before the time limit begins, for a sender that nothing waits for."""
    _Library.load()


class _Attempt(threading.Thread):
    """Sends one message to one target; `result` is what is known so far."""

    def __init__(self, url: str, message: Message, sender_url: str) -> None:
        super().__init__(name="notice", daemon=True)
        self._url, self._message, self._sender_url = url, message, sender_url
        self.result = Sent(_scheme(url), message, NO_ANSWER)

    def run(self) -> None:
        """Send, and keep the outcome."""
        try:
            self._send()
        except AggregatorError as problem:
            self._end(str(problem).rstrip("."))
        except Exception as problem:  # noqa: BLE001 a plugin's error may hold the address
            self._end(UNEXPECTED.format(kind=type(problem).__name__))

    def _send(self) -> None:
        url = secret_references.resolve(self._url)
        self.result = Sent(_scheme(url), self._message, NO_ANSWER)
        apprise = _Library.load()
        plugin = apprise.Apprise.instantiate(url, asset=_asset(apprise, self._sender_url))
        if plugin is None:
            self._end(UNKNOWN)
            return
        self.result = Sent(_target(url, plugin), self._message, NO_ANSWER)
        if plugin.overflow_mode == apprise.OverflowMode.UPSTREAM:
            # One message a target, also where the service takes short ones only.
            plugin.overflow_mode = apprise.OverflowMode.TRUNCATE
        arrived = plugin.notify(
            body=self._message.text,
            title=self._message.title,
            notify_type=apprise.NotifyType(_KINDS[self._message.event]),
            body_format=apprise.NotifyFormat.TEXT,
        )
        self._end(None if arrived else _Library.problem())

    def _end(self, problem: str | None) -> None:
        self.result = Sent(self.result.target, self._message, problem)


class _Library:
    """Apprise, loaded once and silenced: its log, and that of its HTTP library, name addresses."""

    _lock: ClassVar = threading.Lock()
    _listener: ClassVar[_Listener | None] = None

    @classmethod
    def load(cls) -> Any:
        """Load the library."""
        with cls._lock:
            if cls._listener is None:
                cls._silence()
            with warnings.catch_warnings():  # about other packages, by the services' modules
                warnings.simplefilter("ignore")
                import apprise

                apprise.Apprise.instantiate("json://localhost")  # loads all services, once
        return apprise

    @classmethod
    def _silence(cls) -> None:
        cls._listener = _Listener()
        for name in ("apprise", "urllib3"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.setLevel(logging.WARNING)
            logger.handlers = [cls._listener]

    @classmethod
    def problem(cls) -> str:
        """The reason why this thread's message did not arrive."""
        return cls._listener.problem() if cls._listener else REFUSED


class _Listener(logging.Handler):
    """Keeps of what a thread logs the answer's status, or that a connection failed."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason, and nothing of the text."""
        text = record.getMessage()
        status = _STATUS.search(text)
        if status:
            self._local.problem = ANSWERED.format(status=status[1])
        elif _CONNECTION.search(text):
            self._local.problem = NOT_REACHED

    def problem(self) -> str:
        """The last reason that this thread logged."""
        return getattr(self._local, "problem", REFUSED)


def _asset(apprise: Any, sender_url: str) -> Any:
    """Settings of one message: no redirects, no files, nothing fetched from Apprise's own site."""
    return apprise.AppriseAsset(
        app_id=_SENDER,
        app_desc=_SENDER,
        app_url=sender_url,
        http_redirects=False,
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        storage_mode="memory",
        secure_logging=True,
    )


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return f"{found[1].lower()}://" if found else "?"


def _target(url: str, plugin: Any) -> str:
    """Scheme and host; the scheme alone where a service has a token in the host's place."""
    if all(map(_HOST_IN_TEMPLATE.match, plugin.templates)):
        return f"{_scheme(url)}{plugin.host}"
    return _scheme(url)
