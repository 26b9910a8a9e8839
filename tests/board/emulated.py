"""An emulated board behind a pseudo-terminal: the chip's ROM boot loader (and esptool's stub, once it is loaded), flash
with the rules of NOR flash, and for input that is not a boot loader frame, the firmware's console.

Written from Espressif's chapter "Serial Protocol". It erases, verifies and refuses what a real chip does.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import struct
import threading
import tty
import zlib
from collections.abc import Callable
from typing import Any

SECTOR = 4096
SPI_USER_COMMAND = 1 << 18
READ_ID, READ_SFDP = 0x9F, 0x5A

#: Chip number in the security info (None: not in that chip's ROM); registers of SPI1: base, offsets of USR2 and W0.
CHIPS: dict[str, tuple[int | None, int, int, int]] = {
    "ESP32": (None, 0x3FF42000, 0x24, 0x80),
    "ESP32-S3": (9, 0x60002000, 0x20, 0x58),
    "ESP32-C3": (5, 0x60002000, 0x20, 0x58),
}
MAGIC_REGISTER, ESP32_MAGIC = 0x40001000, 0x00F01D83


class Flash:
    """NOR flash: erasing sets all bits of whole sectors, writing only clears bits."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(b"\xff" * size)
        self.erased: list[int] = []
        """Erased sectors, in order."""

    def erase(self, offset: int, size: int) -> None:
        for at in range(offset - offset % SECTOR, offset + size, SECTOR):
            assert at + SECTOR <= len(self.bytes), "erased beyond the flash"
            self.bytes[at : at + SECTOR] = b"\xff" * SECTOR
            self.erased.append(at)

    def write(self, offset: int, data: bytes) -> None:
        old = self.bytes[offset : offset + len(data)]
        assert len(old) == len(data), "written beyond the flash"
        self.bytes[offset : offset + len(data)] = bytes(a & b for a, b in zip(old, data, strict=True))

    def put(self, offset: int, data: bytes) -> None:
        """Sets the initial contents."""
        self.bytes[offset : offset + len(data)] = data


class CutError(Exception):
    """The cable has been pulled."""


