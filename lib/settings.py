"""What can be configured: the keys, their values and their defaults, as frozen models.

Owns what each key may be; a table of the configuration is a model here, and its description is
what a message says is expected. `lib.config` reads them. Reads password files, nothing else.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from lib.errors import ConfigError

ROOT: Final = Path(__file__).resolve().parent.parent
_UNREADABLE: Final = "Não foi possível ler {what} em {file}: {reason}."
_BAD_DIGITS: Final = "O CNPJ {cnpj} tem dígitos verificadores errados; confira a digitação."
_LOCAL: Final = re.compile(r"[/@].*|localhost|127(\.[0-9]{1,3}){3}|::1")
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
            return read_text(self.password_file, "a senha (password_file)").rstrip("\r\n") or None
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


def read_text(file: Path, what: str) -> str:
    """The file's text; ConfigError, which calls the file ``what``, if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = "o arquivo não existe"
    except (OSError, ValueError):
        reason = "falta permissão, ou não é um arquivo de texto em UTF-8"
    raise ConfigError(_UNREADABLE, what=what, file=file, reason=reason)
