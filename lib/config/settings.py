"""The configuration's keys, their valid values and their defaults, as frozen models.

Each table of the configuration is a model; a field's description states its valid values, for
error messages. `lib.config.loader` fills the models. Secrets are read only when `Source.secret` is
called.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
)

from lib.config import secret_references
from lib.config.delivery_settings import Copies, Notify, Wait
from lib.config.field_types import (
    A_FILE,
    FROZEN,
    LOCAL,
    File,
    InProject,
    Int,
    Text,
    in_project,
    secret_of,
    whole,
)
from lib.config.field_types import ROOT as ROOT
from lib.config.file_permissions import read_secret, require_private, require_unchangeable
from lib.domain import container, file_system
from lib.domain.errors import ConfigError
from lib.domain.messages import Notice

BAD_DIGITS: Final = (
    "Os dígitos verificadores do CNPJ {cnpj} não conferem; confirme se é o do estabelecimento."
)
INSECURE: Final = (
    "A conexão de {side} com {host} não valida a identidade do servidor (sslmode {sslmode}); use "
    "sslmode verify-full e retire allow_insecure."
)
BLANK_FILE: Final = (
    "O arquivo {file} não tem o token das métricas: escreva-o, ou retire token_file de "
    "[aggregator.metrics]."
)
_CNPJ: Final = "^[0-9A-Z]{12}[0-9]{2}$"


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError) as exc:
        raise ValueError from exc
    return name


# libpq reads it as the operating system's certificates.
_SYSTEM_ROOTS: Final = "system"
_Roots: Final = BeforeValidator(lambda v: v if v == _SYSTEM_ROOTS else in_project(v))


class Source(BaseModel):
    """Connection to one database. Relative paths start at the project root; timeouts in seconds."""

    model_config = FROZEN
    host: Text
    port: Annotated[Int, whole(1, 65_535)] = 5432
    database: Text
    user: Text
    password: SecretStr | None = Field(default=None, description="um texto entre aspas")
    password_file: File = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default_factory=lambda data: "prefer" if LOCAL.fullmatch(data["host"]) else "verify-full",
        description="disable, allow, prefer, require, verify-ca ou verify-full",
    )
    sslrootcert: Annotated[Path | None, _Roots, A_FILE] = None
    sslcert: File = None
    sslkey: File = None
    connect_timeout: Annotated[Int, whole(1, 3_600)] = 5
    statement_timeout: Annotated[Int, whole(1, 86_400)] = 300
    query_file: File = None

    @property
    def local(self) -> bool:
        """True for a socket or a loopback address: no traffic leaves this machine."""
        return LOCAL.fullmatch(self.host) is not None

    @property
    def verified(self) -> bool:
        """True if the server's identity is verified, or the server is local."""
        return self.local or self.sslmode == "verify-full"

    def secret(self) -> str | None:
        """Return the password, read again on each call from a file, a service or a vault.

        Raises ConfigError if it cannot be read.
        """
        return secret_of(self.password, self.password_file)

    def require_trusted_files(self) -> None:
        """Raise ConfigError if another account can change what is read, and from which server."""
        if self.query_file:
            require_unchangeable(self.query_file, "a consulta")
        if self.sslrootcert and self.sslrootcert != Path(_SYSTEM_ROOTS):
            require_unchangeable(self.sslrootcert, "os certificados (sslrootcert)")
        if self.sslcert:
            require_unchangeable(self.sslcert, "o certificado (sslcert)")
        if self.sslkey:
            require_private(self.sslkey, "a chave (sslkey)")


class Privacy(BaseModel):
    """Masked or clear card numbers and CPFs in the scheduled report."""

    model_config = FROZEN
    report: Literal["masked", "clear"] = Field(default="masked", description="masked ou clear")


class Metrics(BaseModel):
    """The token with which a monitor on another machine may read the dashboard's metrics."""

    model_config = FROZEN
    token: SecretStr | None = Field(default=None, description="um texto entre aspas")
    token_file: File = None

    def secret(self) -> str | None:
        """Return the token, read again on each call.

        Raises ConfigError if it cannot be read, or its file is blank.
        """
        if self.token_file:
            token = read_secret(self.token_file, "o token das métricas (token_file)").strip()
            if not token:
                raise ConfigError(BLANK_FILE, file=self.token_file)
            return token
        if self.token:
            return secret_references.resolve(self.token.get_secret_value()) or None
        return None


class Audit(BaseModel):
    """Location of the audit trail; an empty path disables it."""

    model_config = FROZEN
    path: File = ROOT / "audit.jsonl"
    key_file: File = None

    @property
    def key(self) -> Path | None:
        """The file of the key that authenticates the records."""
        return self.key_file or (self.path and self.path.with_name(f"{self.path.name}.key"))


class Grant(BaseModel):
    """Roles and merchants of a person or a group ("*" stands for every merchant)."""

    model_config = FROZEN
    roles: tuple[Literal["analyst", "clear_data", "auditor"], ...] = Field(
        min_length=1, description='uma lista de papéis: "analyst", "clear_data", "auditor"'
    )
    merchants: tuple[Annotated[str, Field(pattern=f"{_CNPJ}|^[*]$")], ...] = Field(
        default=(), description='uma lista de CNPJs configurados, ou ["*"]'
    )


class Access(BaseModel):
    """Access to the dashboard. Without sign-in, only from this machine and only if enabled."""

    model_config = FROZEN
    people: dict[Text, Grant] = Field(default={}, description='"e-mail" = { roles, merchants }')
    groups: dict[Text, Grant] = Field(default={}, description='"grupo" = { roles, merchants }')
    groups_claim: Text = "groups"
    without_sign_in: bool = Field(default=False, description="true ou false")


