"""What the product is told: one frozen `Settings` from a TOML table, environment and secret files.

Owns where the configuration is looked for, what each key may be and the sentence for each mistake.
Refuses unknown keys, from wherever they come, and never repeats a configured value in a message.
Opens no database, knows no command line and no screen, keeps nothing between calls.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_core import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from lib.errors import ConfigError

ROOT: Final = Path(__file__).resolve().parent.parent
DEFAULT_FILE: Final = ROOT / ".streamlit" / "secrets.toml"
FILE_VARIABLE: Final = "AGGREGATOR_CONFIG"
PREFIX: Final = "AGGREGATOR__"
_NOWHERE: Final = "Não há configuração: crie {file}, dê um arquivo em {variable} ou use --demo."
_UNREADABLE: Final = "Não foi possível ler {what} em {file}: {reason}."
_BAD_TOML: Final = "{file}: o TOML tem um erro na linha {line}."
_UNKNOWN: Final = "{origin}: a chave {key} não existe; a mais parecida é {nearest}."
_MISSING: Final = "{origin}: falta {key}; espera-se {expected}."
_WRONG: Final = "{origin}: o valor de {key} não serve; espera-se {expected}."
_TWO_PASSWORDS: Final = "{origin}: {key} tem password e password_file; deixe só um dos dois."
_NO_MERCHANT: Final = "O CNPJ pedido não é um dos configurados: {merchants}."
_BAD_DIGITS: Final = "O CNPJ {cnpj} tem dígitos verificadores errados; confira a digitação."
_HOST: Final = re.compile(f"{PREFIX}(TRANSACTIONS|AUTH_LOGS)(__HOST)?", re.IGNORECASE)
_LOCAL: Final = re.compile(r"[/@].*|localhost|127(\.[0-9]{1,3}){3}|::1")
_PASSWORDS: Final = frozenset({"password", "password_file"})
_Place: TypeAlias = tuple[int | str, ...]
_CNPJ: Final = "^[0-9A-Z]{12}[0-9]{2}$"


def _whole(low: int, high: int) -> Any:
    return Field(ge=low, le=high, description=f"um número inteiro de {low} a {high}")


def _in_project(value: object) -> object:
    if value == "":
        return None
    return ROOT / value if isinstance(value, str | Path) else value


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError) as exc:
        raise ValueError from exc
    return name


# TOML's true would pass for 1; libpq reads the word "system" as the machine's own certificates.
_Int = Annotated[int, BeforeValidator(lambda v: None if isinstance(v, bool) else v)]
_Text = Annotated[str, Field(min_length=1, description="um texto entre aspas, não vazio")]
_A_FILE: Final = Field(description="o caminho de um arquivo")
_InProject: Final = BeforeValidator(_in_project)
_File = Annotated[Path | None, _InProject, _A_FILE]
_Roots: Final = BeforeValidator(lambda v: v if v == "system" else _in_project(v))
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Source(BaseModel):
    """How to reach one database; relative paths are the project's, timeouts are seconds."""

    model_config = _FROZEN
    host: _Text
    port: Annotated[_Int, _whole(1, 65_535)] = 5432
    database: _Text
    user: _Text
    password: SecretStr | None = Field(default=None, description="um texto entre aspas")
    password_file: _File = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default_factory=lambda data: "prefer" if _LOCAL.fullmatch(data["host"]) else "verify-full",
        description="disable, allow, prefer, require, verify-ca ou verify-full",
    )
    sslrootcert: Annotated[Path | None, _Roots, _A_FILE] = None
    sslcert: _File = None
    sslkey: _File = None
    connect_timeout: Annotated[_Int, _whole(1, 3_600)] = 5
    statement_timeout: Annotated[_Int, _whole(1, 86_400)] = 300
    query_file: _File = None

    def secret(self) -> str | None:
        """The password, read anew where a file holds it; ConfigError if that cannot be read."""
        if self.password_file:
            return _read(self.password_file, "a senha (password_file)").rstrip("\r\n") or None
        return self.password.get_secret_value() if self.password else None


class Privacy(BaseModel):
    """Whether the scheduled report shows card numbers and CPFs."""

    model_config = _FROZEN
    report: Literal["masked", "clear"] = Field(default="masked", description="masked ou clear")


