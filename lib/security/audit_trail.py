"""Append-only audit file of JSON lines, each sealed together with the one before it.

Owns the file, its key and the chain: a line's seal is the HMAC-SHA256 of its text, which includes
the previous seal. Without the key no line can be changed, removed, swapped or cut undetected; a
truncated end is detected with an anchor kept elsewhere. Does not interpret the records.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from lib.config.file_permissions import require_private
from lib.domain import file_system
from lib.domain.errors import AuditError, ConfigError

Fields = dict[str, Any]

_FIRST_SEAL: Final = "0" * 64
_ANCHOR: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_TAIL_BYTES: Final = 65_536
_WAIT_SECONDS: Final = 15.0
_THREAD_LOCK: Final = threading.Lock()
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL

NOT_WRITABLE: Final = (
    "A auditoria não pôde ser gravada em {path}, e por isso nada foi feito: confira a permissão "
    "e o espaço em disco."
)
OPEN_TO_OTHERS: Final = (
    "Outras contas podem alterar a auditoria em {path}: rode chmod 600 nesse arquivo e confira-a "
    "com aggregator.py audit verify."
)
BROKEN: Final = (
    "O último registro da auditoria em {path} foi alterado, e por isso nada foi feito: confira-a "
    "com aggregator.py audit verify."
)
BUSY: Final = (
    "A auditoria em {path} está ocupada há {seconds} segundos, e por isso nada foi feito: veja que "
    "processo segura o arquivo {lock} e tente de novo."
)
NO_TRAIL: Final = "Não há auditoria em {path}: confira o caminho."
NO_KEY: Final = (
    "Falta a chave da auditoria em {path}: recupere-a da cópia de segurança, ou guarde a auditoria "
    "em outro lugar para que uma nova comece."
)
BAD_KEY: Final = (
    "A chave da auditoria em {path} é inválida: ela deve ter 64 dígitos hexadecimais e só o dono "
    "pode lê-la."
)

ALTERED_LINE: Final = "A linha {line} foi alterada, ou foi escrita sem a chave."
UNFINISHED_LINE: Final = (
    "A última linha ({line}) está incompleta: a gravação foi interrompida (o próximo registro "
    "anota isso, e a auditoria volta a ser válida) ou o fim do arquivo foi cortado."
)
MISSING_RECORDS: Final = "Antes da linha {line} faltam registros: do {first} ao {last}."
OUT_OF_ORDER: Final = "A linha {line} está fora da ordem, ou repetida: tem o registro {sequence}."
WRONG_ANCHOR: Final = "{origin} aponta o registro {sequence}, que não está na auditoria como era."


@dataclass(frozen=True)
class Anchor:
    """One record's number and seal: kept elsewhere, it proves that the record existed."""

    sequence: int
    seal: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.seal}"


@dataclass(frozen=True)
class Verification:
    """Result of checking a whole file; ``problems`` are sentences, none if it is intact."""

    records: int
    first: str
    last: str
    problems: tuple[str, ...]


def parse_anchor(text: str) -> Anchor | None:
    """Parse `number:seal`; None if the text is no anchor."""
    match = _ANCHOR.fullmatch(text.strip())
    return Anchor(int(match[1]), match[2]) if match else None


def append(path: Path, key_file: Path, build: Callable[[Fields], Sequence[Fields]]) -> Anchor:
    """Seal and append the records that ``build`` returns, and flush them to the disk.

    ``build`` receives the last record of the file. Serialized across processes and threads.
    Raises AuditError; the caller must then not perform the recorded actions.
    """
    try:
        with _locked(path), _opened(path) as file:
            is_new = not os.fstat(file.fileno()).st_size
            key = _read_or_create_key(key_file) if is_new else read_key(key_file)
            last, torn = _last_record(path, key, file)
            # Terminate the partial line of a killed process; the next record holds its length.
            content = b"\n" if _is_cut(b"".join(_last_lines(file, 1))) else b""
            for fields in build(last):
                last = _sealed(key, last, fields | ({"torn": torn} if torn else {}))
                content += _line(last)
                torn = 0
            _write(file, content)
            return Anchor(last["seq"], last["seal"])
    except OSError as problem:
        raise AuditError(NOT_WRITABLE, path=path) from problem


def verify(
    path: Path,
    key_file: Path,
    anchors: Sequence[tuple[str, Anchor]] = (),
    visit: Callable[[Fields], object] = lambda record: None,
) -> Verification:
    """Check every seal, the chain, and that the anchors (each with its origin's name) exist.

    ``visit`` receives each sealed record. Raises AuditError if file or key cannot be read.
    """
    try:
        file_system.require_regular(path)
        content = path.read_bytes()
    except (OSError, ValueError) as problem:
        raise AuditError(NO_TRAIL, path=path) from problem
    key = read_key(key_file)
    problems: list[str] = []
    seals: dict[int, str] = {}
    previous: Fields = {"seq": 0, "seal": _FIRST_SEAL}
    moments = []
    unreadable: tuple[int, int] | None = None  # line number and length
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        record = _read_record(key, line)
        # A partial line is accounted for if the next record was sealed with its length.
        if unreadable and (record is None or record.get("torn") != unreadable[1]):
            problems.append(ALTERED_LINE.format(line=unreadable[0]))
        if record is None:
            unreadable = (number, len(line.rstrip(b"\n")))
            continue
        unreadable = None
        if (record["seq"], record["prev"]) != (previous["seq"] + 1, previous["seal"]):
            problems.append(_chain_problem(number, previous["seq"], record["seq"]))
        previous = record
        seals[record["seq"]] = record["seal"]
        moments.append(str(record.get("at", "")))
        visit(record)
    if unreadable:
        template = ALTERED_LINE if content.endswith(b"\n") else UNFINISHED_LINE
        problems.append(template.format(line=unreadable[0]))
    problems += [
        WRONG_ANCHOR.format(origin=origin, sequence=anchor.sequence)
        for origin, anchor in anchors
        if seals.get(anchor.sequence) != anchor.seal
    ]
    first, last = (moments[0], moments[-1]) if moments else ("", "")
    return Verification(len(seals), first, last, tuple(problems))


