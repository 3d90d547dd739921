"""An append-only file of JSON lines, each sealed with the one before it, and how it is checked.

Owns the file and the chain: a line's seal is the HMAC-SHA256 of its text, which holds
the seal before it. Whoever lacks the key can change, remove, swap or cut nothing unseen; cutting
the end off shows against an anchor kept elsewhere. Knows nothing of what the lines say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import fasteners  # type: ignore[import-untyped]

from lib.domain.errors import AuditError
from lib.security import audit_key

Fields = dict[str, Any]

_START: Final = "0" * 64
_ANCHOR: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_TAIL_BYTES: Final = 65_536
_WAIT_SECONDS: Final = 15.0
_THREADS: Final = threading.Lock()
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)

_NOT_WRITABLE: Final = (
    "A auditoria não pôde ser gravada em {path}, e por isso nada foi feito: confira a permissão "
    "e o espaço em disco."
)
_OPEN: Final = (
    "Outras contas podem alterar a auditoria em {path}: rode chmod 600 nesse arquivo e confira-a "
    "com aggregator.py audit verify."
)
_BROKEN: Final = (
    "O último registro da auditoria em {path} foi alterado, e por isso nada foi feito: confira-a "
    "com aggregator.py audit verify."
)
_BUSY: Final = (
    "A auditoria em {path} está ocupada há {seconds} segundos, e por isso nada foi feito: veja que "
    "processo segura o arquivo {lock} e tente de novo."
)
_NO_TRAIL: Final = "Não há auditoria em {path}: confira o caminho."


@dataclass(frozen=True)
class Anchor:
    """One record's number and seal: kept elsewhere, it proves that the record was there."""

    sequence: int
    seal: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.seal}"


@dataclass(frozen=True)
class Checked:
    """What a whole file was found to be; ``problems`` are sentences, none where it is intact."""

    records: int
    first: str
    last: str
    problems: tuple[str, ...]


def anchor(text: str) -> Anchor | None:
    """The anchor that was written as this text."""
    found = _ANCHOR.fullmatch(text.strip())
    return Anchor(int(found[1]), found[2]) if found else None


def append(path: Path, key_file: Path, make: Callable[[Fields], Sequence[Fields]]) -> Anchor:
    """Seal and add what ``make`` returns for the last record there is, and flush it to the disk.

    Processes and threads take turns. Raises AuditError, and then nothing is to be done that the
    records were to be of.
    """
    try:
        with _alone(path), _opened(path) as file:
            fresh = not os.fstat(file.fileno()).st_size
            key = audit_key.find(key_file, make=fresh)
            last, torn = _last(path, key, file)
            lines = []
            for fields in make(last):
                last = _sealed(key, last, fields | ({"torn": torn} if torn else {}))
                lines.append(_line(last))
                torn = 0
            text = b"".join(lines)
            # What a killed process left of its line ends here; the next line says how long it is.
            if "torn" in json.loads(lines[0]):
                text = b"\n" + text
            _write(file, text)
            return Anchor(last["seq"], last["seal"])
    except OSError as problem:
        raise AuditError(_NOT_WRITABLE, path=path) from problem


