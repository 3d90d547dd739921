"""File operations that some file systems, systems or accounts refuse, each as far as it can be had.

Network shares may lack locks, modes and flushes; Windows lacks owners; a service account may lack a
home folder. None of that stands in the way of a report. Knows nothing of the files' contents.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from lib.domain.messages import Notice

NO_LOCKS: Final = (
    "A pasta {folder} não aceita travas: não rode, em outro computador, uma segunda execução que "
    "grave nela ao mesmo tempo."
)

_APPLICATION: Final = "marketing-data-aggregator"
_POLL_SECONDS: Final = 0.05
_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK, errno.EWOULDBLOCK})
_LOST: Final = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a flush that mean lost data; any other means that the file system cannot flush."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

_MOST_BYTES: Final = 64 << 20
"""No file that a person writes has as many."""
_BLOCK_BYTES: Final = 1 << 20
_PIPE_SECONDS: Final = 5.0

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})

_log: Final = logging.getLogger(__name__)

# The locks of Linux are a process's: closing any descriptor of the file would end its own lock.
_OWN: Final[set[str]] = set()
_OPENING: Final = threading.Lock()


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process.

    ``on_this_machine`` is True where the file's own system has no locks: the lock then keeps out
    this account's processes on this machine only.
    """

    def __init__(self, path: Path, name: str, descriptor: int | None) -> None:
        self.on_this_machine = False
        self._path = path
        self._name = name
        self._descriptor = descriptor

    def release(self) -> None:
        """End the lock; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        _OWN.discard(self._name)

    def remove(self) -> None:
        """Remove the file and end the lock."""
        # A process that opened the file meanwhile sees that it is gone and opens a new one.
        with suppress(OSError):
            self._path.unlink()
        self.release()


def lock(path: Path, *, wait_seconds: float = 0.0, alias: Path | None = None) -> Lock | None:
    """Lock this file, created if missing; None if it is still held elsewhere after the wait.

    Where the file system has no locks, the lock is a file of this machine, named after ``alias``
    if the folder of ``path`` is about to be renamed. Raises OSError if the file cannot be opened.
    """
    deadline = time.monotonic() + wait_seconds
    name = os.path.realpath(alias or path)
    while True:
        with _OPENING:
            held = None if name in _OWN else _try(path, name)
            if held is not None:
                _OWN.add(name)
                return held
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_SECONDS)


def flush(descriptor: int) -> None:
    """Flush the file to the disk, where it can be. Raises OSError if its data are lost."""
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno in _LOST:
            raise


def flush_folder(folder: Path) -> None:
    """Flush the folder's entries to the disk, where they can be."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def exists(path: Path) -> bool:
    """Check if a path exists. Raises OSError if the system cannot tell.

    `Path.exists` is False then from Python 3.14 on, and what stands there would be overwritten.
    """
    try:
        path.stat()
    except ValueError:  # no system has such a name
        return False
    except OSError as exc:
        if exc.errno in _ABSENT:
            return False
        raise
    return True


def modified(path: Path) -> float:
    """Return the moment at which the file was last modified, 0 for one that is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:  # removed since it was listed
        return 0.0


def require_regular(path: Path) -> None:
    """Raise OSError unless this is a regular file: a pipe or a device may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))


def read_text(path: Path) -> str:
    """The text of a file that people or this program write, in UTF-8.

    A pipe has to send it within five seconds. Raises OSError, or ValueError for what is no text or
    has no end.
    """
    content = b""
    deadline = time.monotonic() + _PIPE_SECONDS
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        while len(content) <= _MOST_BYTES:
            block = file.read(_BLOCK_BYTES)  # allocates as much at once
            if block:
                content += block
            elif block is not None and (content or not is_pipe):
                break
            elif time.monotonic() > deadline:
                raise TimeoutError
            else:  # nobody has written into the pipe yet
                time.sleep(_POLL_SECONDS)
    text = content.decode("utf-8-sig")
    if "\0" in text or len(content) > _MOST_BYTES:
        raise ValueError
    return text


def set_mode(path: Path, mode: int) -> None:
    """Set the permission bits, where they can be set."""
    with suppress(OSError):
        path.chmod(mode)


def user_folder(folder: Callable[[str], Path]) -> Path:
    """The folder that this function of platformdirs names for the product.

    For an account without a home folder, a private one in the temporary folder. Raises OSError if
    that belongs to another account.
    """
    try:
        return folder(_APPLICATION)
    except RuntimeError:
        return _private_folder()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _private_folder() -> Path:
    account = os.getuid() if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"{_APPLICATION}-{account}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    others = os.name == "posix" and (status.st_uid != account or status.st_mode & 0o022)
    if others or not stat.S_ISDIR(status.st_mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return folder


def _try(path: Path, name: str) -> Lock | None:
    """Lock the file at once, or as well as can be where it cannot be locked."""
    while True:
        descriptor = _open(path)
        try:
            _lock_function()(descriptor)
        except OSError as problem:
            os.close(descriptor)
            return None if problem.errno in _HELD else _lock_of_machine(path, name)
        if _is_current(descriptor, path):
            return Lock(path, name, descriptor)
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o600)
    except OSError:
        if not path.is_symlink():
            raise
        path.unlink()  # the link alone: its target is neither created nor locked
        descriptor = os.open(path, _FLAGS, 0o600)
    # Any account that can open the file can hold its lock.
    if hasattr(os, "fchmod") and os.fstat(descriptor).st_mode & 0o077:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def _lock_function() -> Callable[[int], object]:
    """Lock a descriptor or raise OSError, in the way of the operating system."""
    try:
        import fcntl
    except ImportError:  # Windows
        msvcrt: Any = importlib.import_module("msvcrt")
        return lambda descriptor: msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    return lambda descriptor: fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_current(descriptor: int, path: Path) -> bool:
    """Return True if the locked file is still the one under this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock_of_machine(path: Path, name: str) -> Lock | None:
    """A lock in the private folder of this account; without that folder, no lock at all."""
    _warn_of_no_locks(path.parent)
    lock = Lock(path, name, None)
    with suppress(OSError):
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        descriptor = _open(_private_folder() / f"{digest}.lock")
        try:
            _lock_function()(descriptor)
            lock = Lock(path, name, descriptor)
        except OSError as problem:
            os.close(descriptor)
            if problem.errno in _HELD:
                return None
    lock.on_this_machine = True
    return lock


@cache  # one warning a folder
def _warn_of_no_locks(folder: Path) -> None:
    _log.warning("%s", Notice(NO_LOCKS, {"folder": folder}))