class History(BaseModel):
    """Location of the record of runs; by default a file in the user's state folder."""

    model_config = FROZEN
    path: File = None


class Cases(BaseModel):
    """Days that a case is kept after it was last seen, and its columns in the report."""

    model_config = FROZEN
    keep_days: Annotated[Int, whole(1, 36_500)] = 400
    in_report: bool = Field(default=False, description="true ou false")


def _bytes(value: object) -> int:
    size = re.fullmatch(r"([1-9][0-9]{0,5}) ?([MG])B", str(value))
    if size is None:
        raise ValueError
    return int(size[1]) * {"M": 10**6, "G": 10**9}[size[2]]


_Size = Annotated[
    int,
    BeforeValidator(_bytes),
    PlainSerializer(lambda size: f"{size // 10**6} MB", when_used="json-unless-none"),
]


class Dashboard(BaseModel):
    """Memory limit of all the dashboard's data sets together."""

    model_config = FROZEN
    memory_budget: _Size = Field(
        default=1_200_000_000, description='um tamanho, como "800 MB" ou "4 GB"'
    )


class Engine(BaseModel):
    """Engine of a reconciliation; without a kind, in memory if it fits the memory limit.

    ``memory_limit`` covers all processes together; by default half of the memory of the machine,
    or of the container.
    """

    model_config = FROZEN
    kind: Literal["memory", "chunked", "spark"] | None = Field(
        default=None, description="memory, chunked ou spark"
    )
    memory_limit: _Size | None = Field(
        default=None, description='um tamanho, como "800 MB" ou "4 GB"'
    )
    workers: Annotated[Int, whole(1, 256)] | None = None
    staging_dir: File = None
    result_dir: File = None
    master: Text = "local[*]"

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return self.memory_limit or container.memory_bytes() // 2

    @property
    def worker_count(self) -> int:
        """Number of parallel processes; by default one per processor."""
        return self.workers or container.processors()

    @property
    def staging_folder(self) -> Path:
        """Folder of the intermediate files of a reconciliation: on a disk, private to the user."""
        return self.staging_dir or file_system.user_folder(platformdirs.user_cache_path)


class Settings(BaseModel):
    """The whole configuration, immutable; created by `loader.load` or `loader.from_values`."""

    model_config = FROZEN
    window_days: Annotated[Int, whole(0, 36_500)] = 10
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="America/Sao_Paulo", description="um fuso horário, como America/Sao_Paulo"
    )
    output_path: Annotated[Path, InProject, A_FILE] = ROOT / "resultado_transacoes.xlsx"
    keep: Annotated[Int, whole(0, 10_000)] = 0
    match_rule: Literal["card", "card_time"] = Field("card", description="card ou card_time")
    tolerance_minutes: Annotated[Int, whole(0, 525_600)] = 5
    approved_codes: tuple[Text, ...] = Field(
        default=("00",), min_length=1, description='uma lista não vazia de textos, como ["00"]'
    )
    virtual_prefix_length: Literal["auto"] | Annotated[Int, Field(ge=0, le=100)] = Field(
        default="auto", description="auto ou um número inteiro de 0 a 100"
    )
    merchants: dict[Annotated[str, Field(pattern=_CNPJ)], Text] = Field(
        min_length=1, description='CNPJ = "nome", com 12 algarismos ou A-Z e 2 algarismos no CNPJ'
    )
    transactions: Source = Field(description="a tabela do banco de transações")
    auth_logs: Source = Field(description="a tabela do banco de logs de autenticação")
    privacy: Privacy = Field(default=Privacy(), description="uma tabela")
    access: Access = Field(default=Access(), description="uma tabela")
    audit: Audit = Field(default=Audit(), description="uma tabela")
    history: History = Field(default=History(), description="uma tabela")
    cases: Cases = Field(default=Cases(), description="uma tabela")
    notify: Notify = Field(default=Notify(), description="uma tabela")
    metrics: Metrics = Field(default=Metrics(), description="uma tabela")
    wait: Wait = Field(default=Wait(), description="uma tabela")
    copies: Copies = Field(default=Copies(), description="uma tabela")
    engine: Engine = Field(default=Engine(), description="uma tabela")
    dashboard: Dashboard = Field(default=Dashboard(), description="uma tabela")
    row_level_security: bool = Field(default=False, description="true ou false")
    allow_insecure: bool = Field(default=False, description="true ou false")

    @property
    def default_merchant(self) -> str:
        """The CNPJ of the first configured merchant."""
        return next(iter(self.merchants))

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the periods' dates."""
        return ZoneInfo(self.timezone)

    def warnings(self) -> list[Notice]:
        """Return notices about settings that are allowed but look like mistakes."""
        sides = {"transactions": self.transactions, "auth_logs": self.auth_logs}
        insecure = [
            Notice(INSECURE, {"side": side, "host": source.host, "sslmode": source.sslmode})
            for side, source in sides.items()
            if not source.verified
        ]
        wrong = [cnpj for cnpj in self.merchants if not check_digits_ok(cnpj)]
        return [*insecure, *(Notice(BAD_DIGITS, {"cnpj": cnpj}) for cnpj in wrong)]


def is_cnpj(text: str) -> bool:
    """Check the form of a CNPJ: 12 digits or capital letters, then 2 digits."""
    return re.fullmatch(_CNPJ, text) is not None


def check_digits_ok(cnpj: str) -> bool:
    """Verify the two check digits by Receita Federal's rule for alphanumeric CNPJs."""
    if not is_cnpj(cnpj):
        return False
    values = [ord(character) - ord("0") for character in cnpj]
    for end in (12, 13):
        total = sum(v * (2 + index % 8) for index, v in enumerate(reversed(values[:end])))
        if values[end] != -total % 11 % 10:
            return False
    return True
