"""Which memory holds each tensor. The firmware implements the same rule in C, so it stays simple; docs/PLANNER.md has
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shrew.chips.layout import Layout, StoredTensor
from shrew.model.config import ModelConfig

SRAM: Final = "sram"
PSRAM: Final = "psram"
FLASH: Final = "flash"


def title(memory: str) -> str:
    """A memory's name for people."""
    return memory if memory == FLASH else memory.upper()


def read_whole(config: ModelConfig, tensor: StoredTensor) -> bool:
    """Whether every token reads the whole tensor. It reads one row of an embedding table, unless the head is tied."""
    if tensor.name == "position_embedding.weight":
        return False
    return config.tied_head or tensor.name != "token_embedding.weight"


def place(layout: Layout, sram: int, psram: int) -> Mapping[str, str]:
    """The memory of each tensor by name, given the bytes available for tensors in SRAM and in PSRAM.

    Pass 0 for PSRAM that is no faster than flash.

    A token reads every tensor completely and once, except tables. So each byte in faster memory saves the same time,
    whichever tensor it belongs to. Each tensor also saves the start of a read, so the smallest ones come first.
    """
    whole = [tensor for tensor in layout.tensors if read_whole(layout.config, tensor)]
    memories = {tensor.name: FLASH for tensor in layout.tensors}
    for memory, room in ((SRAM, sram), (PSRAM, psram)):
        left = room
        for tensor in sorted(whole, key=lambda tensor: tensor.bytes):
            if memories[tensor.name] == FLASH and tensor.bytes <= left:
                memories[tensor.name] = memory
                left -= tensor.bytes
    return memories
