"""Write a zip archive from content that is compressed in pieces, on any thread.

Owns the records of the format (PKWARE APPNOTE 6.3). Local headers hold the final sizes and
nothing follows the data, because Excel reads no other form of zip64. Knows no workbook.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

from isal import isal_zlib

# Level 1 is as fast as 0 and a fifth smaller; 3 takes twice as long for a twentieth less.
_LEVEL: Final = 1
_DEFLATED: Final = 8
# The first day of the format: the same rows give the same bytes.
_TIME, _DATE = 0, 1 << 5 | 1
_VERSION, _ZIP64_VERSION = 20, 45
_MAX_32, _MAX_16 = 0xFFFF_FFFF, 0xFFFF

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_ZIP64_END: Final = struct.Struct("<4sQ2H2I4Q")
_ZIP64_LOCATOR: Final = struct.Struct("<4sIQI")
_ZIP64_SIZES: Final = struct.Struct("<2H2Q")
_ZIP64_PLACE: Final = struct.Struct("<2H3Q")
# Reserves the size of _ZIP64_SIZES: the growth hint that ECMA-376 part 2 defines for packages.
_GROWTH_HINT: Final = struct.pack("<4H12x", 0xA220, 16, 0xA028, 12)


@dataclass(frozen=True)
class Piece:
    """Compressed content, with the length and the CRC-32 of the uncompressed content."""

    data: bytes
    size: int
    crc: int


def compress(content: bytes | memoryview, *, last: bool) -> Piece:
    """Compress one piece of an entry; the pieces of an entry form one deflate stream."""
    stream = isal_zlib.compressobj(_LEVEL, wbits=-isal_zlib.MAX_WBITS)
    ending = isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH
    data = stream.compress(content) + stream.flush(ending)
    return Piece(data, len(content), isal_zlib.crc32(content))


def write(file: BinaryIO, entries: Iterable[tuple[str, Iterable[Piece]]]) -> None:
    """Write the entries, names in ASCII, in their order to a seekable file. Raises OSError."""
    directory = [_write_entry(file, name.encode("ascii"), pieces) for name, pieces in entries]
    start, count = file.tell(), len(directory)
    size = file.write(b"".join(directory))
    if start >= _MAX_32 or size >= _MAX_32 or count >= _MAX_16:
        versions = (_ZIP64_VERSION, _ZIP64_VERSION)
        file.write(
            _ZIP64_END.pack(b"PK\6\6", 44, *versions, 0, 0, count, count, size, start)
            + _ZIP64_LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
        )
        count, size, start = _MAX_16, _MAX_32, _MAX_32
    file.write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))


def _write_entry(file: BinaryIO, name: bytes, pieces: Iterable[Piece]) -> bytes:
    """Write one entry and return its record for the central directory."""
    start = file.tell()
    crc = size = compressed = 0
    file.write(bytes(_LOCAL.size) + name + _GROWTH_HINT)
    for piece in pieces:
        crc = isal_zlib.crc32_combine(crc, piece.crc, piece.size)
        size += piece.size
        compressed += file.write(piece.data)
    end = file.tell()

    zip64 = max(start, size, compressed) >= _MAX_32
    version = _ZIP64_VERSION if zip64 else _VERSION
    sizes = (_MAX_32, _MAX_32) if zip64 else (compressed, size)
    shared = (version, 0, _DEFLATED, _TIME, _DATE, crc, *sizes, len(name))
    hint = _ZIP64_SIZES.pack(1, 16, size, compressed) if zip64 else _GROWTH_HINT
    file.seek(start)
    file.write(_LOCAL.pack(b"PK\3\4", *shared, len(hint)) + name + hint)
    file.seek(end)
    place = _ZIP64_PLACE.pack(1, 24, size, compressed, start) if zip64 else b""
    offset = _MAX_32 if zip64 else start
    record = _CENTRAL.pack(b"PK\1\2", version, *shared, len(place), 0, 0, 0, 0, offset)
    return record + name + place
