"""The first start after flashing: checks that the board answers, and with the new model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shrew.board.console import BOOT_SECONDS, Console
from shrew.board.messages import Info
from shrew.board.ports import open_port
from shrew.errors import BoardError

if TYPE_CHECKING:
    from serial import Serial

    from shrew.board.slots import Record


def start_with(device: str, record: Record | None) -> Info | None:
    """The ``info`` of a board that has just been started, or None if it is silent.

    A board loads the model that it was last told to load, so this tells it to load the new one. BoardError if that
    fails.
    """
    end = time.monotonic() + BOOT_SECONDS
    said: list[str] = []
    try:
        port = _open_until(device, end)
        board = Console(port, said.append)
    except BoardError:
        return None
    with board:
        try:
            info = board.info(end - time.monotonic())
        except BoardError:
            return None
        if record and not _answers_with(info, record):
            said.clear()
            board.command(f"load {record.name}")
            info = board.info()
        if record and not _answers_with(info, record):
            why = f", and says: {said[0]}" if said else ""
            raise BoardError(f"{record.name} is stored whole, but the board does not load it{why}")
        if record and info.model and info.model.selftest == "failed":
            raise BoardError(
                f"{record.name} is stored whole, but its self-test fails on the board: "
                "the firmware computes other tokens; rebuild it"
            )
        return info


def _open_until(device: str, end: float) -> Serial:
    """Opens the port, trying until ``end``: the USB of some chips disappears for a while when they start."""
    while True:
        try:
            return open_port(device)
        except BoardError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _answers_with(info: Info, record: Record) -> bool:
    model = info.model
    return model is not None and (model.name, model.crc32) == (record.name, f"{record.crc32:08x}")
