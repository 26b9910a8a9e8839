"""The part of a chip's SRAM that models get: the heap that is free after everything else has started, less a reserve.

Follows the same rule as ``firmware/main/memory.c``: the largest pieces first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shrew.chips.facts import FIRMWARE, Chip

#: As in ``firmware/main/board.h``: the limit of pieces, and the smallest piece in bytes.
MOST_PIECES: Final = 4
LEAST_PIECE: Final = 4096


@dataclass(frozen=True)
class Share:
    """Shares of SRAM in bytes, which add up to all of it."""

    static: int
    """Code in RAM and data of the firmware without Wi-Fi, and memory that ROM and cache use."""
    wifi: int
    """Code, data and buffers of Wi-Fi and TCP/IP."""
    firmware: int
    """Heap that the firmware takes, or leaves free."""
    pieces: tuple[int, ...]
    """The pieces for models, the largest first."""

    @property
    def room(self) -> int:
        return sum(self.pieces)

    @property
    def largest(self) -> int:
        return max(self.pieces, default=0)


def share(chip: Chip, wifi: bool, psram: bool) -> Share:
    """wifi: whether Wi-Fi runs. psram: whether the chip has PSRAM, which then holds the texts of requests."""
    heap = chip.heap
    first, *others = heap.regions
    wifi_static, wifi_heap = (int(heap.wifi_static.value), int(heap.wifi.value)) if wifi else (0, 0)
    taken = int(FIRMWARE.start.value + FIRMWARE.tasks.value) + wifi_heap
    taken += int(FIRMWARE.helper.value) if chip.cores > 1 else 0
    taken += 0 if psram else int(FIRMWARE.requests.value)
    left = _without([first - int(heap.static.value) - wifi_static, *others], taken)
    pieces = _for_models(left, int(FIRMWARE.reserve.value))
    static = chip.sram - sum(heap.regions) + int(heap.static.value)
    firmware = chip.sram - static - wifi_static - wifi_heap - sum(pieces)
    return Share(static, wifi_static + wifi_heap, firmware, tuple(pieces))


def _without(pieces: list[int], taken: int) -> list[int]:
    """The pieces after the heap has allocated ``taken`` bytes, beginning with the first piece that has room."""
    left = []
    for piece in pieces:
        here = min(piece, taken)
        taken -= here
        left.append(piece - here)
    return left


def _for_models(pieces: list[int], reserve: int) -> list[int]:
    found: list[int] = []
    for piece in sorted(pieces, reverse=True)[:MOST_PIECES]:
        size = min(piece, sum(pieces) - sum(found) - reserve)
        if size < LEAST_PIECE:
            break
        found.append(size)
    return found
