"""Copies of a finished report to the configured folders: checked, retried, within time limits.

A copy that fails leaves the report in place and is one sentence. Addresses are shown without their
credentials. Knows no protocol (`lib.delivery.copy_folders`).
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.database import retry
from lib.delivery import copy_folders
from lib.delivery.history import COPY, Dispatch
from lib.domain import daemon_threads
from lib.domain.errors import AggregatorError, CopyError, TransientCopyError
from lib.reports import retention
from lib.security import audit_events

if TYPE_CHECKING:
    from lib.config.copy_target import CopyTarget
    from lib.config.settings import Settings
    from lib.delivery.copy_folders import Folder, Pulse
    from lib.domain.requests import Request
    from lib.reports.report_file import Written

SAME_FOLDER: Final = (
    "A cópia em {target} não foi feita: é a pasta do próprio relatório; escolha outra em "
    "[aggregator.copies]."
)
HOST_KEY: Final = (
    "A cópia em {target} não foi feita: a chave do servidor não é a registrada em known_hosts; "
    "confira com o administrador dele antes de mudá-la."
)
LOGIN: Final = (
    "A cópia em {target} não foi feita: o servidor recusou o usuário, a senha ou a chave; "
    "confira-os em [aggregator.copies]."
)
NOT_ALLOWED: Final = (
    "A cópia em {target} não foi feita: a conta não tem permissão para gravar ali; peça-a ao "
    "administrador."
)
NO_SPACE: Final = "A cópia em {target} não foi feita: acabou o espaço em disco ali; libere espaço."
DIFFERENT: Final = (
    "A cópia em {target} não foi feita: o que foi lido de volta não é o relatório; confira o disco "
    "e a rede."
)
NOT_REACHED: Final = (
    "A cópia em {target} não foi feita: o servidor não respondeu, ou a conexão caiu; confira o "
    "endereço e a rede."
)
SILENT: Final = (
    "A cópia em {target} não foi feita: não houve resposta em {seconds} s; confira o servidor e a "
    "rede."
)
OTHER: Final = (
    "A cópia em {target} não foi feita: o destino não aceitou o arquivo ({kind}); confira a pasta "
    "e o espaço em disco ali."
)
INTERRUPTED: Final = (
    "A cópia em {target} não foi feita: a execução foi interrompida depois do relatório, que está "
    "no seu lugar; rode de novo."
)
SEVERAL: Final = (
    "{failed} de {total} cópias não foram feitas; o histórico diz quais e por quê. O relatório "
    "está no seu lugar."
)

SILENCE_SECONDS: Final = 60.0
"""Longest time without progress of a transfer."""
_END_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.5
_TEMPORARY: Final = "copia"
# Of the libraries' errors the names alone are known here: none is loaded unless configured.
_HOST_KEY: Final = frozenset({"HostKeyNotVerifiable"})
_LOGIN: Final = frozenset(
    {
        *("PermissionDenied", "KeyImportError", "KeyEncryptionError"),
        *("SMBAuthenticationError", "LogonFailure", "WrongPassword", "PasswordExpired"),
        *("NoCredentialsError", "PartialCredentialsError", "NoAuthInContextError", "SpnegoError"),
    }
)
_LOGIN_CODES: Final = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_NO_SPACE: Final = frozenset({"DiskFull", "SFTPNoSpaceOnFilesystem", "SFTPQuotaExceeded"})
_NOT_ALLOWED: Final = frozenset({"PermissionError", "AccessDenied", "SFTPPermissionDenied"})
_TRANSIENT: Final = frozenset(
    {
        *("ConnectionError", "TimeoutError", "gaierror", "IncompleteReadError"),
        *("DisconnectError", "ChannelOpenError", "SFTPConnectionLost", "SFTPNoConnection"),
        *("HTTPClientError", "BotoConnectionError", "ConnectionClosedError", "FSTimeoutError"),
        *("SMBConnectionClosed", "IOTimeout", "ServerUnavailable", "NetworkNameDelegated"),
    }
)
# Raised as they are, and not as a subclass, where a connection has ended or cannot be made.
_BARE: Final = frozenset({"ValueError", "SMBException"})
_UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copies:
    """The outcome of each copy; ``interrupted`` if the person or the system ended the run."""

    sent: tuple[Dispatch, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True)
class _Job:
    """The files to copy, and what else a folder is to keep of them."""

    settings: Settings
    request: Request
    template: Path
    written: Sequence[Written]
    clear: bool
    interrupted: threading.Event = field(default_factory=threading.Event)


def copy_all(
    settings: Settings,
    request: Request,
    template: Path,
    written: Sequence[Written],
    *,
    clear: bool,
) -> Copies:
    """Copy the files to the configured folders, and return what came of each.

    Servers are served at once, the folders of one server in turn. An interruption ends the copies
    and is not raised: the report is in its place, and the run is still to be recorded.
    """
    job = _Job(settings, request, template, written, clear)
    targets = settings.copies.to
    sent: dict[int, Dispatch] = {}

    def copy_in_turn(numbers: Sequence[int]) -> None:
        for number in numbers:
            sent[number] = _copied(job, targets[number])

    turns = [daemon_threads.start("copies", copy_in_turn, turn) for turn in _turns(targets)]
    try:
        daemon_threads.wait_for(turns)
    except KeyboardInterrupt:
        job.interrupted.set()
        with suppress(KeyboardInterrupt):
            wait(turns, timeout=_END_SECONDS + 2 * _LOOK_SECONDS)
        for number, target in enumerate(targets):
            sent.setdefault(number, _dispatch(target, INTERRUPTED.format(target=target.label)))
    else:
        for turn in turns:
            turn.result()
    return Copies(tuple(sent[n] for n in range(len(targets))), job.interrupted.is_set())


def failure_of(sent: Sequence[Dispatch]) -> CopyError | None:
    """One error for the copies that failed, None if there is none."""
    problems = [copy.problem for copy in sent if copy.problem is not None]
    if not problems:
        return None
    if len(problems) == 1:
        return CopyError("{problem}", problem=problems[0])
    return CopyError(SEVERAL, failed=len(problems), total=len(sent))


def _turns(targets: Sequence[CopyTarget]) -> list[list[int]]:
    """The numbers of the targets, those of one server or one plain folder together."""
    turns: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        place = (target.host, target.port) if target.scheme else (target.path,)
        turns[target.scheme, *place].append(number)
    return list(turns.values())


def _copied(job: _Job, target: CopyTarget) -> Dispatch:
    pending = list(job.written)
    problem: str | None = None
    try:
        _record(job, target)
        retry.call(lambda: _within_limits(job, target, partial(_copy, job, target, pending)))
    except AggregatorError as error:
        problem = str(error)
    else:
        _log.info("cópia feita em %s", target.label)
    return _dispatch(target, problem)


def _dispatch(target: CopyTarget, problem: str | None) -> Dispatch:
    return Dispatch(COPY, target.label, datetime.now(UTC), problem=problem)


def _record(job: _Job, target: CopyTarget) -> None:
    """Record in the audit which files are about to leave for this target."""
    for book in job.written:
        audit_events.record(
            job.settings,
            "copy",
            audit_events.account(),
            merchant=job.request.merchant,
            target=target.label,
            file=str(book.path),
            sha256=book.sha256,
            clear=job.clear,
        )


def _within_limits(job: _Job, target: CopyTarget, work: Callable[[Pulse], None]) -> None:
    """Do the work in a thread of its own, left behind without progress, or if interrupted."""
    last = time.monotonic()
    abandoned = False

    def pulse() -> None:
        nonlocal last
        if abandoned or job.interrupted.is_set():
            raise CopyError(INTERRUPTED, target=target.label)
        last = time.monotonic()

    future = daemon_threads.start("copy", work, pulse)
    try:
        while wait([future], timeout=_LOOK_SECONDS).not_done:
            if job.interrupted.is_set():
                raise CopyError(INTERRUPTED, target=target.label)
            if time.monotonic() - last > SILENCE_SECONDS:
                seconds = f"{SILENCE_SECONDS:.0f}"
                raise TransientCopyError(SILENT, target=target.label, seconds=seconds)
    except BaseException:
        abandoned = True
        wait([future], timeout=_END_SECONDS)
        raise
    problem = future.exception()
    if problem is not None:
        raise _translated(problem, target) from problem


def _copy(job: _Job, target: CopyTarget, pending: list[Written], pulse: Pulse) -> None:
    access = job.settings.copies.access_of(target)
    with closing(copy_folders.opened(target, access, encrypted=job.clear)) as folder:
        folder.require()
        pulse()
        for book in tuple(pending):
            if not target.scheme and os.path.samefile(target.path, book.path.parent):
                raise CopyError(SAME_FOLDER, target=target.label)
            _copy_file(job, folder, book, target, pulse)
            pending.remove(book)
        _remove_replaced(job, folder)
        if job.settings.keep:
            _remove_old(job, folder)


def _copy_file(job: _Job, folder: Folder, book: Written, target: CopyTarget, pulse: Pulse) -> None:
    name = book.path.name
    files = folder.files()
    leftover = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.{_TEMPORARY}")
    for other in filter(leftover.fullmatch, files):
        with suppress(Exception):
            folder.remove(other)
    older = retention.older_name(name, files[name]) if job.settings.keep and name in files else ""
    staged = f".{name}.{secrets.token_hex(4)}.{_TEMPORARY}" if folder.renames else name
    if older and not folder.renames:
        folder.replace(name, older)
    try:
        folder.write(book.path, staged, job.clear, pulse)
        if folder.digest(staged, pulse) != book.sha256:
            raise TransientCopyError(DIFFERENT, target=target.label)
        if folder.renames:
            if older and older not in files:
                folder.replace(name, older)
            folder.replace(staged, name)
    except BaseException as problem:
        if folder.renames or isinstance(problem, TransientCopyError):
            with suppress(Exception):
                folder.remove(staged)
        raise


def _remove_replaced(job: _Job, folder: Folder) -> None:
    """Remove the workbook of the whole period where workbooks of single days replace it."""
    name = retention.target(job.template, job.request).name
    if any(book.path.name == name for book in job.written):
        return
    files = folder.files()
    if name not in files:
        return
    if job.settings.keep:
        folder.replace(name, retention.older_name(name, files[name]))
    if not job.settings.keep or not folder.renames:
        folder.remove(name)


def _remove_old(job: _Job, folder: Folder) -> None:
    current = {book.path.name for book in job.written}
    merchant, keep = job.request.merchant, job.settings.keep
    for name in retention.outdated(job.template, current, merchant, keep, folder.files()):
        folder.remove(name)


def _translated(problem: BaseException, target: CopyTarget) -> AggregatorError:
    """The error to raise for an error of a protocol's library, whose own text is never shown."""
    if isinstance(problem, AggregatorError):
        return problem
    chain = list(_causes(problem))
    names = {kind.__name__ for error in chain for kind in type(error).__mro__}
    numbers = {error.errno for error in chain if isinstance(error, OSError)}
    codes = {_code(error) for error in chain}
    if names & _HOST_KEY:
        return CopyError(HOST_KEY, target=target.label)
    if names & _LOGIN or codes & _LOGIN_CODES:
        return CopyError(LOGIN, target=target.label)
    if names & _NO_SPACE or numbers & {errno.ENOSPC, errno.EDQUOT}:
        return CopyError(NO_SPACE, target=target.label)
    if names & _NOT_ALLOWED or errno.EROFS in numbers:
        return CopyError(NOT_ALLOWED, target=target.label)
    lost = target.scheme and type(problem).__name__ in _BARE
    if lost or names & _TRANSIENT or numbers & _UNREACHABLE:
        return TransientCopyError(NOT_REACHED, target=target.label)
    return CopyError(OTHER, target=target.label, kind=type(problem).__name__)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _code(problem: BaseException) -> str:
    response = getattr(problem, "response", None)
    return str(response.get("Error", {}).get("Code")) if isinstance(response, dict) else ""
