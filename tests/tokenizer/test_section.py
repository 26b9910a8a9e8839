"""The section of a tokenizer, as the engine's writer makes it: that of the Python before it, or a clear code."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tokenizer.golden_sections import FILE, cases

from shrew.engine.binding import ffi, lib

GOLDEN = json.loads(FILE.read_text())
CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_sections_are_those_of_python(name: str) -> None:
    assert hashlib.sha256(CASES[name]().section()).hexdigest() == GOLDEN[name]


def test_every_golden_section_has_a_case() -> None:
    assert GOLDEN.keys() == CASES.keys()


class Parts:
    """Two characters and a special token."""

    def __init__(self) -> None:
        self.kept: list[Any] = [ffi.new("uint8_t[]", b"\1\1\0"), ffi.new("uint8_t[]", b"ba")]
        self.parts = ffi.new("shrew_tokenizer_parts *")
        self.parts.kind, self.parts.vocab = lib.SHREW_TOKENIZER_CHARACTER, 3
        self.parts.lengths, self.parts.pieces = self.kept
        self.parts.bos, self.parts.eos, self.parts.pad, self.parts.unk = 2, 2, 0xFFFF, 0xFFFF
        self.size = ffi.new("size_t *")

    def ids(self, *ids: int) -> Any:
        self.kept.append(ffi.new("uint16_t[]", list(ids)))
        return self.kept[-1]

    def room(self) -> int:
        assert lib.shrew_write_tokenizer_room(self.parts, self.size) == lib.SHREW_OK
        return int(self.size[0])


def test_arguments_are_checked() -> None:
    parts, section, bad = Parts(), ffi.new("uint32_t[]", 99), lib.SHREW_E_ARGUMENT
    assert lib.shrew_write_tokenizer_room(ffi.NULL, parts.size) == bad
    assert lib.shrew_write_tokenizer_room(parts.parts, ffi.NULL) == bad
    assert lib.shrew_write_tokenizer(ffi.NULL, section, 99, parts.size) == bad
    assert lib.shrew_write_tokenizer(parts.parts, ffi.NULL, 99, parts.size) == bad
    assert lib.shrew_write_tokenizer(parts.parts, section, 99, ffi.NULL) == bad
    shifted = ffi.cast("uint8_t *", section) + 2
    assert lib.shrew_write_tokenizer(parts.parts, shifted, 99, parts.size) == lib.SHREW_E_ALIGNMENT
    for field in ("lengths", "pieces"):
        parts = Parts()
        setattr(parts.parts, field, ffi.NULL)
        assert lib.shrew_write_tokenizer(parts.parts, section, 99, parts.size) == bad
    for field in ("merge_count", "prefix_count", "suffix_count"):
        parts = Parts()
        setattr(parts.parts, field, 1)
        assert lib.shrew_write_tokenizer(parts.parts, section, 99, parts.size) == bad


@pytest.mark.parametrize(
    ("field", "value"), [("kind", 3), ("kind", 0xFFFFFFFF), ("vocab", 0), ("vocab", 0x10000), ("merge_count", 0x10000)]
)
def test_impossible_numbers_are_refused(field: str, value: int) -> None:
    parts = Parts()
    parts.parts.merges = ffi.cast("uint16_t(*)[3]", parts.ids(0, 1, 2))
    setattr(parts.parts, field, value)
    assert lib.shrew_write_tokenizer_room(parts.parts, parts.size) == lib.SHREW_E_TOKENIZER
    assert lib.shrew_write_tokenizer(parts.parts, ffi.new("uint32_t[]", 99), 396, parts.size) == lib.SHREW_E_TOKENIZER


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("ids", [(0, 1, 2), (0xFFFF, 7, 0), (2, 2, 2)])
def test_no_byte_is_written_outside_the_room(kind: int, ids: tuple[int, ...]) -> None:
    """Whatever the ids, none of which the writer follows."""
    parts = Parts()
    parts.parts.kind, parts.parts.merge_count = kind, 2
    parts.parts.merges = ffi.cast("uint16_t(*)[3]", parts.ids(*ids, *ids))
    parts.parts.ranks = parts.ids(*ids)
    parts.parts.byte_ids = parts.ids(*ids, *[0xFFFF] * 253)
    parts.parts.prefix, parts.parts.prefix_count = parts.ids(*ids), 3
    parts.parts.suffix, parts.parts.suffix_count = parts.ids(*ids), 1
    room = parts.room()
    section = ffi.new("uint32_t[]", [0xA5A5A5A5] * (room // 4 + 4))
    for capacity in (0, 48, room - 1):
        assert lib.shrew_write_tokenizer(parts.parts, section, capacity, parts.size) == lib.SHREW_E_BUFFER
        assert set(bytes(ffi.buffer(section))) == {0xA5}
    assert lib.shrew_write_tokenizer(parts.parts, section, room, parts.size) == lib.SHREW_OK
    assert parts.size[0] <= room
    assert set(bytes(ffi.buffer(section))[room:]) == {0xA5}