class Settings(BaseSettings):
    """Everything that is configured; made by `load` or `from_values`, never changed."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    window_days: Annotated[_Int, _whole(0, 36_500)] = 10
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="America/Sao_Paulo", description="um fuso horário, como America/Sao_Paulo"
    )
    output_path: Annotated[Path, _InProject, _A_FILE] = ROOT / "resultado_transacoes.xlsx"
    match_rule: Literal["card", "card_time"] = Field("card", description="card ou card_time")
    tolerance_minutes: Annotated[_Int, _whole(0, 525_600)] = 5
    approved_codes: tuple[_Text, ...] = Field(
        default=("00",), min_length=1, description='uma lista não vazia de textos, como ["00"]'
    )
    virtual_prefix_length: Literal["auto"] | Annotated[_Int, Field(ge=0, le=100)] = Field(
        default="auto", description="auto ou um número inteiro de 0 a 100"
    )
    merchants: dict[Annotated[str, Field(pattern=_CNPJ)], _Text] = Field(
        min_length=1, description='CNPJ = "nome", com 12 algarismos ou A-Z e 2 algarismos no CNPJ'
    )
    transactions: Source = Field(description="a tabela do banco de transações")
    auth_logs: Source = Field(description="a tabela do banco de logs de autenticação")
    privacy: Privacy = Field(default=Privacy(), description="uma tabela")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *_: Any, **__: Any
    ) -> tuple[Any, ...]:
        """Only what `from_values` hands over, which has the environment in it already."""
        return (init_settings,)

    @property
    def default_merchant(self) -> str:
        """The CNPJ of the first configured merchant."""
        return next(iter(self.merchants))

    @property
    def zone(self) -> ZoneInfo:
        """The time zone whose dates the periods are in."""
        return ZoneInfo(self.timezone)

    def warnings(self) -> list[str]:
        """What is allowed but looks like a mistake, a Portuguese sentence each."""
        return [_BAD_DIGITS.format(cnpj=c) for c in self.merchants if not check_digits_ok(c)]


_TABLES: Final[dict[str, type[BaseModel]]] = {
    "transactions": Source,
    "auth_logs": Source,
    "privacy": Privacy,
}


def exists(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a configuration: a file named or in its place, or a host in environ."""
    return _file(path, environ) is not None or any(map(_HOST.fullmatch, environ))


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from this file, else the one AGGREGATOR_CONFIG names, else the project's secrets.

    Relative to the working directory; environ may do without a file. Raises ConfigError.
    """
    if not exists(path, environ):
        raise ConfigError(_NOWHERE, file=DEFAULT_FILE, variable=FILE_VARIABLE)
    file = _file(path, environ)
    return from_values(_table(file) if file else {}, str(file or "ambiente"), environ)


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
    for side in ("transactions", "auth_logs"):
        source: Source = getattr(settings, side)
        if source.password and source.password_file:
            blamed = variables.get((side, "password"), origin)
            raise ConfigError(_TWO_PASSWORDS, origin=blamed, key=f"aggregator.{side}")
        source.secret()
    return settings


def checked_merchant(settings: Settings, cnpj: str) -> str:
    """The CNPJ, if it is a configured one; ConfigError, which does not repeat it, otherwise."""
    if cnpj not in settings.merchants:
        raise ConfigError(_NO_MERCHANT, merchants=", ".join(settings.merchants))
    return cnpj


def check_digits_ok(cnpj: str) -> bool:
    """Whether the last two digits follow from the rest (Receita Federal, alphanumeric CNPJ)."""
    if not re.fullmatch(_CNPJ, cnpj):
        return False
    values = [ord(character) - ord("0") for character in cnpj]
    for end in (12, 13):
        total = sum(v * (2 + place % 8) for place, v in enumerate(reversed(values[:end])))
        if values[end] != -total % 11 % 10:
            return False
    return True


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path or environ.get(FILE_VARIABLE):
        return path or Path(environ[FILE_VARIABLE])
    # A dangling link counts: a secret that failed to mount must not pass for "not configured".
    return DEFAULT_FILE if os.path.lexists(DEFAULT_FILE) else None


def _table(file: Path) -> dict[str, Any]:
    text = _read(file, "a configuração")
    try:
        table = tomllib.loads(text).get("aggregator")
    except ValueError as exc:
        line = re.search(r"at line (\d+)", str(exc))
        count = line[1] if line else text.count("\n") + 1
        raise ConfigError(_BAD_TOML, file=file, line=count) from None
    if not isinstance(table, dict):
        raise ConfigError(_MISSING, origin=file, key="[aggregator]", expected="uma tabela")
    return table


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = "o arquivo não existe"
    except (OSError, ValueError):
        reason = "falta permissão, ou não é um arquivo de texto em UTF-8"
    raise ConfigError(_UNREADABLE, what=what, file=file, reason=reason)


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
    known, key, expected = Settings.model_fields, "aggregator", None
    for part in map(str, place):
        if part not in known:
            nearest = difflib.get_close_matches(part.lower(), known, n=1, cutoff=0)[0]
            return ConfigError(_UNKNOWN, origin=origin, key=f"{key}.{part}", nearest=nearest)
        key, expected = f"{key}.{part}", known[part].description
        if part not in _TABLES:
            break
        known = _TABLES[part].model_fields
    if place[0] == "merchants":
        key = ".".join((key, *map(str, place[1:2])))
    template = _MISSING if kind == "missing" else _WRONG
    return ConfigError(template, origin=origin, key=key, expected=expected)
