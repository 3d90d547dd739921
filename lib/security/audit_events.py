"""What is written down of who saw, exported and ran what, and where the trail of it is.

Owns the fields of a record: who, from where, what, of which configuration and version. A change
of the configuration is found and recorded by itself. Writes no card number and no CPF: what a
person typed is scrubbed. The file and its seals are `lib.security.audit_trail`'s.
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
from lib.reports.verification import AUDITORIA, MOTIVO, RESPONSAVEL
from lib.security import audit_trail
from lib.security.redaction import scrub

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.outcomes import Books, Finished
    from lib.domain.requests import Request
    from lib.reports.publish import Written
    from lib.security.audit_trail import Anchor, Fields

Kind = Literal["sign_in", "sign_out", "refusal", "view", "export", "run", "configuration"]

STARTED: Final = "started"
DONE: Final = "done"
FAILED: Final = "failed"

_TYPED: Final = frozenset({"reason", "search", "filters", "message"})
_LONGEST: Final = 1_000
_OFF: Final = (
    "Uma exportação em claro só é feita com auditoria: dê um caminho em [aggregator.audit]."
)


@dataclass(frozen=True)
class Actor:
    """Who does something, and from where: an address, or a machine's name.

    A person who moves on to another address stays the same.
    """

    who: str
    origin: str = field(compare=False)


@lru_cache(maxsize=1)
def account() -> Actor:
    """The system's account that runs this process, on this machine."""
    who = f"uid {os.getuid()}" if hasattr(os, "getuid") else "?"
    with suppress(OSError, KeyError, ImportError):
        who = getpass.getuser()
    return Actor(who, socket.gethostname())


def record(settings: Settings, kind: Kind, actor: Actor, **fields: Any) -> Anchor | None:
    """Write this down and return its anchor, None where no audit is kept.

    Raises AuditError where it cannot be written: then what it is of must not be done.
    """
    path, key = settings.audit.path, settings.audit.key
    if path is None or key is None:
        if fields.get("clear"):
            raise AuditError(_OFF)
        return None
    shown = _shown(settings)
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]
    common = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": actor.who,
        "from": actor.origin,
        "version": __version__,
        "config": digest,
    }

    def make(last: Fields) -> list[Fields]:
        records = [{**common, "kind": kind, **_clean(fields)}]
        if last.get("config") != digest:
            change = {"settings": shown, "python": platform.python_version()}
            records.insert(0, {**common, "kind": "configuration", **change})
        return records

    return audit_trail.append(path, key, make)


class Deed:
    """Something under way that is written down at its beginning and at its end.

    ``marks`` are what its workbook says of it: the anchor, and of the dashboard's who and why.
    """

    def __init__(self, settings: Settings, kind: Kind, actor: Actor, fields: Fields) -> None:
        self._settings, self._kind, self._actor = settings, kind, actor
        self._fields = fields
        anchor = self._record(STARTED)
        if anchor:
            self._fields = fields | {"began": anchor.sequence}
        self.marks = {AUDITORIA: str(anchor)} if anchor else {}
        if fields["clear"] and kind == "export":
            self.marks[RESPONSAVEL] = actor.who
        if fields.get("reason"):
            self.marks[MOTIVO] = str(fields["reason"])

    def learn(self, outcome: Finished) -> None:
        """The rows read of each side and those of the result."""
        self.learn_rows(rows(outcome))

    def learn_rows(self, rows: Mapping[str, int]) -> None:
        """The same, where another process counted them."""
        self._fields["rows"] = dict(rows)

    def approve(self, written: Written) -> None:
        """The file is finished: once this is written down, it may take its place."""
        file = {"file": str(written.path), "sha256": written.sha256, "bytes": written.size_bytes}
        self._fields |= file
        self.end()

    def end(self) -> None:
        """It came to what it was to come to."""
        self._record(DONE)

    def fail(self, problem: BaseException) -> None:
        """It came to nothing; also after its end, where the finished file took no place."""
        expected = isinstance(problem, AggregatorError)
        said = str(problem) if expected else type(problem).__name__
        with suppress(AuditError):
            self._record(FAILED, message=said)

    def _record(self, state: str, **fields: Any) -> Anchor | None:
        said = {**self._fields, "outcome": state, **fields}
        return record(self._settings, self._kind, self._actor, **said)


@contextmanager
def deed(
    settings: Settings,
    kind: Literal["export", "run"],
    actor: Actor,
    asked: Request,
    *,
    clear: bool,
    **fields: Any,
) -> Iterator[Deed]:
    """A run or an export from its beginning to whichever end it has. Raises AuditError."""
    done = Deed(settings, kind, actor, question(asked, clear=clear) | fields)
    try:
        yield done
    except BaseException as problem:
        done.fail(problem)
        raise


class Told:
    """What records told, one after the other: which files, and what has no end among them.

    ``digests`` are the files'; ``unended`` the numbers of such beginnings, in their order: what
    is under way, was cut off with its process, or is an export that nobody waited for.
    """

    def __init__(self) -> None:
        self.digests: set[str] = set()
        self.unended: dict[str, None] = {}

    def see(self, record: Fields) -> None:
        """Take in one more record, which came after those before it."""
        if "sha256" in record:
            self.digests.add(str(record["sha256"]))
        if record.get("outcome") == STARTED:
            self.unended[str(record.get("seq"))] = None
        self.unended.pop(str(record.get("began")), None)


def question(asked: Request, *, clear: bool) -> dict[str, Any]:
    """What was asked, as fields of a record."""
    return {
        "merchant": asked.merchant,
        "start": asked.period.start.isoformat(),
        "end": asked.period.end.isoformat(),
        "rule": asked.rule.name,
        "tolerance_seconds": asked.rule.tolerance_seconds,
        "clear": clear,
    }


class Balanced(Protocol):
    """What has books."""

    @property
    def books(self) -> Books: ...


def rows(outcome: Balanced) -> dict[str, int]:
    """How many rows were read of each side, and how many the result has."""
    books = outcome.books
    return {
        "transactions": books.transactions,
        "auth_logs": books.logs,
        "consolidated": books.consolidated,
        "divergences": books.divergences,
    }


def _clean(fields: dict[str, Any]) -> Fields:
    return {
        name: scrub(str(value))[:_LONGEST] if name in _TYPED else value
        for name, value in fields.items()
        if value is not None
    }


def _shown(settings: Settings) -> Fields:
    """The configuration without its secrets."""
    shown: Fields = settings.model_dump(mode="json")
    for side in ("transactions", "auth_logs"):
        shown[side]["password"] = shown[side]["password"] and "******"
    return shown
