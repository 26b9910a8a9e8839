"""Finding and opening the serial ports of boards."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shrew.errors import BoardError, BoardLostError

if TYPE_CHECKING:
    from serial import Serial

#: USB vendor ids of boards: of the chip itself, or of its USB-to-serial adapter.
ADAPTERS = {0x303A: "Espressif", 0x10C4: "CP210x", 0x1A86: "CH34x", 0x0403: "FTDI"}

#: Baud rate of the firmware's console and of the ROM's messages at boot.
CONSOLE_BAUD = 115_200

MISSING = "boards need esptool and pyserial: python -m pip install 'shrew[board]'"

_OPENING = {
    errno.ENOENT: "there is no such port{others}",
    errno.EACCES: "you may not open this port: join its group (sudo usermod -a -G dialout $USER), then log in again",
    errno.EBUSY: "another program uses this port: close it, and repeat",
    errno.EAGAIN: "another program uses this port: close it, and repeat",
}


@dataclass(frozen=True)
class Candidate:
    """A port to which a board may be connected."""

    device: str
    adapter: str
    product: str

    def __str__(self) -> str:
        return f"{self.device} ({self.adapter}{': ' if self.product else ''}{self.product})"


def candidates() -> list[Candidate]:
    """The ports with a USB vendor of boards, in the order of their names."""
    try:
        from serial.tools import list_ports
    except ImportError as error:
        raise BoardError(MISSING) from error
    found = [
        Candidate(port.device, ADAPTERS[port.vid], port.product or "")
        for port in list_ports.comports()
        if port.vid in ADAPTERS
    ]
    return sorted(found, key=lambda candidate: candidate.device)


def choose(device: str | None) -> str:
    """The given port, or without one the only port with a board. BoardError if there are none or several."""
    if device is not None:
        return device
    found = candidates()
    if not found:
        raise BoardError("no board is plugged in, as far as USB knows: use a cable that carries data, or name a --port")
    if len(found) > 1:
        raise BoardError(f"several boards are plugged in, choose one with --port: {', '.join(map(str, found))}")
    return found[0].device


def open_port(device: str, baud: int = CONSOLE_BAUD) -> Serial:
    """Opens a port exclusively. Reads wait up to a tenth of a second. Most boards do not restart when it is opened."""
    try:
        from serial import Serial, SerialException
    except ImportError as error:
        raise BoardError(MISSING) from error
    port = Serial(baudrate=baud, timeout=0.1, write_timeout=10, exclusive=True)
    port.dtr = port.rts = False  # both at once: a board restarts if they differ
    port.port = device
    try:
        port.open()
    except (SerialException, ValueError) as error:
        raise BoardError(f"{device}: {_why_not(error)}") from error
    return port


def _why_not(error: Exception) -> str:
    number = getattr(error, "errno", None) or 0
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        there = ", ".join(map(str, candidates()))
        return _OPENING[errno.ENOENT].format(others=f"; there is {there}" if there else ", nor any board on USB")
    return _OPENING.get(number, os.strerror(number) if number else f"not a serial port ({error})")


def lost(device: str) -> BoardLostError:
    return BoardLostError(f"{device}: the connection was lost; see to the cable and repeat", device)
