"""The tables of what surrounds a scheduled run: waiting, copies of the report, and notices."""

import re
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

from lib.config import copy_target
from lib.config.copy_target import CopyTarget
from lib.config.field_types import FROZEN, LOCAL, ROOT, File, Int, Text, secret_of, whole
from lib.config.file_permissions import read_secret, require_private, require_unchangeable
from lib.domain.errors import ConfigError

NO_ADDRESS: Final = (
    "O arquivo {file} não tem nenhum endereço: escreva um por linha, ou retire urls_file de "
    "[aggregator.notify]."
)
_TARGET: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://.|vault:")


def _endpoint(url: str | None) -> str | None:
    parts = urlsplit(url or "https://host")
    local = parts.scheme == "http" and LOCAL.fullmatch(parts.hostname or "")
    if not parts.hostname or parts.username or not (parts.scheme == "https" or local):
        raise ValueError
    return url


def _clock(value: object) -> object:
    if isinstance(value, str):
        return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 a local time of any day
    if not isinstance(value, time):
        raise ValueError
    return value


class Wait(BaseModel):
    """Waiting of a run until the sources are complete; without ``until`` it does not wait."""

    model_config = FROZEN
    until: Annotated[time | None, BeforeValidator(_clock)] = Field(
        default=None, description='uma hora do dia, como "07:30"'
    )
    complete_to: Literal["yesterday"] = Field(default="yesterday", description="yesterday")
    lag_minutes: Annotated[Int, whole(0, 1_440)] = 60
    every_seconds: Annotated[Int, whole(1, 3_600)] = 60


def _copy_target(value: object) -> CopyTarget:
    if isinstance(value, CopyTarget):
        return value
    if not isinstance(value, str):
        raise ValueError
    return copy_target.parse(value, ROOT)


class CopyAccess(BaseModel):
    """Credentials of a server or a bucket that gets copies, and its keys or address.

    ``user`` and the password are a bucket's access key and its secret. ``key_file`` and
    ``known_hosts`` belong to SFTP, by default the account's own; ``endpoint_url`` to S3.
    """

    model_config = FROZEN
    user: Text | None = None
    password: SecretStr | None = Field(default=None, description="um texto entre aspas")
    password_file: File = None
    key_file: File = None
    known_hosts: File = None
    endpoint_url: Annotated[str | None, AfterValidator(_endpoint)] = Field(
        default=None, description="um endereço https (http só para esta máquina)"
    )

    def secret(self) -> str | None:
        """Return the password. Raises ConfigError if it cannot be read."""
        return secret_of(self.password, self.password_file)

    def require_trusted_files(self) -> None:
        """Raise ConfigError if another account can read the key, or change the known hosts."""
        if self.key_file:
            require_private(self.key_file, "a chave (key_file)")
        if self.known_hosts:
            self.host_keys()

    def host_keys(self) -> Path:
        """The file of the known hosts. Raises ConfigError if another account can change it."""
        file = self.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        require_unchangeable(file, "as chaves de servidores (known_hosts)")
        return file


class Copies(BaseModel):
    """Folders that get a copy of each report; ``access`` by host or bucket."""

    model_config = FROZEN
    to: tuple[
        Annotated[
            CopyTarget,
            BeforeValidator(_copy_target),
            PlainSerializer(lambda target: target.label, when_used="json"),
            WithJsonSchema({"type": "string"}),
        ],
        ...,
    ] = Field(
        default=(),
        description="uma lista de pastas: caminhos, ou endereços sftp://, s3:// ou smb://",
    )
    access: dict[Text, CopyAccess] = Field(
        default={}, description='"servidor" = { user, password_file, key_file, ... }'
    )

    def access_of(self, target: CopyTarget) -> CopyAccess:
        """The credentials configured for this target's host or bucket."""
        return self.access.get(target.host, CopyAccess())


def _target(url: SecretStr) -> SecretStr:
    if not _TARGET.match(url.get_secret_value()):
        raise ValueError
    return url


class Notify(BaseModel):
    """Targets of the notices, the events that they are told, and the dashboard they link to.

    The addresses are Apprise's, and secrets: each may be a reference to a vault.
    """

    model_config = FROZEN
    urls: tuple[Annotated[SecretStr, AfterValidator(_target)], ...] = Field(
        default=(), description='uma lista de endereços do Apprise, como ["mailtos://..."]'
    )
    urls_file: File = None
    on: tuple[Literal["failed", "late", "unusual", "ready"], ...] = Field(
        default=("failed", "late", "unusual"),
        description='uma lista de eventos: "failed", "late", "unusual", "ready"',
    )
    dashboard_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$")] | None = Field(
        default=None, description="o endereço do painel, como https://painel.example.com"
    )

    @property
    def configured(self) -> bool:
        """True if there is anywhere to send notices to."""
        return bool(self.urls or self.urls_file)

    def targets(self) -> tuple[str, ...]:
        """The addresses as configured; a file has one a line, "#" begins a comment.

        Raises ConfigError if the file cannot be read, others may read it, or it has no address.
        """
        if self.urls_file:
            text = read_secret(self.urls_file, "os endereços dos avisos (urls_file)")
            lines = (line.strip() for line in text.splitlines())
            urls = tuple(line for line in lines if line and not line.startswith("#"))
            if not urls:
                raise ConfigError(NO_ADDRESS, file=self.urls_file)
            return urls
        return tuple(url.get_secret_value() for url in self.urls)
