"""Tell people of the runs of one command, and record what was told.

Called when the locks are released and the histories written. Nothing that goes wrong here fails a
run: it is a warning in the log, and stands in the history.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from lib.delivery import events, history, notice_sending, notice_text
from lib.delivery.history import Dispatch
from lib.delivery.notice_sending import Sent
from lib.domain.errors import AggregatorError, ConfigError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.delivery.notice_body import Message, RunReport

UNTOLD: Final = 'O aviso "{title}" não foi enviado a {target}: {problem}.'
NOTHING_TOLD: Final = "Os avisos não foram enviados: erro inesperado ({kind})."
NO_TARGETS: Final = (
    "Não há a quem avisar: escreva os endereços em urls ou urls_file de [aggregator.notify]."
)

_log: Final = logging.getLogger(__name__)


class Notices:
    """Collects the ended runs of one command, and tells of their events once."""

    def __init__(self, settings: Settings, *, digest: bool) -> None:
        self._settings = settings
        self._digest = digest
        self._reports: list[RunReport] = []

    def add(self, report: RunReport) -> None:
        """Add an ended run."""
        self._reports.append(report)

    def send(self) -> None:
        """Send what is configured to be told, a message an event or one digest; record it."""
        if not self._settings.notify.configured:
            return
        try:
            self._send()
        except Exception as problem:  # noqa: BLE001 a bug here must not fail a run; no traceback,
            # which might hold an address
            _log.warning("%s", NOTHING_TOLD.format(kind=type(problem).__name__))

    def _send(self) -> None:
        messages = self._messages()
        if not messages:
            return
        try:
            sent = _send(self._settings, messages)
        except AggregatorError as problem:  # the file of the addresses has changed
            target, sentence = str(self._settings.notify.urls_file), str(problem).rstrip(".")
            sent = [Sent(target, message, sentence) for message in messages]
        for one in sent:
            if one.problem is not None:
                values = {"title": one.message.title, "target": one.target, "problem": one.problem}
                _log.warning("%s", UNTOLD.format(**values))
        _record(self._settings, sent)

    def _messages(self) -> list[Message]:
        notify = self._settings.notify
        # The end of a failure is of interest to whoever was told of the failure.
        on = {*notify.on, *((events.OVER,) if events.FAILED in notify.on else ())}
        if self._digest:
            message = notice_text.digest(self._reports, on, notify.dashboard_url)
            return [message] if message else []
        return [
            notice_text.single(report, event, notify.dashboard_url)
            for report in self._reports
            for event in events.EVENTS
            if event in on and event in report.events
        ]


def send_test(settings: Settings) -> list[Sent]:
    """Send the test notice to each target. Raises ConfigError if there is none."""
    if not settings.notify.configured:
        raise ConfigError(NO_TARGETS)
    notice_sending.prepare()
    return _send(settings, [notice_text.test(settings.notify.dashboard_url)])


def _send(settings: Settings, messages: Sequence[Message]) -> list[Sent]:
    notify = settings.notify
    return notice_sending.send(notify.targets(), messages, notify.dashboard_url or "")


def _record(settings: Settings, sent: Sequence[Sent]) -> None:
    at = datetime.now(UTC)
    by_run: dict[int, list[Dispatch]] = defaultdict(list)
    for one in sent:
        for number, event in one.message.covers:
            if number is not None:
                dispatch = Dispatch(history.NOTICE, one.target, at, event, one.problem)
                by_run[number].append(dispatch)
    with history.errors_logged():
        record = history.of(settings)
        for number, dispatches in by_run.items():
            record.add_dispatches(number, dispatches)
