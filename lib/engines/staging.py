"""The private staging folder of one reconciliation: created, resumed and swept.

A folder belongs to the process that holds its lock. The folder of a dead process is removed, unless
both sides are completely staged and the same request is made within six hours. A partly staged side
cannot be completed: the token key ends with its process. Knows nothing of the contents.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib import __version__
from lib.database import sessions, source_query
from lib.domain import file_system, requests
from lib.domain.errors import ReportError

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Request

UNUSABLE: Final = (
    "Não foi possível usar a pasta {folder} para os dados temporários: confira o espaço livre, a "
    "permissão e staging_dir em [aggregator.engine]."
)
_PREFIX: Final = "mda-"
_LOCK: Final = "lock"
_STAGED: Final = "staged.json"
_USEFUL_SECONDS: Final = 6 * 3600.0
# Longer than any run: without locks, another machine's run may be using a folder.
_STALE_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Staging:
    """A folder locked by this process.

    If the folder was resumed, ``staged`` holds the values that `complete` stored.
    """

    folder: Path
    fingerprint: str
    staged: dict[str, Any] | None

    def complete(self, values: dict[str, Any]) -> None:
        """Mark both sides as staged, so that another process can resume from here."""
        text = json.dumps({"fingerprint": self.fingerprint, **values})
        temporary = self.folder / f"_{_STAGED}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.folder / _STAGED)

    def clear(self) -> None:
        """Remove everything but the lock."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()


@contextmanager
def held(parent: Path, fingerprint: str) -> Iterator[Staging]:
    """Lock a folder for this fingerprint and remove it at the end. Raises ReportError."""
    with ExitStack() as locks:
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            staging = _resumed(parent, fingerprint, locks) or _new(parent, fingerprint, locks)
            try:
                yield staging
            finally:
                shutil.rmtree(staging.folder, ignore_errors=True)
        except OSError as exc:
            raise ReportError(UNUSABLE, folder=parent) from exc


def sweep(parent: Path) -> None:
    """Remove every folder whose process is gone."""
    with suppress(OSError):
        _resumed(parent, None, ExitStack())


def reading(settings: Settings) -> str:
    """Digest of all settings that decide which records are read and how they are masked."""
    sources = [
        [s.host, s.port, s.database, s.user, source_query.load(settings, side)]
        for side in requests.SIDES
        for s in [sessions.source_of(settings, side)]
    ]
    return _digest([__version__, settings.virtual_prefix_length, sources])


def fingerprint(settings: Settings, request: Request, clear: bool) -> str:
    """Digest of everything that must be equal for another process to use staged records."""
    return _digest([reading(settings), repr(request), clear])


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _resumed(parent: Path, fingerprint: str | None, locks: ExitStack) -> Staging | None:
    """The first staged folder of this fingerprint; all other unlocked folders are removed."""
    resumed = None
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        try:
            age = time.time() - folder.stat().st_mtime
            lock = file_system.lock(folder / _LOCK)
        except FileNotFoundError:  # removed by another run
            continue
        if lock is None:
            continue
        staged = _staged(folder, fingerprint) if fingerprint and resumed is None else None
        if fingerprint and staged is not None:
            resumed = Staging(folder, fingerprint, staged)
            locks.callback(lock.release)
            continue
        if not lock.on_this_machine or age > _STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()
    return resumed


def _new(parent: Path, fingerprint: str, locks: ExitStack) -> Staging:
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    # Locked before it gets a name that other processes sweep.
    draft = folder.with_name(f"_{folder.name}")
    draft.mkdir(mode=0o700)
    lock = file_system.lock(draft / _LOCK, alias=folder / _LOCK)
    if lock is None:
        raise BlockingIOError
    locks.callback(lock.release)
    return Staging(draft.rename(folder), fingerprint, None)


def _staged(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    path = folder / _STAGED
    try:
        if time.time() - path.stat().st_mtime > _USEFUL_SECONDS:
            return None
        values = json.loads(file_system.read_text(path))
    except (OSError, ValueError, RecursionError):
        return None
    same = isinstance(values, dict) and values.get("fingerprint") == fingerprint
    return values if same else None
