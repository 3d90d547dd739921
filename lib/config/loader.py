"""Load one frozen `Settings` from a TOML table and the environment.

Owns the search for the configuration file, the precedence of the sources and the error messages.
Refuses unknown keys from any source, and never repeats a configured value in a message.
"""

import difflib
import itertools
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError

from lib.config import secret_references
from lib.config.file_permissions import is_exposed, is_within_reach, read_text, require_unchangeable
from lib.config.settings import ROOT, Audit, Settings, Source
from lib.domain.errors import ConfigError
from lib.domain.requests import SIDES

DEFAULT_FILE: Final = ROOT / ".streamlit" / "secrets.toml"
FILE_VARIABLE: Final = "AGGREGATOR_CONFIG"
PREFIX: Final = "AGGREGATOR__"
NO_CONFIGURATION: Final = (
    "Não há configuração: crie {file}, dê um arquivo em {variable} ou use --demo."
)
BAD_TOML: Final = "{file}: o TOML tem um erro na linha {line}."
UNKNOWN_KEY: Final = "{origin}: a chave {key} não existe; a mais parecida é {nearest}."
MISSING_KEY: Final = "{origin}: falta {key}; espera-se {expected}."
WRONG_VALUE: Final = "{origin}: o valor de {key} é inválido; espera-se {expected}."
BOTH_KEYS: Final = "{origin}: {key} tem {first} e {second}; deixe só um dos dois."
INSECURE: Final = (
    "{origin}: {key} não valida a identidade do servidor em {host}; use sslmode verify-full "
    "(ou, sabendo do risco, allow_insecure = true)."
)
EXPOSED: Final = (
    "{file} tem senhas ou outros segredos, e outras contas podem ler o arquivo: rode chmod 600 "
    "nele, ou use {instead}."
)
NOT_CONFIGURED: Final = "O CNPJ pedido não é um dos configurados: {merchants}."
# A secret of a table, and the key of the file that may hold it instead.
_SECRETS: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(SIDES, ("password", "password_file")),
    "notify": ("urls", "urls_file"),
    "metrics": ("token", "token_file"),
}
# A secret of the environment replaces the file's, whichever of the two keys holds either.
_PAIRS: Final = frozenset(_SECRETS.values())
_ENTRY: Final = 3
"""The length of the key of an entry, such as access.people.NAME."""
_KeyPath: TypeAlias = tuple[int | str, ...]


