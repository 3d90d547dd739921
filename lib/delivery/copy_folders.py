"""The folders that get copies of a report: on this machine, or by SFTP, S3 or SMB.

Each takes a file under a temporary name where the protocol can rename, reads it back and puts it in
place. Loads the library of a protocol when a folder of it is opened. Decides nothing about copies.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import posixpath
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from lib.config.copy_target import S3, SFTP
from lib.domain import file_system
from lib.domain.errors import CopyError

if TYPE_CHECKING:
    from lib.config.copy_target import CopyTarget
    from lib.config.delivery_settings import CopyAccess

Pulse = Callable[[], None]
"""Called at each step of a transfer; raises to end it."""

MISSING_PACKAGE: Final = (
    "A cópia em {target} não foi feita: falta o pacote {package}; instale o que está em "
    "requirements-remote.txt."
)
NO_FOLDER: Final = "A cópia em {target} não foi feita: a pasta não existe; crie-a."
NO_KNOWN_HOSTS: Final = (
    "A cópia em {target} não foi feita: falta a chave do servidor em {file}; peça-a ao "
    "administrador dele e registre-a ali."
)

CONNECT_SECONDS: Final = 15
_BLOCK: Final = 1 << 20
_PART: Final = 8 << 20


class Folder(Protocol):
    """A folder of copies. ``renames`` is false where a file appears whole, or not at all."""

    renames: bool

    def require(self) -> None:
        """Raise CopyError if the folder does not exist."""

    def files(self) -> dict[str, float]:
        """The moments of modification of its files by name."""

    def write(self, source: Path, name: str, private: bool, pulse: Pulse) -> None:
        """Write a file of this name, its owner's alone if private and if there are modes."""

    def digest(self, name: str, pulse: Pulse) -> str:
        """The SHA-256 of the file as it is read back."""

    def replace(self, name: str, final: str) -> None:
        """Rename the file over the one of the final name, if there is one."""

    def remove(self, name: str) -> None:
        """Remove the file."""

    def close(self) -> None:
        """End the connection."""


def opened(target: CopyTarget, access: CopyAccess, *, encrypted: bool) -> Folder:
    """Connect to the folder; ``encrypted`` where the protocol may go without.

    Raises CopyError, ConfigError, or an error of the protocol's library.
    """
    if not target.scheme:
        return _Local(target)
    user = target.user or access.user
    password = target.password or access.secret()
    if target.scheme == SFTP:
        return _Sftp(target, access, user, password)
    if target.scheme == S3:
        return _S3(target, access, user, password)
    return _Smb(target, user, password, encrypted)


class _Local:
    renames = True

    def __init__(self, target: CopyTarget) -> None:
        self._target = target
        self._path = Path(target.path)

    def require(self) -> None:
        if not self._path.is_dir():
            raise CopyError(NO_FOLDER, target=self._target.label)

    def files(self) -> dict[str, float]:
        with os.scandir(self._path) as entries:
            return {e.name: e.stat().st_mtime for e in entries if e.is_file(follow_symlinks=False)}

    def write(self, source: Path, name: str, private: bool, pulse: Pulse) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        mode = 0o600 if private else 0o666
        with os.fdopen(os.open(self._path / name, flags, mode), "wb") as file:
            _send(source, file, pulse)
            file.flush()
            file_system.flush(file.fileno())

    def digest(self, name: str, pulse: Pulse) -> str:
        with (self._path / name).open("rb") as file:
            return _digest(file, pulse)

    def replace(self, name: str, final: str) -> None:
        os.replace(self._path / name, self._path / final)
        file_system.flush_folder(self._path)

    def remove(self, name: str) -> None:
        (self._path / name).unlink()

    def close(self) -> None:
        pass


class _Sftp:
    renames = True

    def __init__(
        self, target: CopyTarget, access: CopyAccess, user: str | None, password: str | None
    ) -> None:
        sshfs = _imported(target, "sshfs")
        self._asyn = _quiet_loop(target)
        self._errors = _imported(target, "asyncssh")
        self._target = target
        known_hosts = access.host_keys()
        # Without this file the library would accept any server.
        if not known_hosts.is_file():
            raise CopyError(NO_KNOWN_HOSTS, target=target.label, file=known_hosts)
        keys: dict[str, Any] = {}
        if access.key_file:
            keys = {"client_keys": [str(access.key_file)], "passphrase": password}
        elif password is not None:
            keys = {"client_keys": None, "password": password}
        self._fs = sshfs.SSHFileSystem(
            target.host,
            port=target.port or 22,
            known_hosts=str(known_hosts),
            config=None,  # nor what ~/.ssh/config says
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            skip_instance_cache=True,
            **({"username": user} if user else {}),
            **keys,
        )
        self._sftp = self._call(self._fs.client.start_sftp_client)

    def require(self) -> None:
        try:
            is_folder = self._call(self._sftp.isdir, self._target.path)
        except FileNotFoundError:
            is_folder = False
        if not is_folder:
            raise CopyError(NO_FOLDER, target=self._target.label)

    def files(self) -> dict[str, float]:
        entries = self._fs.ls(self._target.path, detail=True)
        return {
            posixpath.basename(entry["name"]): entry["mtime"].timestamp() if entry["mtime"] else 0.0
            for entry in entries
            if entry["type"] == "file"
        }

    def write(self, source: Path, name: str, private: bool, pulse: Pulse) -> None:
        path = self._at(name)
        with closing(self._fs.open(path, "wb")) as file:
            if private:  # while it is empty; some servers know no modes
                with suppress(self._errors.SFTPError):
                    self._call(self._sftp.chmod, path, 0o600)
            _send(source, file, pulse)

    def digest(self, name: str, pulse: Pulse) -> str:
        with closing(self._fs.open(self._at(name), "rb")) as file:
            return _digest(file, pulse)

    def replace(self, name: str, final: str) -> None:
        try:
            self._call(self._sftp.posix_rename, self._at(name), self._at(final))
        except self._errors.SFTPOpUnsupported:  # then a name in use cannot be renamed to
            with suppress(self._errors.SFTPNoSuchFile):
                self._call(self._sftp.remove, self._at(final))
            self._call(self._sftp.rename, self._at(name), self._at(final))

    def remove(self, name: str) -> None:
        self._call(self._sftp.remove, self._at(name))

    def close(self) -> None:
        self._fs.loop.call_soon_threadsafe(self._fs.client.abort)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._asyn.sync(self._fs.loop, function, *arguments)

    def _at(self, name: str) -> str:
        return posixpath.join(self._target.path, name)


