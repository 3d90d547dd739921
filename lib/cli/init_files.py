"""The files that `init` writes, and the keys that stay of a configuration it replaces."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib.cli.questions import say
from lib.config import kept_keys, writer
from lib.config.file_permissions import read_text
from lib.config.settings import ROOT

if TYPE_CHECKING:
    from lib.cli.init_source import Source
    from lib.config.kept_keys import Kept
    from lib.domain.requests import Side

KEPT: Final = "Continuam como estão em {file}: {names}."
NOTHING_KEPT: Final = (
    "{file} tem um erro de TOML: nada dele passa para o novo arquivo (a versão de agora fica em "
    "{previous})."
)
SIGN_IN_GOES: Final = (
    "Por --without-sign-in, [auth] sai de {file} (a versão de agora fica em {previous})."
)

_HEADING: Final = (
    "Escrito por: python aggregator.py init\n"
    "Todas as chaves, com os seus valores: docs/configuration.md"
)


def previous(file: Path) -> Path:
    """The name under which a replaced configuration is kept."""
    return file.with_name(f"{file.name}.previous")


def kept(file: Path, *, without_sign_in: bool | None) -> Kept:
    """Say which keys of the file that is to be replaced stay, and return them."""
    if not os.path.lexists(file):
        return kept_keys.kept("")
    try:
        keys = kept_keys.kept(_old_text(file))
    except ValueError:
        say(NOTHING_KEPT.format(file=file, previous=previous(file).name))
        return kept_keys.kept("")
    if without_sign_in and keys.others.pop(kept_keys.SIGN_IN, None) is not None:
        say(SIGN_IN_GOES.format(file=file, previous=previous(file).name))
    if names := keys.names():
        say(KEPT.format(file=file, names=", ".join(names)))
    return keys


def texts(
    file: Path,
    sources: Sequence[Source],
    merchants: Mapping[str, str],
    kept: Kept,
    *,
    without_sign_in: bool,
) -> dict[Path, str]:
    """The texts of the replaced configuration, of the password files, and of the new one."""
    passwords: dict[Path, str] = {}
    tables: dict[str, Any] = {}
    for source in sources:
        values = dict(source.values)
        if source.is_reference:
            values["password"] = source.password
        elif source.password:
            text = f"{source.password}\n"
            secret = _password_file(file.parent, source.side, text)
            passwords[secret] = text
            values["password_file"] = secret
        tables[source.side] = {k: _written(v) for k, v in values.items()}
    insecure = {"allow_insecure": True} if any(s.allow_insecure for s in sources) else {}
    values = {**insecure, "merchants": merchants, **tables, **kept.aggregator}
    if without_sign_in:
        values["access"] = {**values.get("access", {}), "without_sign_in": True}
    new = writer.toml({"aggregator": values, **kept.others}, _HEADING)
    replaced = {previous(file): _old_text(file)} if os.path.lexists(file) else {}
    return {**replaced, **passwords, file: new}


def _password_file(folder: Path, side: Side, text: str) -> Path:
    """The first name that is free, or that has this text: other configurations keep theirs."""
    names = chain([side], (f"{side}-{number}" for number in count(2)))
    files = (folder / f"{name}.password" for name in names)
    return next(file for file in files if not os.path.lexists(file) or holds(file, text))


def holds(file: Path, text: str) -> bool:
    """True if the file has this text."""
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def _written(value: Any) -> Any:
    """A path below the project's root as a relative one, so that the project can be moved."""
    if not isinstance(value, Path):
        return value
    return value.relative_to(ROOT).as_posix() if value.is_relative_to(ROOT) else str(value)


def _old_text(file: Path) -> str:
    return read_text(file, "a configuração")
