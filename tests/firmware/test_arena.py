"""The arena of models: allocations do not overlap and stay inside, and every load finds the same memory."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firmware.core import ffi, lib

KINDS = (lib.ARENA_SRAM, lib.ARENA_PSRAM)
PIECES = st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(KINDS)), min_size=1, max_size=lib.ARENA_PIECES)
TAKES = st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(KINDS)), max_size=20)


class Arena:
    """With pieces at addresses that nothing reads or writes."""

    def __init__(self, pieces: list[tuple[int, int]]) -> None:
        self.struct: Any = ffi.new("arena *")
        self.pieces = []
        for i, (size, kind) in enumerate(pieces):
            address = (i + 1) << 16
            assert lib.fw_arena_add(self.struct, ffi.cast("void *", address), size, kind)
            self.pieces.append((address, size, kind))

    def take(self, size: int, kind: int) -> int:
        """The address, 0 where there is no room."""
        return int(ffi.cast("uintptr_t", lib.fw_arena_take(self.struct, size, kind)))

    def left(self, kind: int) -> int:
        return int(lib.fw_arena_left(self.struct, kind))


@given(PIECES, TAKES)
def test_what_is_taken_lies_apart_inside_a_piece_of_its_kind(
    pieces: list[tuple[int, int]], takes: list[tuple[int, int]]
) -> None:
    arena = Arena(pieces)
    taken: list[tuple[int, int]] = []
    for size, kind in takes:
        before = arena.left(kind)
        address = arena.take(size, kind)
        if not address:
            assert arena.left(kind) == before
            continue
        assert address % lib.ARENA_ALIGNMENT == 0
        assert any(
            one == kind and start <= address and address + size <= start + length for start, length, one in arena.pieces
        )
        assert all(address >= end or address + size <= start for start, end in taken if end > start and size)
        taken.append((address, address + size))
        assert 0 <= before - arena.left(kind) - size < lib.ARENA_ALIGNMENT


@given(PIECES, TAKES)
def test_each_load_finds_what_the_one_before_it_found(
    pieces: list[tuple[int, int]], takes: list[tuple[int, int]]
) -> None:
    arena = Arena(pieces)
    first = [arena.take(size, kind) for size, kind in takes]
    for _ in range(3):
        lib.fw_arena_clear(arena.struct)
        assert [arena.left(kind) for kind in KINDS] == [lib.fw_arena_bytes(arena.struct, kind) for kind in KINDS]
        assert [arena.take(size, kind) for size, kind in takes] == first


def test_a_piece_is_used_to_its_last_byte_and_the_tightest_first() -> None:
    arena = Arena([(1024 + 63, lib.ARENA_SRAM), (256, lib.ARENA_SRAM), (5000, lib.ARENA_PSRAM)])
    assert arena.take(193, lib.ARENA_SRAM) == 2 << 16
    assert arena.take(1024, lib.ARENA_SRAM) == 1 << 16
    assert arena.take(1, lib.ARENA_SRAM) == 0
    assert arena.left(lib.ARENA_SRAM) == 0


def test_a_piece_too_many_is_not_taken() -> None:
    arena = Arena([(100, lib.ARENA_SRAM)] * lib.ARENA_PIECES)
    assert not lib.fw_arena_add(arena.struct, ffi.NULL, 100, lib.ARENA_SRAM)
    assert lib.fw_arena_bytes(arena.struct, lib.ARENA_SRAM) == 64 * lib.ARENA_PIECES
