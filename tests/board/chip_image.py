"""A chip's whole image in an emulator: ROM, boot loader, ESP-IDF, Wi-Fi libraries and the firmware.

``SHREW_CHIP_IMAGE`` names an ESP-IDF build folder for the ESP32-C3, ``SHREW_QEMU`` an emulator of it, with options if
necessary. Tests are skipped unless both are set (docs/FIRMWARE.md).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shrew.board.firmware import Firmware, read_firmware
from shrew.board.slots import SECTOR, Record, pack_header, slots_of
from shrew.engine import Model

#: An instruction takes 2^SHIFT nanoseconds. Time on the chip depends on nothing else.
SHIFT = 3
INSTRUCTIONS_PER_SECOND = 1e9 / (1 << SHIFT)

_STRAPPING = {"flash": 0x08, "download": 0x02}


@cache
def image_folder() -> Path:
    folder = os.environ.get("SHREW_CHIP_IMAGE")
    if not folder:
        pytest.skip("SHREW_CHIP_IMAGE is not set: no image of a chip to start")
    return Path(folder)


@cache
def emulator() -> list[str]:
    command = shlex.split(os.environ.get("SHREW_QEMU", ""))
    if not command:
        pytest.skip("SHREW_QEMU is not set: no emulator with the machine esp32c3")
    return command if "-machine" in command else [*command, "-machine", "esp32c3"]


@cache
def firmware() -> Firmware:
    found = read_firmware(image_folder())
    if found.chip != "ESP32-C3":
        pytest.skip(f"SHREW_CHIP_IMAGE is built for the {found.chip}; the emulator's machine is an ESP32-C3")
    return found


def make_flash(path: Path, *models: Path) -> Path:
    """Writes the flash of a new device with models in its slots. The last model is the newest."""
    built = firmware()
    content = bytearray(b"\xff") * built.flash_bytes
    for part in built.parts:
        content[part.offset : part.end] = part.data
    for slot, model in zip(slots_of(built.partitions), models, strict=False):
        image = model.read_bytes()
        record = Record(model.stem, len(image), Model.open(model).crc32, sequence=slot.number + 1)
        header = pack_header(record)
        start = slot.partition.offset
        content[start : start + len(header)] = header
        content[start + SECTOR : start + SECTOR + len(image)] = image
    path.write_bytes(content)
    return path


@dataclass
class Machine:
    """A running emulator. ``device`` is the port of its UART."""

    popen: subprocess.Popen[str]
    device: str
    _control: socket.socket

    def run(self) -> None:
        """Starts the machine, which waits at its first instruction so that no output is lost."""
        self._ask("cont")

    def restart(self) -> None:
        self._ask("system_reset")

    def pull_the_power(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def _ask(self, command: str) -> None:
        self._control.sendall(json.dumps({"execute": command}).encode() + b"\n")
        answer: dict[str, Any] = {}
        while "return" not in answer:
            answer = json.loads(self._line())

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._control.recv(1)
            assert byte, "the emulator has ended"
            line += byte
        return line

    def greet(self) -> None:
        self._line()
        self._ask("qmp_capabilities")


@contextmanager
def machine(flash: Path, boot: str = "flash") -> Iterator[Machine]:
    """An ESP32-C3 with this flash, stopped. boot: flash or download, as set by the strapping pins."""
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder) / "control"
        command = [*emulator(), "-display", "none", "-monitor", "none", "-serial", "pty", "-S"]
        command += ["-icount", str(SHIFT), "-qmp", f"unix:{control},server=on,wait=off"]
        command += ["-drive", f"file={flash},if=mtd,format=raw"]
        command += ["-global", f"driver=esp32c3.gpio,property=strap_mode,value={_STRAPPING[boot]:#x}"]
        command += ["-global", "driver=timer.esp32c3.timg,property=wdt_disable,value=true"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as popen:
            try:
                said = ""
                while not (found := re.search(r"redirected to (/dev/pts/\d+)", said)):
                    line = popen.stdout.readline() if popen.stdout else ""
                    assert line, f"the emulator has ended: {said}"
                    said += line
                with socket.socket(socket.AF_UNIX) as connection:
                    _connect(connection, control)
                    made = Machine(popen, found[1], connection)
                    made.greet()
                    yield made
            finally:
                popen.kill()


def _connect(connection: socket.socket, path: Path) -> None:
    for _ in range(100):
        try:
            return connection.connect(str(path))
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{path}: the emulator does not listen")