def verify(
    path: Path,
    key_file: Path,
    anchors: Sequence[tuple[str, Anchor]] = (),
    see: Callable[[Fields], object] = lambda fields: None,
) -> Checked:
    """Check every seal, the chain, and that the anchors (each with its origin's name) are there.

    ``see`` is given each sealed record. Raises AuditError where file or key cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise AuditError(_NO_TRAIL, path=path) from problem
    key = audit_key.read(key_file)
    problems: list[str] = []
    seals: dict[int, str] = {}
    before: Fields = {"seq": 0, "seal": _START}
    moments = []
    unreadable: tuple[int, int] | None = None
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        fields = _read(key, line)
        if fields is None:
            if unreadable:
                problems.append(_altered(unreadable[0]))
            unreadable = (number, len(line.rstrip(b"\n")))
            continue
        if unreadable and fields.get("torn") != unreadable[1]:
            problems.append(_altered(unreadable[0]))
        unreadable = None
        if (fields["seq"], fields["prev"]) != (before["seq"] + 1, before["seal"]):
            problems.append(_gap(number, before["seq"], fields["seq"]))
        before = fields
        seals[fields["seq"]] = fields["seal"]
        moments.append(str(fields.get("at", "")))
        see(fields)
    if unreadable:
        whole = content.endswith(b"\n")
        problems.append(_altered(unreadable[0]) if whole else _torn(unreadable[0]))
    for origin, there in anchors:
        if seals.get(there.sequence) != there.seal:
            problems.append(
                f"{origin} aponta o registro {there.sequence}, que não está na auditoria como era."
            )
    first, last = (moments[0], moments[-1]) if moments else ("", "")
    return Checked(len(seals), first, last, tuple(problems))


def read(path: Path, most: int) -> list[Fields]:
    """The newest records, newest first, unchecked. Raises AuditError."""
    try:
        with path.open("rb") as file:
            lines = _last_lines(file, most)
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise AuditError(_NO_TRAIL, path=path) from problem
    return [found for line in reversed(lines) if (found := _parsed(line)) is not None]


def _altered(number: int) -> str:
    return f"A linha {number} foi alterada, ou foi escrita sem a chave."


def _torn(number: int) -> str:
    return (
        f"A linha {number}, a última, não chegou ao fim: quem a gravava foi interrompido (o "
        "próximo registro o anota e ela deixa de ser problema), ou o fim foi cortado."
    )


def _gap(number: int, before: int, found: int) -> str:
    if found > before + 1:
        return f"Antes da linha {number} faltam registros: do {before + 1} ao {found - 1}."
    return f"A linha {number} está fora da ordem, ou repetida: tem o registro {found}."


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    place = path.with_name(f"{path.name}.lock")
    busy = AuditError(_BUSY, path=path, lock=place, seconds=int(_WAIT_SECONDS))
    if not _THREADS.acquire(timeout=_WAIT_SECONDS):
        raise busy
    try:
        _make_private(place)
        lock = fasteners.InterProcessLock(place)
        if not lock.acquire(timeout=_WAIT_SECONDS):
            lock.lockfile.close()
            raise busy
        try:
            yield
        finally:
            lock.release()
    finally:
        _THREADS.release()


def _make_private(lock: Path) -> None:
    """Whoever can open it can hold it, also for reading only."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, _FLAGS, 0o600)
    try:
        if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, _FLAGS, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or (os.name == "posix" and mode & 0o022):
            raise AuditError(_OPEN, path=path)
        yield file


def _last(path: Path, key: bytes, file: IO[bytes]) -> tuple[Fields, int]:
    """The last record, and how many bytes of an unfinished one stand behind it."""
    lines = _last_lines(file, 2)
    torn = len(lines.pop()) if lines and not lines[-1].endswith(b"\n") else 0
    if not lines:
        return {"seq": 0, "seal": _START}, torn
    last = _read(key, lines[-1])
    if last is None:
        raise AuditError(_BROKEN, path=path)
    return last, torn


def _last_lines(file: IO[bytes], most: int) -> list[bytes]:
    """The last so many lines, the last one as it is, also where it has no end."""
    size, wanted = os.fstat(file.fileno()).st_size, _TAIL_BYTES
    while True:
        start = max(0, size - wanted)
        file.seek(start)
        chunk = b"".join(iter(lambda: file.read(1 << 20), b""))
        lines = chunk.splitlines(keepends=True)
        if not start:
            return lines[-most:]
        if len(lines) > most:  # the first may have lost its beginning
            return lines[1:][-most:]
        wanted *= 4


def _write(file: IO[bytes], text: bytes) -> None:
    """All of the text on the disk, or none of it."""
    before = os.fstat(file.fileno()).st_size
    try:
        rest = memoryview(text)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):  # a file that its system lets nobody shorten
            file.truncate(before)
        raise


def _sealed(key: bytes, last: Fields, fields: Fields) -> Fields:
    record = {**fields, "seq": last["seq"] + 1, "prev": last["seal"]}
    return {**record, "seal": _seal(key, record)}


def _seal(key: bytes, record: Fields) -> str:
    return hmac.new(key, _text(record), hashlib.sha256).hexdigest()


def _read(key: bytes, line: bytes) -> Fields | None:
    """The record of a line, if it has its seal and not a byte is other than written."""
    record = _parsed(line)
    if record is None or _line(record) != line:
        return None
    bare = {name: value for name, value in record.items() if name != "seal"}
    return record if hmac.compare_digest(_seal(key, bare), str(record.get("seal"))) else None


def _parsed(line: bytes) -> Fields | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _line(record: Fields) -> bytes:
    return _text(record) + b"\n"


def _text(record: Fields) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