def read(path: Path, limit: int) -> list[Fields]:
    """The newest records, newest first, unchecked. Raises AuditError."""
    try:
        file_system.require_regular(path)
        with path.open("rb") as file:
            lines = _last_lines(file, limit)
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise AuditError(NO_TRAIL, path=path) from problem
    return [record for line in reversed(lines) if (record := _parsed(line)) is not None]


def read_key(path: Path) -> bytes:
    """The key: a file of 64 hexadecimal digits that only its owner may read or replace.

    Raises AuditError.
    """
    try:
        require_private(path, "a chave da auditoria")
    except ConfigError as problem:
        raise AuditError(problem.template, **problem.values) from problem
    try:
        text = file_system.read_text(path).strip()
    except FileNotFoundError as problem:
        raise AuditError(NO_KEY, path=path) from problem
    except (OSError, ValueError) as problem:
        raise AuditError(BAD_KEY, path=path) from problem
    if not _KEY.fullmatch(text):
        raise AuditError(BAD_KEY, path=path)
    return bytes.fromhex(text)


def _read_or_create_key(path: Path) -> bytes:
    # Renamed once complete: a full disk must not leave a partial key, which would block every run.
    if not file_system.exists(path):
        draft = path.with_name(f"{path.name}.tmp")
        draft.unlink(missing_ok=True)
        try:
            descriptor = os.open(draft, _NEW_FILE, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{secrets.token_hex(32)}\n")
                file.flush()
                file_system.flush(descriptor)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return read_key(path)


def _chain_problem(line: int, previous: int, sequence: int) -> str:
    if sequence > previous + 1:
        return MISSING_RECORDS.format(line=line, first=previous + 1, last=sequence - 1)
    return OUT_OF_ORDER.format(line=line, sequence=sequence)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock_path = path.with_name(f"{path.name}.lock")
    busy = AuditError(BUSY, path=path, lock=lock_path, seconds=int(_WAIT_SECONDS))
    if not _THREAD_LOCK.acquire(timeout=_WAIT_SECONDS):
        raise busy
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = file_system.lock(lock_path, wait_seconds=_WAIT_SECONDS)
        if lock is None:
            raise busy
        try:
            yield
        finally:
            lock.release()
    finally:
        _THREAD_LOCK.release()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, _FLAGS, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise OSError
        if os.name == "posix" and mode & 0o022:
            raise AuditError(OPEN_TO_OTHERS, path=path)
        yield file


def _last_record(path: Path, key: bytes, file: IO[bytes]) -> tuple[Fields, int]:
    """The last record, and the length in bytes of an unfinished line behind it.

    A line that lacks its newline alone has a length of 0 and is the last record.
    """
    lines = _last_lines(file, 2)
    if lines and _is_cut(lines[-1]) and (whole := _read_record(key, lines[-1] + b"\n")):
        return whole, 0
    torn = len(lines.pop()) if lines and _is_cut(lines[-1]) else 0
    if not lines:
        return {"seq": 0, "seal": _FIRST_SEAL}, torn
    last = _read_record(key, lines[-1])
    if last is None:
        raise AuditError(BROKEN, path=path)
    return last, torn


def _is_cut(line: bytes) -> bool:
    return bool(line) and not line.endswith(b"\n")


def _last_lines(file: IO[bytes], limit: int) -> list[bytes]:
    """The last lines of the file, a partial one included."""
    size, tail = os.fstat(file.fileno()).st_size, _TAIL_BYTES
    while True:
        start = max(0, size - tail)
        file.seek(start)
        chunk = b"".join(iter(lambda: file.read(1 << 20), b""))
        lines = chunk.splitlines(keepends=True)
        if not start:
            return lines[-limit:]
        if len(lines) > limit:  # the chunk may begin within its first line
            return lines[1:][-limit:]
        tail *= 4


def _write(file: IO[bytes], content: bytes) -> None:
    """Write and flush all of the content, or none of it."""
    size_before = os.fstat(file.fileno()).st_size
    try:
        unwritten = memoryview(content)
        while unwritten:
            unwritten = unwritten[file.write(unwritten) :]
        file_system.flush(file.fileno())
    except OSError:
        with suppress(OSError):  # an append-only file cannot be truncated
            file.truncate(size_before)
        raise


def _sealed(key: bytes, last: Fields, fields: Fields) -> Fields:
    record = {**fields, "seq": last["seq"] + 1, "prev": last["seal"]}
    return {**record, "seal": _seal(key, record)}


def _seal(key: bytes, record: Fields) -> str:
    return hmac.new(key, _text(record), hashlib.sha256).hexdigest()


def _read_record(key: bytes, line: bytes) -> Fields | None:
    """The record of a line; None if its seal or any byte of it is wrong."""
    record = _parsed(line)
    if record is None or not {"seq", "prev"} <= record.keys() or _line(record) != line:
        return None
    unsealed = {name: value for name, value in record.items() if name != "seal"}
    return record if hmac.compare_digest(_seal(key, unsealed), str(record.get("seal"))) else None


def _parsed(line: bytes) -> Fields | None:
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) and _text(record) else None
    except (ValueError, RecursionError):  # nested too deep to be read, or to be written again
        return None


def _line(record: Fields) -> bytes:
    return _text(record) + b"\n"


def _text(record: Fields) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
