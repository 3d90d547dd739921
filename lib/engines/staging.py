"""The private folder of one reconciliation's pieces: made, taken up again, and swept.

A folder belongs to the process that holds its lock; what a dead one left is removed, unless both
sides were staged completely and the same is asked again soon. The key of the tokens dies with its
process, so that anything less is of no use. Knows the folder's life, not its contents.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import fasteners  # type: ignore[import-untyped]

from lib import __version__
from lib.database import sessions
from lib.domain import requests
from lib.domain.errors import ReportError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request

_PREFIX: Final = "mda-"
_LOCK: Final = "lock"
_STAGED: Final = "staged.json"
_USEFUL_SECONDS: Final = 6 * 3600.0


@dataclass(frozen=True)
class Staging:
    """A folder held by this process; ``staged`` is what `complete` left, if it was taken up."""

    folder: Path
    fingerprint: str
    staged: dict[str, Any] | None

    def complete(self, told: dict[str, Any]) -> None:
        """Say that both sides are staged; another process may go on from here."""
        text = json.dumps({"fingerprint": self.fingerprint, **told})
        temporary = self.folder / f"_{_STAGED}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.folder / _STAGED)


@contextmanager
def held(parent: Path, fingerprint: str) -> Iterator[Staging]:
    """A folder for this fingerprint, removed at the end whatever happens. Raises ReportError."""
    with ExitStack() as locks:
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            staging = _taken_up(parent, fingerprint, locks) or _new(parent, fingerprint, locks)
            try:
                yield staging
            finally:
                shutil.rmtree(staging.folder, ignore_errors=True)
        except OSError as exc:
            raise ReportError(
                "Não foi possível usar a pasta {folder} para os dados temporários: confira o "
                "espaço livre, a permissão e staging_dir em [aggregator.engine].",
                folder=parent,
            ) from exc


def reading(settings: Settings) -> str:
    """What decides which records are read and how they look, of all processes of one run."""
    where = [
        [s.host, s.port, s.database, s.user, sessions.query(settings, side)]
        for side in requests.SIDES
        for s in [sessions.source_of(settings, side)]
    ]
    told = [__version__, settings.virtual_prefix_length, where]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def fingerprint(settings: Settings, asked: Request, user: str | None, clear: bool) -> str:
    """What must be the same for staged records to be of use to another process."""
    told = [reading(settings), repr(asked), user, clear]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _taken_up(parent: Path, fingerprint: str, locks: ExitStack) -> Staging | None:
    found = None
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        lock = _locked(folder)
        if lock is None:
            continue
        staged = _staged(folder, fingerprint) if found is None else None
        if staged is not None:
            found = Staging(folder, fingerprint, staged)
            locks.callback(lock.release)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
    return found


def _new(parent: Path, fingerprint: str, locks: ExitStack) -> Staging:
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    # Locked before it has the name that others sweep.
    draft = folder.with_name(f"_{folder.name}")
    draft.mkdir(mode=0o700)
    lock = _locked(draft)
    if lock is None:
        raise BlockingIOError
    locks.callback(lock.release)
    return Staging(draft.rename(folder), fingerprint, None)


def _locked(folder: Path) -> Any:
    """The folder's lock, None where a living process has it."""
    lock = fasteners.InterProcessLock(folder / _LOCK)
    if lock.acquire(blocking=False):
        return lock
    lock.lockfile.close()
    return None


def _staged(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    path = folder / _STAGED
    try:
        if time.time() - path.stat().st_mtime > _USEFUL_SECONDS:
            return None
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if told.get("fingerprint") == fingerprint else None