def exists(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Check if a configuration exists: a named or default file, or a variable of ours."""
    return _file(path, environ) is not None or any(map(_is_override, environ))


def stamp(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> object:
    """A value that changes whenever the configuration file is written or replaced."""
    return _file_stamp(_file(path, environ))


def query_stamp(settings: Settings) -> object:
    """A value that changes whenever a query file is written or replaced."""
    return [_file_stamp(getattr(settings, side).query_file) for side in SIDES]


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Load the given file, else the file of AGGREGATOR_CONFIG, else the project's secrets.toml.

    Paths are relative to the working directory. Without a file, ``environ`` must hold every
    required key. Raises ConfigError.
    """
    if not exists(path, environ):
        raise ConfigError(NO_CONFIGURATION, file=DEFAULT_FILE, variable=FILE_VARIABLE)
    file = _file(path, environ)
    if file is None:
        return from_values({}, "ambiente", environ)
    table = _table(file)
    if is_exposed(file) and is_within_reach(file):
        for name, (secret, instead) in _SECRETS.items():
            if _has_secret(table.get(name), secret):
                raise ConfigError(EXPOSED, file=file, instead=instead)
        if _has_copy_secret(table.get("copies")):
            raise ConfigError(EXPOSED, file=file, instead="password_file")
    require_unchangeable(file, "a configuração")
    return from_values(table, str(file), environ)


def from_values(
    values: Mapping[str, Any], origin: str, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Build the settings from the table [aggregator], overridden by ``environ``.

    Messages of ConfigError name ``origin`` or the variable at fault.
    """
    for key in values:
        if key not in Settings.model_fields:
            raise _mistake((key,), origin)
    overrides, variables = _overrides(environ)
    try:
        settings = Settings(**_merged(values, overrides, _PAIRS))
    except ValidationError as exc:
        raise _wrong(exc, (), variables, origin) from None
    for name, (secret, file) in _SECRETS.items():
        table = getattr(settings, name)
        if getattr(table, secret) and getattr(table, file):
            blamed = variables.get((name, secret), origin)
            key = f"aggregator.{name}"
            raise ConfigError(BOTH_KEYS, origin=blamed, key=key, first=secret, second=file)
    for side in SIDES:
        source: Source = getattr(settings, side)
        if not (source.verified or settings.allow_insecure):
            blamed = variables.get((side, "sslmode"), origin)
            key = f"aggregator.{side}.sslmode"
            raise ConfigError(INSECURE, origin=blamed, key=key, host=source.host)
        source.require_trusted_files()
        source.secret()
    if settings.notify.urls_file:
        settings.notify.targets()
    if settings.metrics.token_file:
        settings.metrics.secret()
    for host, access in settings.copies.access.items():
        if access.password and access.password_file:
            key = f"aggregator.copies.access.{host}"
            raise ConfigError(
                BOTH_KEYS, origin=origin, key=key, first="password", second="password_file"
            )
        access.require_trusted_files()
    return settings


def load_audit(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Audit:
    """The table [aggregator.audit] alone, found as in `load`; its defaults where there is none.

    A trail can thus be verified where the rest of the configuration is incomplete.
    Raises ConfigError.
    """
    file = _file(path, environ)
    table = _table(file) if file else {}
    if file:
        require_unchangeable(file, "a configuração")
    overrides, variables = _overrides(environ)
    try:
        return Audit.model_validate(_merged(table, overrides, _PAIRS).get("audit", {}))
    except ValidationError as exc:
        raise _wrong(exc, ("audit",), variables, str(file or "ambiente")) from None


def checked_merchant(settings: Settings, cnpj: str) -> str:
    """Return the CNPJ if it is configured, else raise ConfigError without repeating it."""
    if cnpj not in settings.merchants:
        raise ConfigError(NOT_CONFIGURED, merchants=", ".join(settings.merchants))
    return cnpj


def _file_stamp(file: Path | None) -> object:
    try:
        status = file.stat() if file else None
    except OSError:
        return file
    return status and (str(file), status.st_ino, status.st_size, status.st_mtime_ns)


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path or environ.get(FILE_VARIABLE):
        return path or Path(environ[FILE_VARIABLE])
    # A dangling link counts as a file: a secret that failed to mount is an error, not a missing
    # configuration.
    return DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None


def _table(file: Path) -> dict[str, Any]:
    text = read_text(file, "a configuração")
    try:
        table = tomllib.loads(text).get("aggregator")
    except (ValueError, RecursionError) as exc:
        line = re.search(r"at line (\d+)", str(exc))
        count = line[1] if line else text.count("\n") + 1
        raise ConfigError(BAD_TOML, file=file, line=count) from None
    if not isinstance(table, dict):
        raise ConfigError(MISSING_KEY, origin=file, key="[aggregator]", expected="uma tabela")
    if (path := _with_null(table)) is not None:
        raise _mistake(path, str(file))
    return table


def _with_null(value: Any, path: _KeyPath = ()) -> _KeyPath | None:
    """The path to a text with a null character, which no file, login or server has."""
    if isinstance(value, str):
        return path if "\0" in value else None
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
    inner = (_with_null(entry, (*path, key)) for key, entry in entries)
    return next((path for path in inner if path is not None), None)


def _has_secret(table: object, key: str) -> bool:
    """Check if a table holds a secret itself and not a reference to one."""
    secret = table.get(key) if isinstance(table, dict) else None
    references = (secret_references.VAULT, secret_references.SERVICE)
    secrets = secret if isinstance(secret, list) else [secret]
    return any(bool(one) and not str(one).startswith(references) for one in secrets)


def _has_copy_secret(copies: object) -> bool:
    """Check if the table of the copies holds a password, by itself or in an address."""
    table = copies if isinstance(copies, dict) else {}
    access = table.get("access")
    tables = access.values() if isinstance(access, dict) else ()
    in_address = re.search(r"://[^/]*:[^/]*@", str(table.get("to")))
    return in_address is not None or any(_has_secret(one, "password") for one in tables)


def _overrides(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[_KeyPath, str]]:
    """Return the table that the environment variables define, and the variable of each key."""
    table: dict[str, Any] = {}
    variables: dict[_KeyPath, str] = {}
    prefixed = filter(_is_override, environ)
    # Outer levels first, so that a key overrides its table.
    for name in sorted(prefixed, key=lambda name: name.count("__")):
        key, *inner_keys = name[len(PREFIX) :].split("__")
        key = key.lower()
        # A CNPJ may have capital letters; every other key is lower case.
        if key != "merchants":
            inner_keys = [inner.lower() for inner in inner_keys]
        path = (key, *inner_keys)
        value = _value(path, environ[name], name)
        inner = value if isinstance(value, dict) else {}
        paths = [(*path, key) for key in inner] or [path]
        variables |= dict.fromkeys(paths, name)
        for part in reversed(path):
            value = {part: value}
        table = _merged(table, value)
    return table, variables


def _value(path: tuple[str, ...], text: str, variable: str) -> Any:
    """The value of a variable: JSON for a key that takes a table or a list, else the text.

    Raises ConfigError for JSON that cannot be read, and for a key below one that takes no table.
    """
    annotation: Any = Settings
    for part in path:
        if get_origin(annotation) is dict:  # then any text is a key, such as a CNPJ
            annotation = get_args(annotation)[1]
            continue
        model = _table_model(annotation)
        if model is None or part not in model.model_fields:
            raise _mistake(path, variable)
        annotation = model.model_fields[part].annotation
    if _table_model(annotation) is None and get_origin(annotation) not in (dict, tuple):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _mistake(path, variable) from None


def _merged(
    below: Mapping[str, Any], above: Mapping[str, Any], pairs: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Merge two tables and their inner ones; of ``pairs`` a key of ``above`` replaces either."""
    hidden = {key for pair in pairs if above.keys() & set(pair) for key in pair}
    merged = {key: value for key, value in below.items() if key not in hidden}
    for key, value in above.items():
        table: Any = merged.get(key)
        both = isinstance(table, Mapping) and isinstance(value, dict)
        merged[key] = _merged(table, value, pairs) if both else value
    return merged


def _is_override(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _wrong(
    problem: ValidationError, table: _KeyPath, variables: Mapping[_KeyPath, str], origin: str
) -> ConfigError:
    """The error for a table's first mistake, unknown keys first; it names the variable at fault."""
    errors = problem.errors(include_input=False)
    error = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    path = (*table, *error["loc"])
    nearest = max(variables, key=lambda other: _shared(path, other), default=())
    shared = _shared(path, nearest)
    # Above, at or below the mistake, or in the same entry, such as a person.
    at_fault = shared and shared >= min(len(nearest), len(path), _ENTRY)
    return _mistake(path, variables[nearest] if at_fault else origin, error["type"])


def _shared(path: _KeyPath, other: _KeyPath) -> int:
    """Count the keys with which both begin."""
    pairs = zip(path, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _mistake(path: _KeyPath, origin: str, kind: str = "") -> ConfigError:
    """Build the error for the key at this path; ``kind`` is pydantic's type of error."""
    known: Mapping[str, Any] = Settings.model_fields
    key, expected, parts = "aggregator", None, iter(map(str, path))
    for part in parts:
        if part not in known:
            nearest = difflib.get_close_matches(part.lower(), known, n=1, cutoff=0)[0]
            return ConfigError(UNKNOWN_KEY, origin=origin, key=f"{key}.{part}", nearest=nearest)
        key, expected = f"{key}.{part}", known[part].description
        if get_origin(known[part].annotation) is dict:  # then any text follows, such as a CNPJ
            key = ".".join((key, *itertools.islice(parts, 1)))
        table = _table_model(known[part].annotation)
        if table is None:
            break
        known = table.model_fields
    template = MISSING_KEY if kind == "missing" else WRONG_VALUE
    return ConfigError(template, origin=origin, key=key, expected=expected)


def _table_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a key that is a table or an optional table, else None."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