class _S3:
    renames = False

    def __init__(
        self, target: CopyTarget, access: CopyAccess, user: str | None, password: str | None
    ) -> None:
        s3fs = _imported(target, "s3fs")
        _quiet_loop(target)
        self._callbacks = _imported(target, "fsspec.callbacks")
        self._target = target
        timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": 2 * CONNECT_SECONDS}
        self._fs = s3fs.S3FileSystem(
            key=user,
            secret=password,
            endpoint_url=access.endpoint_url,
            config_kwargs={**timeouts, "retries": {"max_attempts": 1}},
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        self._fs.retries = 1

    def require(self) -> None:
        try:
            self._fs.call_s3("head_bucket", Bucket=self._target.host)
        except FileNotFoundError as problem:
            raise CopyError(NO_FOLDER, target=self._target.label) from problem
        except PermissionError:  # it may still be allowed to write
            pass

    def files(self) -> dict[str, float]:
        try:
            entries = self._fs.ls(self._at("").rstrip("/"), detail=True, refresh=True)
        except FileNotFoundError:  # a folder begins to exist with its first file
            return {}
        return {
            posixpath.basename(entry["name"]): entry["LastModified"].timestamp()
            for entry in entries
            if entry["type"] == "file"
        }

    def write(self, source: Path, name: str, private: bool, pulse: Pulse) -> None:
        callback = self._callbacks.Callback(hooks={"pulse": lambda *_, **__: pulse()})
        self._fs.put_file(str(source), self._at(name), chunksize=_PART, callback=callback)

    def digest(self, name: str, pulse: Pulse) -> str:
        with self._fs.open(self._at(name), "rb", block_size=_PART) as file:
            return _digest(file, pulse)

    def replace(self, name: str, final: str) -> None:
        self._fs.cp_file(self._at(name), self._at(final))

    def remove(self, name: str) -> None:
        self._fs.rm_file(self._at(name))

    def close(self) -> None:
        pass

    def _at(self, name: str) -> str:
        return posixpath.join(self._target.host, self._target.path.strip("/"), name)


class _Smb:
    renames = True

    def __init__(
        self, target: CopyTarget, user: str | None, password: str | None, encrypted: bool
    ) -> None:
        self._client = _imported(target, "smbclient", "smbprotocol")
        smb = _imported(target, "fsspec.implementations.smb", "smbprotocol")
        self._target = target
        self._port = target.port or 445
        self.close()  # a connection that another attempt has left may be broken
        self._fs = smb.SMBFileSystem(
            target.host,
            port=self._port,
            username=user and user.replace(";", "\\"),
            password=password,
            timeout=CONNECT_SECONDS,
            encrypt=True if encrypted else None,
            register_session_retries=0,
            skip_instance_cache=True,
        )

    def require(self) -> None:
        if not self._fs.isdir(self._target.path):
            raise CopyError(NO_FOLDER, target=self._target.label)

    def files(self) -> dict[str, float]:
        entries = self._client.scandir(self._unc(""), port=self._port)
        return {
            entry.name: entry.smb_info.last_write_time.timestamp()
            for entry in entries
            if entry.is_file()
        }

    def write(self, source: Path, name: str, private: bool, pulse: Pulse) -> None:
        with self._fs.open(self._at(name), "wb") as file:
            _send(source, file, pulse)

    def digest(self, name: str, pulse: Pulse) -> str:
        with self._fs.open(self._at(name), "rb") as file:
            return _digest(file, pulse)

    def replace(self, name: str, final: str) -> None:
        self._client.replace(self._unc(name), self._unc(final), port=self._port)

    def remove(self, name: str) -> None:
        self._client.remove(self._unc(name), port=self._port)

    def close(self) -> None:
        with suppress(Exception):
            self._client.delete_session(self._target.host, port=self._port)

    def _at(self, name: str) -> str:
        return posixpath.join(self._target.path, name)

    def _unc(self, name: str) -> str:
        path = self._at(name).rstrip("/").replace("/", "\\")
        return f"\\\\{self._target.host}{path}"


def _imported(target: CopyTarget, module: str, package: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        name = package or module.partition(".")[0]
        raise CopyError(MISSING_PACKAGE, target=target.label, package=name) from problem


def _quiet_loop(target: CopyTarget) -> Any:
    """The module of the libraries' event loop, which shall not print what nobody waits for."""
    asyn = _imported(target, "fsspec.asyn")
    asyn.get_loop().set_exception_handler(lambda loop, context: None)
    return asyn


def _send(source: Path, file: Any, pulse: Pulse) -> None:
    with source.open("rb") as content:
        while block := content.read(_BLOCK):
            pulse()
            file.write(block)


def _digest(file: BinaryIO, pulse: Pulse) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        pulse()
        digest.update(block)
    return digest.hexdigest()
