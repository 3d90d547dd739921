"""Where a copy of a report goes: a folder of this machine, or one reached by SFTP, S3 or SMB.

Parses what is configured. A password in an address is read, and never shown again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

SFTP: Final = "sftp"
S3: Final = "s3"
SMB: Final = "smb"
SCHEMES: Final = (SFTP, S3, SMB)
_HOME: Final = "/~/"


@dataclass(frozen=True)
class CopyTarget:
    """A folder; ``scheme`` is empty for one of this machine.

    ``host`` is the bucket of S3. ``path`` of SMB begins with the share; of SFTP it is relative to
    the login's home where it has no leading slash.
    """

    path: str
    scheme: str = ""
    host: str = ""
    port: int | None = None
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """Scheme, host and folder: all that is shown, logged and recorded."""
        if not self.scheme:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        path = self.path if self.path.startswith("/") else f"{_HOME}{self.path}"
        return f"{self.scheme}://{host}{port}{path.rstrip('/')}"


def parse(text: str, root: Path) -> CopyTarget:
    """Parse a path, relative to ``root``, or an address. Raises ValueError."""
    if "://" not in text:
        if not text or not text.isprintable():
            raise ValueError
        return CopyTarget(str(root / text))
    parts = urlsplit(text)
    path = unquote(parts.path)
    host = parts.hostname or ""
    invalid = parts.query or parts.fragment or not host or not f"{host}{path}".isprintable()
    if parts.scheme not in SCHEMES or invalid:
        raise ValueError
    if parts.scheme == SMB and not path.strip("/"):  # it has no share
        raise ValueError
    if parts.scheme == S3:
        host = parts.netloc.rpartition("@")[2]  # a bucket has no port, and older ones capitals
    if parts.scheme == SFTP and path.startswith(_HOME):
        path = path.removeprefix(_HOME) or "."
    return CopyTarget(
        path if path in ("/", ".") else path.rstrip("/") or "/",
        parts.scheme,
        host,
        None if parts.scheme == S3 else parts.port,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )
