"""Read archives back through zipfile, those beyond 4 GiB included."""

from __future__ import annotations

import itertools
import struct
import zipfile
from io import BytesIO
from pathlib import Path

from isal import isal_zlib

from lib.reports import zip_archive

END = b"</x>"
BLOCK = bytes(64 << 20)
LAST = zip_archive.compress(END, last=True)


def test_the_pieces_of_an_entry_join_to_its_content() -> None:
    file = BytesIO()
    parts = [b"<x>", b"a" * 100_000, b"", "é".encode()]
    pieces = [zip_archive.compress(part, last=False) for part in parts]
    zip_archive.write(file, [("a/b.xml", [*pieces, LAST]), ("c", [LAST])])
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["a/b.xml", "c"]
        assert archive.read("a/b.xml") == b"".join(parts) + END
        assert archive.read("c") == END


def test_the_same_content_gives_the_same_bytes() -> None:
    first, second = BytesIO(), BytesIO()
    for file in (first, second):
        zip_archive.write(file, [("a", [zip_archive.compress(b"x" * 999, last=True)])])
    assert first.getvalue() == second.getvalue()


def test_an_entry_beyond_4_gib_has_its_sizes_in_both_headers(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    block = zip_archive.compress(BLOCK, last=False)
    with path.open("wb") as file:
        entries = [("large", [*itertools.repeat(block, 65), LAST]), ("small", [LAST])]
        zip_archive.write(file, entries)
    crc = 0
    for content in (*itertools.repeat(BLOCK, 65), END):
        crc = isal_zlib.crc32(content, crc)
    with zipfile.ZipFile(path) as archive:
        large, small = archive.infolist()
        assert (large.file_size, large.CRC) == (65 * len(BLOCK) + len(END), crc)
        assert large.compress_size == 65 * len(block.data) + len(LAST.data)
        assert (large.extract_version, small.extract_version) == (45, 20)
        assert archive.read("small") == END
    with path.open("rb") as file:
        header = file.read(55)
    assert header[4] == 45
    sizes = struct.pack("<2H2Q", 1, 16, large.file_size, large.compress_size)
    assert header[35:] == sizes


def test_an_archive_beyond_4_gib_has_a_64_bit_directory(tmp_path: Path) -> None:
    path = tmp_path / "far.zip"
    with path.open("wb") as file:
        file.seek(5 << 30)  # a hole, which takes no space
        zip_archive.write(file, [("a", [LAST]), ("b", [LAST])])
    with zipfile.ZipFile(path) as archive:
        assert min(entry.header_offset for entry in archive.infolist()) == 5 << 30
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == [END, END]
