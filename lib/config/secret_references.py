"""Resolve passwords that are stored elsewhere: `vault:PATH#KEY` and `service:NAME`.

Reads HashiCorp Vault's KV version 2 (with hvac and Vault's own environment variables) and libpq's
service file. Any other text is the password itself. Messages never repeat a secret, a token or a
server's response.
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

from lib.config.file_permissions import read_secret, require_unchangeable
from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    import hvac

VAULT: Final = "vault:"
SERVICE: Final = "service:"
CACHE_SECONDS: Final = 60.0
"""Lifetime of a cached secret; a changed password takes effect within it."""

_TIMEOUT_SECONDS: Final = 5
_LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
BAD_REFERENCE: Final = (
    "Uma senha do cofre tem a forma vault:CAMINHO#CHAVE, como vault:secret/agregador#senha; "
    "confira password."
)
NO_ADDRESS: Final = (
    "A senha está no cofre, mas falta o endereço dele: defina VAULT_ADDR, com https."
)
NO_ACCESS: Final = "A senha está no cofre, mas falta o acesso a ele: defina VAULT_TOKEN ou {file}."
FORBIDDEN: Final = (
    "O cofre recusou o acesso a {path}: confira o token (VAULT_TOKEN) e a política dele."
)
NOT_THERE: Final = "O cofre não tem {path}, ou ele foi apagado: confira o caminho (motor KV 2)."
NO_KEY: Final = "O segredo {path} do cofre não tem a chave {key} com um texto: confira password."
VAULT_DOWN: Final = (
    "O cofre em {host} não respondeu como deve: confira VAULT_ADDR, o certificado (VAULT_CACERT) "
    "e se ele está aberto."
)
NO_SERVICE: Final = "O arquivo de serviços {file} não tem a senha do serviço {name}."
BAD_SERVICES: Final = "O arquivo de serviços {file} tem um erro de sintaxe."

_lock: Final = threading.Lock()
_cache: Final[dict[tuple[str, str], tuple[float, str]]] = {}


def resolve(value: str) -> str:
    """Return the password: ``value`` itself, or the one it refers to. Raises ConfigError."""
    if value.startswith(VAULT):
        return _from_vault(value.removeprefix(VAULT))
    if value.startswith(SERVICE):
        return _from_service(value.removeprefix(SERVICE))
    return value


def _from_vault(reference: str) -> str:
    path, _, key = reference.partition("#")
    mount, _, name = path.strip("/").partition("/")
    if not (mount and name and key):
        raise ConfigError(BAD_REFERENCE)
    with _lock:
        address = _address()
        moment, secret = _cache.get((address, reference), (0.0, ""))
        if not secret or time.monotonic() - moment > CACHE_SECONDS:
            secret = _read_vault(address, mount, name, key)
            _cache[address, reference] = (time.monotonic(), secret)
        return secret


def _address() -> str:
    address = os.environ.get("VAULT_ADDR", "")
    parts = urlsplit(address)
    secure = parts.scheme == "https" or (
        parts.scheme == "http" and _LOOPBACK.fullmatch(parts.hostname or "")
    )
    if not (secure and parts.hostname):
        raise ConfigError(NO_ADDRESS)
    return address


def _read_vault(address: str, mount: str, name: str, key: str) -> str:
    # The import takes half a second: only configurations with a vault pay for it.
    import hvac.exceptions
    import requests

    path = f"{mount}/{name}"
    client = _client(address)
    try:
        answer = client.secrets.kv.v2.read_secret_version(
            name, mount_point=mount, raise_on_deleted_version=True
        )
        secret = answer["data"]["data"].get(key)
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
        raise ConfigError(FORBIDDEN, path=path) from None
    except hvac.exceptions.InvalidPath:
        raise ConfigError(NOT_THERE, path=path) from None
    # Raised without the cause: a request's own message may carry the token.
    except (
        hvac.exceptions.VaultError,
        requests.RequestException,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):
        raise ConfigError(VAULT_DOWN, host=urlsplit(address).hostname) from None
    finally:
        client.adapter.close()
    if not isinstance(secret, str) or not secret:
        raise ConfigError(NO_KEY, path=path, key=key)
    return secret


def _client(address: str) -> hvac.Client:
    import hvac

    file = _home() / ".vault-token"
    token = os.environ.get("VAULT_TOKEN") or (
        read_secret(file, "o token do cofre").strip() if file.exists() else ""
    )
    if not token:
        raise ConfigError(NO_ACCESS, file=file)
    authorities = os.environ.get("VAULT_CACERT")
    if authorities:
        require_unchangeable(Path(authorities), "os certificados do cofre (VAULT_CACERT)")
    return hvac.Client(
        url=address,
        token=token,
        verify=authorities or True,
        namespace=os.environ.get("VAULT_NAMESPACE"),
        timeout=_TIMEOUT_SECONDS,
        # A redirect would send the token to any address that the response names.
        allow_redirects=False,
    )


def _from_service(name: str) -> str:
    file = Path(os.environ.get("PGSERVICEFILE") or _home() / ".pg_service.conf")
    services = configparser.RawConfigParser(strict=False)
    text = read_secret(file, "o arquivo de serviços")
    try:
        services.read_string(text)
    except configparser.Error:
        raise ConfigError(BAD_SERVICES, file=file) from None
    password = services.get(name, "password", fallback="")
    if not password:
        raise ConfigError(NO_SERVICE, file=file, name=name)
    return password


def _home() -> Path:
    """The home folder; for an account without one, a folder that does not exist."""
    return Path(os.path.expanduser("~"))
