"""Ask a server for TLS as a client does, without a login and without trusting what it answers.

Explains a refused connection: PostgreSQL's request for TLS precedes the login, so that no password
is sent.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # SSLRequest of PostgreSQL's protocol
_ACCEPTED: Final = b"S"


@dataclass(frozen=True)
class Certificate:
    """The certificate that a server presents: who signed it, for which hosts, until when."""

    issuer: str
    hosts: tuple[str, ...]
    until: datetime


def certificate(host: str, port: int, seconds: float) -> Certificate | None:
    """The server's certificate, unverified; None if the server offers no TLS.

    Raises OSError if the server cannot be reached, or breaks the handshake off.
    """
    with socket.create_connection((host, port), timeout=seconds) as connection:
        connection.sendall(_REQUEST)
        if connection.recv(1) != _ACCEPTED:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(connection, server_hostname=host) as encrypted:
            presented = encrypted.getpeercert(binary_form=True) or b""
    return _parsed(presented)


def _parsed(presented: bytes) -> Certificate:
    try:
        parsed = x509.load_der_x509_certificate(presented)
        names = parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        issuer = str(names[0].value) if names else parsed.issuer.rfc4514_string()
        return Certificate(issuer, _hosts(parsed), parsed.not_valid_after_utc)
    except ValueError as exc:  # the server's own encoding: it is not trusted
        raise OSError from exc


def _hosts(parsed: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = parsed.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(extension, x509.SubjectAlternativeName)  # noqa: S101 by its OID
    return tuple(str(name.value) for name in extension)
