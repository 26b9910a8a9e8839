"""Model slots in flash, as firmware/core/slots.h specifies them: partitions, headers, and which slot to write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shrew.board.partitions import Partition
from shrew.errors import BoardError
from shrew.image.name import is_name

#: The header has its own sector, and the image follows.
SECTOR = 4096
HEADER_BYTES = 64

#: The firmware finds slots by type, subtype and label of their partitions.
LABELS = ("model_a", "model_b")
_DATA, _MODEL = 0x01, 0x40

_BODY = struct.Struct("<4sIIII32s8x")
_MAGIC, _VERSION = b"SHSL", 1


@dataclass(frozen=True)
class Record:
    """The contents of a valid header."""

    name: str
    bytes: int
    crc32: int
    sequence: int


@dataclass(frozen=True)
class Slot:
    number: int
    partition: Partition

    @property
    def room(self) -> int:
        """Size in bytes of the largest image that fits."""
        return max(self.partition.size - SECTOR, 0)


def slots_of(partitions: Sequence[Partition]) -> list[Slot]:
    by_label = {p.label: p for p in partitions if (p.type, p.subtype) == (_DATA, _MODEL)}
    return [Slot(number, by_label[label]) for number, label in enumerate(LABELS) if label in by_label]


def pack_header(record: Record) -> bytes:
    body = _BODY.pack(_MAGIC, _VERSION, record.sequence, record.bytes, record.crc32, record.name.encode())
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack_header(header: bytes, room: int) -> Record | None:
    """The record of a header; None if it is invalid or its image does not fit the slot."""
    body, checksum = header[: _BODY.size], int.from_bytes(header[_BODY.size :], "little")
    magic, version, sequence, size, crc32, raw_name = _BODY.unpack(body)
    if (magic, version, checksum) != (_MAGIC, _VERSION, zlib.crc32(body)):
        return None
    name = raw_name.split(b"\0")[0].decode("ascii", "replace")
    return Record(name, size, crc32, sequence) if size <= room and is_name(name) else None


def newest(records: Mapping[int, Record]) -> int | None:
    """The slot from which the device would load a model at start."""
    return max(records, key=lambda number: records[number].sequence, default=None)


def next_sequence(records: Mapping[int, Record]) -> int:
    """The sequence number that makes a model the newest."""
    return max((record.sequence for record in records.values()), default=0) + 1


def choose_slot(slots: Sequence[Slot], records: Mapping[int, Record], wanted: int | None) -> Slot:
    """The wanted slot, else an empty one, else the older. BoardError if there is none."""
    by_number = {slot.number: slot for slot in slots}
    if not slots:
        raise BoardError(
            "the board's partition table has no model partition (model_a, model_b: data, 0x40); "
            "write Shrew's firmware with --firmware"
        )
    if wanted is None:
        return min(slots, key=lambda slot: records[slot.number].sequence if slot.number in records else -1)
    if wanted not in by_number:
        raise BoardError(f"--slot {wanted}: the board's partition table has no partition {LABELS[wanted]}")
    return by_number[wanted]
