"""What the product is told: one frozen `Settings` from a TOML table, environment and secret files.

Owns where the configuration is looked for, what each key may be and the sentence for each mistake.
Refuses unknown keys, from wherever they come, and never repeats a configured value in a message.
Opens no database, knows no command line and no screen, keeps nothing between calls.
"""

import difflib
import itertools
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from lib.config import secret_references
from lib.config.file_permissions import is_exposed, is_within_reach, read_text, require_unchangeable
from lib.config.settings import ROOT, Settings, Source
from lib.domain.errors import ConfigError

DEFAULT_FILE: Final = ROOT / ".streamlit" / "secrets.toml"
FILE_VARIABLE: Final = "AGGREGATOR_CONFIG"
PREFIX: Final = "AGGREGATOR__"
_NOWHERE: Final = "Não há configuração: crie {file}, dê um arquivo em {variable} ou use --demo."
_BAD_TOML: Final = "{file}: o TOML tem um erro na linha {line}."
_UNKNOWN: Final = "{origin}: a chave {key} não existe; a mais parecida é {nearest}."
_MISSING: Final = "{origin}: falta {key}; espera-se {expected}."
_WRONG: Final = "{origin}: o valor de {key} não serve; espera-se {expected}."
_TWO_PASSWORDS: Final = "{origin}: {key} tem password e password_file; deixe só um dos dois."
_INSECURE: Final = (
    "{origin}: {key} aceita um servidor impostor em {host}; use sslmode verify-full (ou, sabendo "
    "do risco, allow_insecure = true)."
)
_EXPOSED: Final = (
    "{file} tem senhas e outras contas podem ler o arquivo: rode chmod 600 nele, ou use "
    "password_file."
)
_NO_MERCHANT: Final = "O CNPJ pedido não é um dos configurados: {merchants}."
_HOST: Final = re.compile(f"{PREFIX}(TRANSACTIONS|AUTH_LOGS)(__HOST)?", re.IGNORECASE)
_SIDES: Final = ("transactions", "auth_logs")
_PASSWORDS: Final = frozenset({"password", "password_file"})
_Place: TypeAlias = tuple[int | str, ...]


