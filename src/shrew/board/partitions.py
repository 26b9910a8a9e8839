"""ESP-IDF's partition table, in the binary form that the boot loader reads from flash."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from shrew.errors import BoardError

TABLE_OFFSET = 0x8000
TABLE_BYTES = 0xC00

_ROW = struct.Struct("<2sBBII16sI")
_MAGIC, _MD5_MAGIC, _END = b"\xaa\x50", b"\xeb\xeb" + b"\xff" * 14, b"\xff" * _ROW.size


@dataclass(frozen=True)
class Partition:
    label: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def parse_table(table: bytes, source: str) -> list[Partition]:
    """Parses a table and checks its MD5, if any. BoardError, which names ``source``, if it is missing or bad."""
    partitions: list[Partition] = []
    for at in range(0, min(len(table), TABLE_BYTES) - _ROW.size + 1, _ROW.size):
        row = table[at : at + _ROW.size]
        if row == _END:
            break
        if row.startswith(_MD5_MAGIC):
            if hashlib.md5(table[:at]).digest() != row[16:]:
                raise BoardError(f"{source}: the partition table is damaged, its MD5 is another; {_REMEDY}")
            continue
        magic, type_, subtype, offset, size, label, _ = _ROW.unpack(row)
        if magic != _MAGIC:
            what = "the partition table is damaged" if partitions else "there is no partition table"
            raise BoardError(f"{source}: {what} at {TABLE_OFFSET:#x}; {_REMEDY}")
        name = label.split(b"\0")[0].decode("utf-8", "replace")
        partitions.append(Partition(name, type_, subtype, offset, size))
    if not partitions:
        raise BoardError(f"{source}: there is no partition table at {TABLE_OFFSET:#x}; {_REMEDY}")
    return partitions


_REMEDY = "write Shrew's firmware with --firmware"
