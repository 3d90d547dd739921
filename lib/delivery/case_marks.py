"""Marks that people set on cases: status, owner and notes; nothing is overwritten unseen.

A mark needs the role of analyst for the merchant and is recorded in the audit; a mark that cannot
be recorded is not set. Notes and reasons lose every long number before they are stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import case_counts, case_queries, case_store, state_file
from lib.domain import cases
from lib.domain.errors import AccessError, ConfigError
from lib.security import audit_events
from lib.security.redaction import scrub_typed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from lib.config.settings import Settings
    from lib.delivery.case_queries import Case
    from lib.security.audit_events import Actor

NOT_ALLOWED: Final = (
    "Só quem tem o papel analyst para este estabelecimento pode marcar casos: peça o acesso a quem "
    "administra o painel."
)
UNKNOWN_STATUS: Final = "A situação {status} não existe: use {known}."
NO_REASON: Final = "Para aceitar um caso, escreva o motivo."
NO_MARK: Final = "Escolha uma situação, um responsável ou escreva uma anotação."
LONGEST: Final = 1_000
_KEYS_A_RECORD: Final = 1_000

KEEP: Final = "\0keep"
"""Leaves a status or an owner as it is."""


@dataclass(frozen=True)
class Mark:
    """One change: a status (None unmarks) with its reason, an owner (None for nobody), a note."""

    status: str | None = KEEP
    reason: str = ""
    owner: str | None = KEEP
    note: str = ""

    @property
    def overwrites(self) -> bool:
        """True if it replaces what another person may have set; a note is only added."""
        return self.status != KEEP or self.owner != KEEP


@dataclass(frozen=True)
class Marked:
    """The keys that were marked, and the cases as they are now that somebody changed meanwhile."""

    applied: tuple[str, ...]
    conflicts: tuple[Case, ...]


def mark(
    settings: Settings,
    analyst: Collection[str],
    actor: Actor,
    merchant: str,
    expected: Mapping[str, int],
    change: Mark,
) -> Marked:
    """Mark these cases, given with the versions that the person saw.

    ``analyst`` are the merchants whose cases the person may mark. A case with another version is
    left as it is and returned; with the new versions a second call marks it. Raises
    AccessError, ConfigError for an invalid mark, AuditError, HistoryError.
    """
    if merchant not in analyst:
        raise AccessError(NOT_ALLOWED)
    change = _checked(change)
    path = state_file.path_of(settings)
    numbers = {cases.from_hexadecimal(key): version for key, version in expected.items()}
    with state_file.writing(path) as connection:
        rows = connection.exec_driver_sql(
            "SELECT key, version FROM cases WHERE merchant = ?"
            " AND key IN (SELECT value FROM json_each(?))",
            (merchant, json.dumps(list(numbers))),
        ).all()
        free = [r for r in rows if not change.overwrites or r.version == numbers[r.key]]
        taken = {r.key for r in rows} - {r.key for r in free}
        applied = [row.key for row in free]
        with case_counts.kept_current(connection, applied):
            _apply(connection, applied, change, actor.name)
        # Last: if it cannot be recorded, the transaction is rolled back.
        _audit(settings, actor, merchant, applied, change)
    seen = case_queries.by_key(path, merchant, [cases.hexadecimal(key) for key in taken])
    return Marked(tuple(map(cases.hexadecimal, applied)), tuple(seen.values()))


def _checked(change: Mark) -> Mark:
    """The mark without long numbers. Raises ConfigError."""
    reason, note = (scrub_typed(text.strip())[:LONGEST] for text in (change.reason, change.note))
    owner = change.owner
    if owner not in (None, KEEP):
        owner = scrub_typed(owner.strip())[:LONGEST] or None
    if change.status not in (None, KEEP, *cases.STATUSES):
        raise ConfigError(UNKNOWN_STATUS, status=change.status, known=", ".join(cases.STATUSES))
    if change.status == cases.ACCEPTED and not reason:
        raise ConfigError(NO_REASON)
    if not change.overwrites and not note:
        raise ConfigError(NO_MARK)
    return Mark(change.status, reason, owner, note)


def _apply(connection: Connection, keys: Sequence[int], change: Mark, who: str) -> None:
    if not keys:
        return
    columns = {
        name: value
        for name, value in (("status", change.status), ("owner", change.owner))
        if value != KEEP
    }
    if columns:
        assigned = ", ".join(f"{name} = ?" for name in columns)
        connection.exec_driver_sql(
            f"UPDATE cases SET {assigned}, version = version + 1 WHERE key = ?",
            [(*columns.values(), key) for key in keys],
        )
    at = state_file.text_of(datetime.now(UTC))
    events: list[tuple[str, str | None]] = []
    if change.status != KEEP:
        reason = f": {change.reason}" if change.reason else ""
        events.append(("status", change.status and change.status + reason))
    if change.owner != KEEP:
        events.append(("owner", change.owner))
    if change.note:
        events.append(("note", change.note))
    rows = [(key, at, who, kind, text) for key in keys for kind, text in events]
    connection.exec_driver_sql(case_store.EVENT, rows)


def _audit(
    settings: Settings, actor: Actor, merchant: str, keys: Sequence[int], change: Mark
) -> None:
    """Record the mark, a thousand cases a record."""
    fields: dict[str, Any] = {"merchant": merchant, "reason": change.reason or None}
    if change.status != KEEP:
        fields["status"] = change.status or "-"
    if change.owner != KEEP:
        fields["owner"] = change.owner or "-"
    if change.note:
        fields["note"] = change.note
    for start in range(0, len(keys), _KEYS_A_RECORD):
        part = [cases.hexadecimal(key) for key in keys[start : start + _KEYS_A_RECORD]]
        audit_events.record(settings, "mark", actor, **fields, cases=len(part), keys=part)
