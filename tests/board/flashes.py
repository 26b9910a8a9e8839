"""The contents of a board's flash before a test, and how the firmware's own C code reads it afterwards."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from board.emulated import Flash

from firmware.core import ffi, lib
from shrew.board.slots import LABELS, SECTOR

#: Made by gen_esp32part.py of ESP-IDF 5.5.1 from firmware/flash/4mb.csv, without the rows of 0xff at its end.
TABLE = bytes.fromhex(
    "aa50010200900000006000006e76730000000000000000000000000000000000"
    "aa50010100f00000001000007068795f696e6974000000000000000000000000"
    "aa5000000000010000001800666163746f727900000000000000000000000000"
    "aa50014000001900000013006d6f64656c5f6100000000000000000000000000"
    "aa50014000002c00000013006d6f64656c5f6200000000000000000000000000"
    "ebebffffffffffffffffffffffffffffcdf34a1dee2d7ca215ad96dd6fda2f63"
).ljust(0xC00, b"\xff")
SLOTS = {"model_a": 0x190000, "model_b": 0x2C0000}
SLOT_BYTES = 0x130000
ROOM = SLOT_BYTES - SECTOR

CHIP_NUMBERS = {"ESP32": 0, "ESP32-S3": 9, "ESP32-C3": 5}
FLASH_CODES = {4 << 20: 2, 8 << 20: 3, 16 << 20: 4}


def boot_loader(chip: str = "ESP32-S3", flash_bytes: int = 4 << 20) -> bytes:
    """The header of a firmware image (ESP-IDF's esp_image_header_t), and some bytes after it."""
    speed_and_size = FLASH_CODES[flash_bytes] << 4 | 0xF
    header = struct.pack("<BBBBIB3BH9xB", 0xE9, 0, 2, speed_and_size, 0, 0xEE, 0, 0, 0, CHIP_NUMBERS[chip], 0)
    return header + bytes(range(100))


def build_folder(folder: Path, chip: str = "ESP32-S3", flash_bytes: int = 4 << 20, table: bytes = TABLE) -> Path:
    """The files of an ESP-IDF build folder that are flashed."""
    files = {
        "0x0": ("bootloader/bootloader.bin", boot_loader(chip, flash_bytes)),
        "0x8000": ("partition_table/partition-table.bin", table),
        "0x10000": ("shrew.bin", bytes(range(256)) * 300),
    }
    for name, data in files.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    listing = {"flash_files": {offset: name for offset, (name, _) in files.items()}}
    (folder / "flasher_args.json").write_text(json.dumps(listing))
    return folder


class Device:
    """The slots after a reset: firmware/core/slots.c on the bytes of a flash."""

    def __init__(self, flash: Flash) -> None:
        self._parts = [memoryview(flash.bytes)[SLOTS[label] :][:SLOT_BYTES] for label in LABELS]
        self._mapped: dict[int, Any] = {}
        self._callbacks = {
            "read": ffi.callback("int(void *, int, uint32_t, void *, uint32_t)", self._read),
            "erase": ffi.callback("int(void *, int, uint32_t, uint32_t)", self._erase),
            "write": ffi.callback("int(void *, int, uint32_t, const void *, uint32_t)", self._write),
            "map": ffi.callback("const void *(void *, int, uint32_t, uint32_t)", self._map),
            "unmap": ffi.callback("void(void *, int)", lambda _, slot: None),
            "mappable": ffi.callback("uint32_t(void *)", lambda _: 1 << 30),
        }
        fields = {"bytes": [SLOT_BYTES] * 2, "sector": SECTOR, "block": 65536}
        self._flash = ffi.new("slots_flash *", {**fields, **self._callbacks})
        self.slots = ffi.new("slots *")
        lib.fw_slots_open(self.slots, self._flash)

    def boot(self, name: str = "") -> str | None:
        """The model that the device loads at start if ``name`` was loaded last, after validating its whole image."""
        order, model, error = ffi.new("int[2]"), ffi.new("shrew_model *"), ffi.new("protocol_error *")
        lib.fw_slots_order(self.slots, name.encode(), order)
        for slot in order:
            if slot >= 0 and not lib.fw_slots_load(self.slots, slot, model, error):
                return ffi.string(self.slots.records[slot].name).decode()
        return None

    def upload(self, name: str, image: bytes) -> None:
        error = ffi.new("protocol_error *")
        assert lib.fw_slots_upload_begin(self.slots, name.encode(), len(name), len(image), error) == 0
        assert lib.fw_slots_upload_write(self.slots, image, len(image), error) == 0
        assert lib.fw_slots_upload_end(self.slots, error) == 0

    def _read(self, _: Any, slot: int, offset: int, data: Any, count: int) -> int:
        ffi.buffer(data, count)[:] = bytes(self._parts[slot][offset : offset + count])
        return 0

    def _erase(self, _: Any, slot: int, offset: int, count: int) -> int:
        self._parts[slot][offset : offset + count] = b"\xff" * count
        return 0

    def _write(self, _: Any, slot: int, offset: int, data: Any, count: int) -> int:
        self._parts[slot][offset : offset + count] = bytes(ffi.buffer(data, count))
        return 0

    def _map(self, _: Any, slot: int, offset: int, count: int) -> Any:
        room = ffi.new("uint64_t[]", count // 8 + 10)
        start = ffi.cast("char *", room) + -int(ffi.cast("uintptr_t", room)) % 64
        ffi.buffer(start, count)[:] = bytes(self._parts[slot][offset : offset + count])
        self._mapped[slot] = room
        return start