class Board:
    """A board that runs in a thread during ``with``. ``cut_at``: the cable is pulled after this many bytes written."""

    def __init__(self, chip: str = "ESP32-S3", flash_bytes: int = 4 << 20) -> None:
        self.flash = Flash(flash_bytes)
        self.chip_id, self._spi, self._usr2, self._w0 = CHIPS[chip]
        self.cut_at: int | None = None
        self.damages = False
        """Whether bits of written images are lost."""
        self.deaf = False
        """Whether the board does not answer, as if the boot loader had not been entered."""
        self.console: Callable[[str], list[str]] = lambda line: []
        """The firmware's console: the answer to a line."""
        self.written = 0
        self.is_stub = False
        self.registers: dict[int, int] = {}
        self._write_at = self._write_end = 0
        self._inflate: Any = None
        self._line = b""

    def __enter__(self) -> Board:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def _unplug(self) -> None:
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1

    def pull(self) -> None:
        """Pulls the cable while the board is idle."""
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._unplug()

    def say(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _run(self) -> None:
        frame: bytearray | None = None
        try:
            while not self._stop.is_set():
                if not select.select([self._master], [], [], 0.02)[0]:
                    continue
                for byte in os.read(self._master, 65536):
                    if byte != 0xC0:
                        if frame is None:
                            self._type(byte)
                        else:
                            frame.append(byte)
                    elif frame:
                        if not self.deaf:
                            self._obey(bytes(frame).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                        frame = None
                    else:
                        frame = bytearray()
        except CutError:
            self._unplug()

    # The firmware's console

    def _type(self, byte: int) -> None:
        if byte == 3:
            self._line = b""
        elif byte == 10:
            line, self._line = self._line.decode(), b""
            for answer in self.console(line):
                self.say(answer + "\r\n")
        else:
            self._line += bytes([byte])

    # The boot loader

    def _send(self, payload: bytes) -> None:
        os.write(self._master, b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0")

    def _answer(self, command: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        data += bytes([bool(error), error]) + (b"" if self.is_stub else b"\0\0")
        self._send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def _obey(self, frame: bytes) -> None:
        if len(frame) == 4 and self.is_stub:
            return  # the stub's reader acknowledges the bytes it has received
        direction, command, size, _ = struct.unpack("<BBHI", frame[:8])
        data = frame[8:]
        assert (direction, size) == (0, len(data))
        words = struct.unpack(f"<{size // 4}I", data[: size // 4 * 4])
        known: dict[int, Callable[..., None]] = {
            0x02: self._begin,
            0x03: self._data,
            0x05: self._nothing,
            0x06: self._start_stub,
            0x07: self._nothing,
            0x08: self._sync,
            0x09: self._write_register,
            0x0A: self._read_register,
            0x0B: self._nothing,
            0x0D: self._nothing,
            0x0E: self._read_slowly,
            0x0F: self._nothing,
            0x10: self._begin_deflated,
            0x11: self._data_deflated,
            0x13: self._md5,
        }
        if self.chip_id is not None:
            known[0x14] = self._security_info
        if self.is_stub:
            known |= {0x04: self._nothing, 0x12: self._nothing, 0xD2: self._read}
        if command in known:
            known[command](command, data, words)
        else:
            self._answer(command, error=5)

    def _nothing(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._answer(command)

    def _sync(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        for _ in range(8):
            self._answer(command, value=0 if self.is_stub else 0x20120707)

    def _security_info(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._answer(command, data=struct.pack("<I8BII", 0, *[0] * 8, self.chip_id, 0))

    def _read_register(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        magic = {MAGIC_REGISTER: ESP32_MAGIC} if self.chip_id is None else {}
        self._answer(command, value={**magic, **self.registers}.get(words[0], 0))

    def _write_register(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        address, value = words[:2]
        self.registers[address] = value
        if address == self._spi and value & SPI_USER_COMMAND:
            size_code = len(self.flash.bytes).bit_length() - 1
            answers = {READ_ID: size_code << 16 | 0x40EF, READ_SFDP: 0x50444653}
            spi_command = self.registers.get(self._spi + self._usr2, 0) & 0xFF
            self.registers[self._spi + self._w0] = answers.get(spi_command, 0)
            self.registers[self._spi] = 0
        self._answer(command)

    def _start_stub(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._answer(command)
        self.is_stub = True
        self._send(b"OHAI")

    def _begin(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        size, _, _, offset = words[:4]
        self._write_at, self._write_end = offset, offset + size
        self.flash.erase(offset, size)
        self._answer(command)

    def _begin_deflated(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._inflate = zlib.decompressobj()
        self._begin(command, data, words)

    def _data(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._program(data[16 : 16 + words[0]])
        self._answer(command)

    def _data_deflated(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._program(self._inflate.decompress(data[16 : 16 + words[0]]))
        self._answer(command)

    def _program(self, data: bytes) -> None:
        data = data[: self._write_end - self._write_at]  # blocks are padded
        if self.cut_at is not None and self.written + len(data) > self.cut_at:
            self.flash.write(self._write_at, data[: self.cut_at - self.written])
            raise CutError
        self.written += len(data)
        if self.damages and len(data) > 64:
            data = bytes([data[0] & 0xFE]) + data[1:]
        self.flash.write(self._write_at, data)
        self._write_at += len(data)

    def _md5(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        digest = hashlib.md5(self.flash.bytes[words[0] : words[0] + words[1]])
        self._answer(command, data=digest.digest() if self.is_stub else digest.hexdigest().encode())

    def _read_slowly(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        self._answer(command, data=bytes(self.flash.bytes[words[0] : words[0] + 64]))

    def _read(self, command: int, data: bytes, words: tuple[int, ...]) -> None:
        offset, size, block = words[:3]
        self._answer(command)
        wanted = bytes(self.flash.bytes[offset : offset + size])
        for at in range(0, size, block):
            self._send(wanted[at : at + block])
        self._send(hashlib.md5(wanted).digest())


def message(**fields: Any) -> str:
    """A protocol message after a prompt. The firmware does not write such lines, but readers should accept them."""
    return "> " + json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
