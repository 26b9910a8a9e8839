"""Images put together from any sections, right or wrong, for tests of what refuses them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_HEADER = struct.Struct("<4sIIII44x")
_SECTION = struct.Struct("<IIII")


def assemble(sections: Sequence[tuple[int, bool, bytes]]) -> bytes:
    """A file from (kind, required, content) sections in the order given: header, table, checksum."""
    table, body = b"", b""
    start = _HEADER.size + _SECTION.size * len(sections)
    for kind, required, content in sections:
        body += bytes(-(start + len(body)) % 64)
        table += _SECTION.pack(kind, int(required), start + len(body), len(content))
        body += content
    header = _HEADER.pack(b"SHRW", 1, start + len(body), 0, len(sections))
    return with_checksum(header + table + body)


def with_checksum(image: bytes) -> bytes:
    """The same image with the CRC-32 that belongs to it."""
    blank = image[:12] + bytes(4) + image[16:]
    return blank[:12] + struct.pack("<I", zlib.crc32(blank)) + blank[16:]
