"""Audit events: sign-ins, views, exports, runs, marks and changes of configuration, as records.

Owns a record's fields: who, from where, what, under which configuration and version. A changed
configuration is detected and recorded automatically. Writes no card number and no CPF: typed text
is scrubbed. The file and its seals belong to `lib.security.audit_trail`.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from lib import __version__
from lib.domain.errors import AggregatorError, AuditError
from lib.domain.requests import SIDES
from lib.reports.description import AUDITORIA, MOTIVO, RESPONSAVEL
from lib.security import audit_trail
from lib.security.redaction import scrub, scrub_typed

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.outcomes import Books
    from lib.domain.requests import Request
    from lib.reports.report_file import Written
    from lib.security.audit_trail import Anchor, Fields

Kind = Literal[
    "sign_in", "sign_out", "refusal", "view", "export", "run", "configuration", "mark", "copy"
]

STARTED: Final = "started"
DONE: Final = "done"
FAILED: Final = "failed"

_SCRUBBED: Final = {
    **dict.fromkeys(("reason", "search", "filters", "note", "owner"), scrub_typed),
    "message": scrub,
}
_MAX_TYPED_LENGTH: Final = 1_000
NO_AUDIT: Final = (
    "Uma exportação em claro só é feita com auditoria: dê um caminho em [aggregator.audit]."
)


@dataclass(frozen=True)
class Actor:
    """The person or account that acts, and its origin: an address or a machine's name.

    Actors are equal by name, so that a person stays the same at another address.
    """

    name: str
    origin: str = field(compare=False)


@lru_cache(maxsize=1)
def account() -> Actor:
    """The system account that runs this process, on this machine."""
    name = f"uid {os.getuid()}" if hasattr(os, "getuid") else "?"
    with suppress(OSError, KeyError, ImportError):
        name = getpass.getuser()
    return Actor(name, socket.gethostname())


def record(settings: Settings, kind: Kind, actor: Actor, **fields: Any) -> Anchor | None:
    """Append one event and return its anchor, or None if no audit is configured.

    Raises AuditError if it cannot be written; the caller must then not perform the action.
    """
    path, key = settings.audit.path, settings.audit.key
    if path is None or key is None:
        if fields.get("clear"):
            raise AuditError(NO_AUDIT)
        return None
    configuration = _without_secrets(settings)
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]
    common = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": actor.name,
        "from": actor.origin,
        "version": __version__,
        "config": digest,
    }

    def build(last: Fields) -> list[Fields]:
        records = [{**common, "kind": kind, **_cleaned(fields)}]
        if last.get("config") != digest:
            change = {"settings": configuration, "python": platform.python_version()}
            records.insert(0, {**common, "kind": "configuration", **change})
        return records

    return audit_trail.append(path, key, build)


class Operation:
    """A run or an export, recorded when it starts and when it ends.

    ``marks`` go into its workbook's properties: the anchor and, for the dashboard's exports in
    clear, the person and the reason.
    """

    def __init__(self, settings: Settings, kind: Kind, actor: Actor, fields: Fields) -> None:
        self._settings, self._kind, self._actor = settings, kind, actor
        self._fields = fields
        anchor = self._record(STARTED)
        if anchor:
            self._fields = fields | {"began": anchor.sequence}
        self.who = actor.name
        self.marks = {AUDITORIA: str(anchor)} if anchor else {}
        if fields["clear"] and kind == "export":
            self.marks[RESPONSAVEL] = actor.name
        if fields.get("reason"):
            self.marks[MOTIVO] = str(fields["reason"])

    def add_rows(self, counts: Mapping[str, int]) -> None:
        """Store the `row_counts` of the outcome for the final record."""
        self._fields["rows"] = dict(counts)

    def approve(self, written: Written) -> None:
        """Record success with the finished file's digest, before the file is moved into place."""
        file = {"file": str(written.path), "sha256": written.sha256, "bytes": written.size_bytes}
        self._fields |= file
        self.complete()

    def complete(self) -> None:
        """Record success."""
        self._record(DONE)

    def fail(self, problem: BaseException) -> None:
        """Record failure, even after `approve` if the file could not be moved into place."""
        expected = isinstance(problem, AggregatorError)
        message = str(problem) if expected else type(problem).__name__
        with suppress(AuditError):
            self._record(FAILED, message=message)

    def _record(self, outcome: str, **fields: Any) -> Anchor | None:
        values = {**self._fields, "outcome": outcome, **fields}
        return record(self._settings, self._kind, self._actor, **values)


@contextmanager
def operation(
    settings: Settings,
    kind: Literal["export", "run"],
    actor: Actor,
    request: Request,
    *,
    clear: bool,
    **fields: Any,
) -> Iterator[Operation]:
    """Record a run or an export from its start to success or failure. Raises AuditError."""
    audited = Operation(settings, kind, actor, request_fields(request, clear=clear) | fields)
    try:
        yield audited
    except BaseException as problem:
        audited.fail(problem)
        raise


class TrailSummary:
    """The files and the unended operations of a sequence of records.

    ``digests`` are the files' SHA-256; ``unended`` are the numbers of start records without an end,
    in order: operations that are running or whose process was killed, and abandoned exports.
    """

    def __init__(self) -> None:
        self.digests: set[str] = set()
        self.unended: dict[str, None] = {}

    def add(self, record: Fields) -> None:
        """Add the next record."""
        if "sha256" in record:
            self.digests.add(str(record["sha256"]))
        if record.get("outcome") == STARTED:
            self.unended[str(record.get("seq"))] = None
        self.unended.pop(str(record.get("began")), None)


def request_fields(request: Request, *, clear: bool) -> dict[str, Any]:
    """The request as fields of a record."""
    return {
        "merchant": request.merchant,
        "start": request.period.start.isoformat(),
        "end": request.period.end.isoformat(),
        "rule": request.rule.name,
        "tolerance_seconds": request.rule.tolerance_seconds,
        "clear": clear,
    }


class HasBooks(Protocol):
    """A finished run, with its rows in memory or in files."""

    @property
    def books(self) -> Books: ...


def row_counts(outcome: HasBooks) -> dict[str, int]:
    """The number of rows read from each side and written to each sheet."""
    books = outcome.books
    return {
        "transactions": books.transactions,
        "auth_logs": books.logs,
        "consolidated": books.consolidated,
        "divergences": books.divergences,
    }


def _cleaned(fields: dict[str, Any]) -> Fields:
    return {
        name: _SCRUBBED[name](str(value))[:_MAX_TYPED_LENGTH] if name in _SCRUBBED else value
        for name, value in fields.items()
        if value is not None
    }


def _without_secrets(settings: Settings) -> Fields:
    values: Fields = settings.model_dump(mode="json")
    for side in SIDES:
        values[side]["password"] = values[side]["password"] and "******"
    return values
