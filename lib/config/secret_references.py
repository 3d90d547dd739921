"""Passwords that are kept elsewhere: what `vault:PATH#KEY` and `service:NAME` stand for.

Owns HashiCorp Vault's KV version 2 (through hvac, by Vault's own environment variables) and
libpq's service file. Any other text is the password itself. Never repeats a secret, a token or
what a server said.
"""

from __future__ import annotations

import configparser
import os
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lib.config.file_permissions import read_secret
from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    import hvac

VAULT: Final = "vault:"
SERVICE: Final = "service:"
KEPT_SECONDS: Final = 60.0
"""How long an answer of the vault is good for; a changed password is found that soon."""

_TIMEOUT_SECONDS: Final = 5
_LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
_BAD_REFERENCE: Final = (
    "Uma senha do cofre se escreve vault:CAMINHO#CHAVE, como vault:secret/agregador#senha; "
    "confira password."
)
_NO_ADDRESS: Final = (
    "A senha está no cofre, mas falta o endereço dele: defina VAULT_ADDR, com https."
)
_NO_ACCESS: Final = "A senha está no cofre, mas falta o acesso a ele: defina VAULT_TOKEN ou {file}."
_FORBIDDEN: Final = (
    "O cofre recusou o acesso a {path}: confira o token (VAULT_TOKEN) e a política dele."
)
_NOT_THERE: Final = "O cofre não tem {path}, ou ele foi apagado: confira o caminho (motor KV 2)."
_NO_KEY: Final = "O segredo {path} do cofre não tem a chave {key} com um texto: confira password."
_VAULT_DOWN: Final = (
    "O cofre em {host} não respondeu como deve: confira VAULT_ADDR, o certificado (VAULT_CACERT) "
    "e se ele está aberto."
)
_NO_SERVICE: Final = "O arquivo de serviços {file} não tem a senha do serviço {name}."
_BAD_SERVICES: Final = "O arquivo de serviços {file} tem um erro de sintaxe."

_lock: Final = threading.Lock()
_kept: Final[dict[tuple[str, str], tuple[float, str]]] = {}


def resolve(value: str) -> str:
    """The password that ``value`` is or stands for. Raises ConfigError."""
    if value.startswith(VAULT):
        return _from_vault(value.removeprefix(VAULT))
    if value.startswith(SERVICE):
        return _from_service(value.removeprefix(SERVICE))
    return value


def forget() -> None:
    """Ask the vault anew at the next question."""
    with _lock:
        _kept.clear()


def _from_vault(reference: str) -> str:
    path, _, key = reference.partition("#")
    mount, _, name = path.strip("/").partition("/")
    if not (mount and name and key):
        raise ConfigError(_BAD_REFERENCE)
    with _lock:
        asked = (_address(), reference)
        moment, kept = _kept.get(asked, (0.0, ""))
        if not kept or time.monotonic() - moment > KEPT_SECONDS:
            kept = _ask(asked[0], mount, name, key)
            _kept[asked] = (time.monotonic(), kept)
        return kept


def _address() -> str:
    address = os.environ.get("VAULT_ADDR", "")
    parts = urlsplit(address)
    secure = parts.scheme == "https" or (
        parts.scheme == "http" and _LOOPBACK.fullmatch(parts.hostname or "")
    )
    if not (secure and parts.hostname):
        raise ConfigError(_NO_ADDRESS)
    return address


def _ask(address: str, mount: str, name: str, key: str) -> str:
    # Half a second to import, which only those with a vault pay.
    import hvac.exceptions
    import requests

    path = f"{mount}/{name}"
    client = _client(address)
    try:
        answer = client.secrets.kv.v2.read_secret_version(
            name, mount_point=mount, raise_on_deleted_version=True
        )
        found = answer["data"]["data"].get(key)
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
        raise ConfigError(_FORBIDDEN, path=path) from None
    except hvac.exceptions.InvalidPath:
        raise ConfigError(_NOT_THERE, path=path) from None
    # Without the cause: a request's own words may carry the token.
    except (
        hvac.exceptions.VaultError,
        requests.RequestException,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):
        host = urlsplit(address).hostname
        raise ConfigError(_VAULT_DOWN, host=host) from None
    finally:
        client.adapter.close()
    if not isinstance(found, str) or not found:
        raise ConfigError(_NO_KEY, path=path, key=key)
    return found


def _client(address: str) -> hvac.Client:
    import hvac

    file = Path.home() / ".vault-token"
    token = os.environ.get("VAULT_TOKEN") or (
        read_secret(file, "o token do cofre").strip() if file.exists() else ""
    )
    if not token:
        raise ConfigError(_NO_ACCESS, file=file)
    return hvac.Client(
        url=address,
        token=token,
        verify=os.environ.get("VAULT_CACERT") or True,
        namespace=os.environ.get("VAULT_NAMESPACE"),
        timeout=_TIMEOUT_SECONDS,
        # A redirect would take the token to whatever address the answer names.
        allow_redirects=False,
    )


def _from_service(name: str) -> str:
    file = Path(os.environ.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf")
    services = configparser.RawConfigParser(strict=False)
    text = read_secret(file, "o arquivo de serviços")
    try:
        services.read_string(text)
    except configparser.Error:
        raise ConfigError(_BAD_SERVICES, file=file) from None
    password = services.get(name, "password", fallback="")
    if not password:
        raise ConfigError(_NO_SERVICE, file=file, name=name)
    return password
