"""Firmware built by ESP-IDF: a build folder, or one merged binary."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shrew.board.partitions import TABLE_BYTES, TABLE_OFFSET, Partition, parse_table
from shrew.errors import BoardError

#: Chips by their number in the header of a firmware image, at byte 12.
CHIP_IDS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 13: "ESP32-C6", 16: "ESP32-H2", 18: "ESP32-P4"}

_IMAGE_MAGIC = b"\xe9"
#: Offsets in flash at which chips look for their boot loader.
_BOOT_LOADERS = (0x0, 0x1000, 0x2000)
_MB = 1 << 20


@dataclass(frozen=True)
class Part:
    """Bytes and their offset in flash."""

    name: str
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass(frozen=True)
class Firmware:
    source: str
    parts: tuple[Part, ...]
    chip: str
    """Name of the chip, as in esptool."""
    flash_bytes: int
    """Size of the flash that it was built for."""
    partitions: tuple[Partition, ...]


def read_firmware(path: Path) -> Firmware:
    """Reads a build folder, by its flasher_args.json, or a merged binary. BoardError if it is invalid."""
    parts = _read_folder(path) if path.is_dir() else (Part(path.name, 0, _read(path)),)
    boot = next((image for offset in _BOOT_LOADERS if (image := _bytes_at(parts, offset, 16))[:1] == _IMAGE_MAGIC), b"")
    table = _bytes_at(parts, TABLE_OFFSET, TABLE_BYTES)
    if not boot or not table:
        raise BoardError(
            f"{path}: not a whole firmware, with boot loader and partition table; "
            "name the build folder, or the file that `idf.py merge-bin` makes"
        )
    chip = int.from_bytes(boot[12:14], "little")
    return Firmware(
        source=str(path),
        parts=parts,
        chip=CHIP_IDS.get(chip, f"chip number {chip}"),
        flash_bytes=_MB << (boot[3] >> 4),
        partitions=tuple(parse_table(table, str(path))),
    )


def _read_folder(folder: Path) -> tuple[Part, ...]:
    listing = folder / "flasher_args.json"
    if not listing.exists():
        raise BoardError(f"{folder}: no flasher_args.json in it; name ESP-IDF's build folder, after `make firmware`")
    try:
        files = {int(offset, 0): str(name) for offset, name in json.loads(_read(listing))["flash_files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BoardError(f"{listing}: not what ESP-IDF writes; build the firmware again") from error
    return tuple(Part(Path(name).name, offset, _read(folder / name)) for offset, name in sorted(files.items()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror or error}") from error


def _bytes_at(parts: tuple[Part, ...], offset: int, count: int) -> bytes:
    """Up to ``count`` bytes at an offset, from the part that covers it."""
    for part in parts:
        if part.offset <= offset < part.end:
            return part.data[offset - part.offset :][:count]
    return b""
