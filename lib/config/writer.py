"""Write a new configuration and its password files, each readable by this account only.

All files are in place at the end, or none is. Interprets no values: `lib.config.loader` does.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from lib.config.file_permissions import require_private
from lib.domain import file_system, stop_signals
from lib.domain.errors import ConfigError

NOT_WRITABLE: Final = (
    "Não foi possível gravar {file}: {reason}; crie a pasta, ou use outra com --config."
)
NO_FOLDER: Final = "a pasta não existe"
NOT_ALLOWED: Final = "falta permissão ou espaço na pasta"


def toml(document: Mapping[str, Any], heading: str) -> str:
    """This document, of any values that `tomllib` reads, below a heading of comments."""
    comments = [f"# {line}" for line in heading.splitlines()]
    return "\n".join([*comments, *_table("", document), ""])


def require_writable(file: Path) -> None:
    """Raise ConfigError if the file could not be written, or not be trusted, in its folder."""
    temporary = _temporary(file, "")
    try:
        require_private(temporary, "a configuração")
    finally:
        temporary.unlink()


def write(files: Mapping[Path, str]) -> None:
    """Write these texts, the last file last, in place of what is there. Raises ConfigError."""
    temporaries: dict[Path, Path] = {}
    try:
        for file, text in files.items():
            temporaries[file] = _temporary(file, text)
        names = (*stop_signals.INTERRUPT, *stop_signals.OTHERS)
        with stop_signals.handled(names, signal.SIG_IGN):
            for file, temporary in temporaries.items():
                try:
                    temporary.replace(file)
                except OSError as exc:
                    raise _not_writable(file, exc) from exc
        for folder in {file.parent for file in files}:
            file_system.flush_folder(folder)
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink()


def _temporary(file: Path, text: str) -> Path:
    """Write the text to a new file beside ``file``, with mode 0600."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    except OSError as exc:
        raise _not_writable(file, exc) from exc
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            file_system.flush(stream.fileno())
    except BaseException as exc:
        temporary.unlink()
        if isinstance(exc, OSError):
            raise _not_writable(file, exc) from exc
        raise
    return temporary


def _not_writable(file: Path, problem: OSError) -> ConfigError:
    reason = NO_FOLDER if isinstance(problem, FileNotFoundError) else NOT_ALLOWED
    return ConfigError(NOT_WRITABLE, file=file, reason=reason)


def _table(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if name and (plain or not values):
        yield f"\n[{name}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in values.items():
        if key not in plain:
            yield from _table(f"{name}.{_key(key)}" if name else _key(key), value)


def _value(value: Any) -> str:
    match value:
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():  # in a list
            return f"{{{', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())}}}"
        case str():
            # A basic string of TOML is one of JSON, except for one control character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return json.dumps(value)
        case date() | time():  # a datetime is a date
            return value.isoformat()
    return str(value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").isalpha()
    return key if bare else _value(key)