def exists(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a configuration: a file named or in its place, or a host in environ."""
    return _file(path, environ) is not None or any(map(_HOST.fullmatch, environ))


def stamp(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> object:
    """What changes whenever the configuration's file is written or replaced."""
    file = _file(path, environ)
    try:
        found = file.stat() if file else None
    except OSError:
        return file
    return found and (str(file), found.st_ino, found.st_size, found.st_mtime_ns)


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from this file, else the one AGGREGATOR_CONFIG names, else the project's secrets.

    Relative to the working directory; environ may do without a file. Raises ConfigError.
    """
    if not exists(path, environ):
        raise ConfigError(_NOWHERE, file=DEFAULT_FILE, variable=FILE_VARIABLE)
    file = _file(path, environ)
    if file is None:
        return from_values({}, "ambiente", environ)
    table = _table(file)
    exposed = is_exposed(file) and is_within_reach(file)
    if exposed and any(_has_password(table.get(side)) for side in _SIDES):
        raise ConfigError(_EXPOSED, file=file)
    require_unchangeable(file, "a configuração")
    return from_values(table, str(file), environ)


def from_values(
    values: Mapping[str, Any], origin: str, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from what [aggregator] holds, environ over it; ``origin`` is for ConfigErrors."""
    for key in values:
        if key not in Settings.model_fields:
            raise _mistake((key,), origin)
    said, variables = _said(environ)
    try:
        settings = Settings(**_merged(values, said))
    except ValidationError as exc:
        error = min(exc.errors(include_input=False), key=lambda e: e["type"] != "extra_forbidden")
        place = error["loc"]
        blamed = variables.get(place[:2]) or variables.get(place[:1]) or origin
        raise _mistake(place, blamed, error["type"]) from None
    for side in _SIDES:
        source: Source = getattr(settings, side)
        if source.password and source.password_file:
            blamed = variables.get((side, "password"), origin)
            raise ConfigError(_TWO_PASSWORDS, origin=blamed, key=f"aggregator.{side}")
        if not (source.verified or settings.allow_insecure):
            blamed = variables.get((side, "sslmode"), origin)
            key = f"aggregator.{side}.sslmode"
            raise ConfigError(_INSECURE, origin=blamed, key=key, host=source.host)
        if source.query_file:
            require_unchangeable(source.query_file, "a consulta")
        source.secret()
    return settings


def checked_merchant(settings: Settings, cnpj: str) -> str:
    """The CNPJ, if it is a configured one; ConfigError, which does not repeat it, otherwise."""
    if cnpj not in settings.merchants:
        raise ConfigError(_NO_MERCHANT, merchants=", ".join(settings.merchants))
    return cnpj


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path or environ.get(FILE_VARIABLE):
        return path or Path(environ[FILE_VARIABLE])
    # A dangling link counts: a secret that failed to mount must not pass for "not configured".
    return DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None


def _table(file: Path) -> dict[str, Any]:
    text = read_text(file, "a configuração")
    try:
        table = tomllib.loads(text).get("aggregator")
    except ValueError as exc:
        line = re.search(r"at line (\d+)", str(exc))
        count = line[1] if line else text.count("\n") + 1
        raise ConfigError(_BAD_TOML, file=file, line=count) from None
    if not isinstance(table, dict):
        raise ConfigError(_MISSING, origin=file, key="[aggregator]", expected="uma tabela")
    return table


def _has_password(table: object) -> bool:
    """Whether a side's table says a password, and not only where one is kept."""
    said = table.get("password") if isinstance(table, dict) else None
    return bool(said) and not str(said).startswith(
        (secret_references.VAULT, secret_references.SERVICE)
    )


def _said(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[_Place, str]]:
    """What the variables say, as one table, and which of them says each key."""
    reader = EnvSettingsSource(Settings, case_sensitive=True, env_nested_delimiter="__")
    table: dict[str, Any] = {}
    variables: dict[_Place, str] = {}
    ours = (name for name in environ if name.upper().startswith(PREFIX))
    for name in sorted(ours, key=lambda name: name.count("__")):  # a key goes over its table
        key, *rest = name[len(PREFIX) :].split("__")
        key = key.lower()
        # A CNPJ has capitals; every other key is lower case.
        below = rest if key == "merchants" else [part.lower() for part in rest]
        reader.env_vars = {"__".join([key, *below]): environ[name]}
        try:
            said = reader().get(key)
        except SettingsError:
            said = None
        if said is None:
            raise _mistake((key,), name)
        under = table.get(key)
        both = isinstance(under, dict) and isinstance(said, dict)
        table[key] = under | said if both else said
        places = [(key, inner) for inner in said] if isinstance(said, dict) else [(key,)]
        variables |= dict.fromkeys(places, name)
    return table, variables


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another; either password key above hides both below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, dict):
            hidden = _PASSWORDS if value.keys() & _PASSWORDS else ()
            value = {k: v for k, v in under.items() if k not in hidden} | value
        merged[key] = value
    return merged


def _mistake(place: _Place, origin: str, kind: str = "") -> ConfigError:
    known: Mapping[str, Any] = Settings.model_fields
    key, expected, parts = "aggregator", None, iter(map(str, place))
    for part in parts:
        if part not in known:
            nearest = difflib.get_close_matches(part.lower(), known, n=1, cutoff=0)[0]
            return ConfigError(_UNKNOWN, origin=origin, key=f"{key}.{part}", nearest=nearest)
        key, expected = f"{key}.{part}", known[part].description
        if get_origin(known[part].annotation) is dict:  # the next part is a CNPJ, an e-mail
            key = ".".join((key, *itertools.islice(parts, 1)))
        table = _table_model(known[part].annotation)
        if table is None:
            break
        known = table.model_fields
    template = _MISSING if kind == "missing" else _WRONG
    return ConfigError(template, origin=origin, key=key, expected=expected)


def _table_model(annotation: Any) -> type[BaseModel] | None:
    """The model of a key that is a table, also of an optional one."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
