"""The two slots of model images in flash, and their state after a power failure at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from engine.models import random_image

from firmware.core import SANITIZED, Error, code_name, ffi, lib
from shrew.board.slots import Record, pack_header

SECTOR = 512
CHUNK = 300
NONE = -1
NO_CUT = 1 << 30


class Flash:
    """Two slots of flash: erasing sets bits, writing clears them, and the power may fail in the middle of either."""

    def __init__(self, sizes: tuple[int, int], block: int = 4 * SECTOR) -> None:
        self.slots = [bytearray(random.Random(0).randbytes(size)) for size in sizes]
        self.operations = 0
        self.cut_at = NO_CUT
        self.chance = random.Random(0)
        self.fails = False
        self.mapped: dict[int, Any] = {}
        self.mappable = 1 << 30
        self._block = block

    def connect(self) -> Any:
        """As after a boot: nothing is mapped, and everything in RAM is new."""
        self.mapped.clear()
        self._callbacks = {
            "erase": ffi.callback("int(void *, int, uint32_t, uint32_t)", self._erase, error=1),
            "write": ffi.callback("int(void *, int, uint32_t, const void *, uint32_t)", self._write, error=1),
            "read": ffi.callback("int(void *, int, uint32_t, void *, uint32_t)", self._read, error=1),
            "map": ffi.callback("const void *(void *, int, uint32_t, uint32_t)", self._map),
            "unmap": ffi.callback("void(void *, int)", self._unmap),
            "mappable": ffi.callback("uint32_t(void *)", lambda _: self.mappable),
        }
        sizes = [len(slot) for slot in self.slots]
        return ffi.new("slots_flash *", {"bytes": sizes, "sector": SECTOR, "block": self._block, **self._callbacks})

    def _interrupted(self) -> bool:
        """Whether the power fails during this operation. No later one succeeds."""
        self.operations += 1
        return self.operations == self.cut_at

    @property
    def _off(self) -> bool:
        return self.operations > self.cut_at or self.fails

    def _erase(self, _: Any, slot: int, offset: int, count: int) -> int:
        assert offset % SECTOR == count % SECTOR == 0
        assert offset + count <= len(self.slots[slot])
        assert slot not in self.mapped, "a model that answers would be erased"
        cut = self._interrupted()
        if self._off:
            return 1
        bits = (
            bytes(self.chance.choice((0xFF, self.chance.randrange(256))) for _ in range(count))
            if cut
            else b"\xff" * count
        )
        self._change(slot, offset, int.from_bytes(bits) | self._number(slot, offset, count), count)
        return int(cut)

    def _write(self, _: Any, slot: int, offset: int, data: Any, count: int) -> int:
        assert offset + count <= len(self.slots[slot])
        assert slot not in self.mapped, "a model that answers would be written to"
        cut = self._interrupted()
        if self._off:
            return 1
        bits = bytearray(ffi.buffer(data, count))
        if cut:  # some bits of what was under way, nothing behind it
            done = self.chance.randrange(count)
            under_way = bytes(byte | self.chance.randrange(256) for byte in bits[done : done + 8])
            bits[done:] = under_way + b"\xff" * (count - done - len(under_way))
        self._change(slot, offset, int.from_bytes(bits) & self._number(slot, offset, count), count)
        return int(cut)

    def _number(self, slot: int, offset: int, count: int) -> int:
        return int.from_bytes(self.slots[slot][offset : offset + count])

    def _change(self, slot: int, offset: int, number: int, count: int) -> None:
        self.slots[slot][offset : offset + count] = number.to_bytes(count)

    def _read(self, _: Any, slot: int, offset: int, data: Any, count: int) -> int:
        ffi.buffer(data, count)[:] = self.slots[slot][offset : offset + count]
        return 0

    def _map(self, _: Any, slot: int, offset: int, count: int) -> Any:
        assert slot not in self.mapped
        self.mapped[slot] = ffi.new("uint64_t[]", count // 8 + 3)
        address = int(ffi.cast("uintptr_t", self.mapped[slot]))
        aligned = self.mapped[slot] if address % 16 == 0 else self.mapped[slot] + 1
        ffi.buffer(aligned, count)[:] = self.slots[slot][offset : offset + count]
        return ffi.cast("void *", aligned)

    def _unmap(self, _: Any, slot: int) -> None:
        del self.mapped[slot]


class Device:
    """The slots of a flash as firmware uses them."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self._flash = flash.connect()
        self.slots = ffi.new("slots *")
        self.model = ffi.new("shrew_model *")
        self.error = Error()
        lib.fw_slots_open(self.slots, self._flash)

    def boot(self, wanted: bytes = b"") -> str | None:
        """The name of the model that is loaded."""
        order = ffi.new("int[2]")
        lib.fw_slots_order(self.slots, wanted, order)
        for slot in order:
            if slot != NONE and not lib.fw_slots_load(self.slots, slot, self.model, self.error.struct):
                return ffi.string(self.slots.records[slot].name).decode()
        return None

    def load(self, name: bytes) -> str:
        lib.fw_slots_unload(self.slots)
        slot = lib.fw_slots_find(self.slots, name)
        if slot == NONE:
            return "not_found"
        return code_name(lib.fw_slots_load(self.slots, slot, self.model, self.error.struct))

    def begin(self, name: bytes, size: int) -> str:
        return code_name(lib.fw_slots_upload_begin(self.slots, name, len(name), size, self.error.struct))

    def write(self, data: bytes) -> str:
        return code_name(lib.fw_slots_upload_write(self.slots, data, len(data), self.error.struct))

    def end(self) -> str:
        return code_name(lib.fw_slots_upload_end(self.slots, self.error.struct))

    def remove(self, name: bytes) -> str:
        return code_name(lib.fw_slots_remove(self.slots, name, self.error.struct))

    def upload(self, name: bytes, image: bytes) -> str:
        code = self.begin(name, len(image))
        for at in range(0, len(image), CHUNK):
            code = self.write(image[at : at + CHUNK]) if code == "ok" else code
        return self.end() if code == "ok" else code

    @property
    def names(self) -> list[str]:
        return [ffi.string(record.name).decode() if record.present else "" for record in self.slots.records]


SHAPE = {"dim": 16, "layers": 1, "ffn": 8, "context": 8}
OLD, NEW, OTHER = (random_image(seed, **SHAPE) for seed in (1, 2, 3))
SIZE = (len(OLD) // SECTOR + 3) * SECTOR


def header_of(name: str, image: bytes, sequence: int) -> bytes:
    """The sector before an image, as `shrew flash` writes it."""
    crc32 = int.from_bytes(image[12:16], "little")
    return pack_header(Record(name, len(image), crc32, sequence)).ljust(SECTOR, b"\xff")


def stocked() -> Flash:
    """A flash with one model, loaded before."""
    flash = Flash((SIZE, SIZE))
    device = Device(flash)
    assert device.boot() is None
    assert device.upload(b"old", OLD) == "ok"
    return flash


def image_of(device: Device) -> bytes:
    return bytes(ffi.buffer(device.model.image, device.model.image_bytes))


def test_an_upload_is_stored_and_answers_once_it_is_loaded() -> None:
    device = Device(stocked())
    assert device.boot() == "old"
    assert image_of(device) == OLD
    assert device.upload(b"new", NEW) == "ok"
    assert device.names == ["old", "new"]
    assert image_of(device) == OLD
    assert device.load(b"new") == "ok"
    assert image_of(device) == NEW
    lib.fw_slots_unload(device.slots)
    assert not device.flash.mapped


def test_after_a_boot_the_wanted_model_answers_or_else_the_newest() -> None:
    flash = stocked()
    Device(flash).upload(b"new", NEW)
    assert Device(flash).boot(b"old") == "old"
    assert Device(flash).boot(b"gone") == "new"
    assert Device(flash).boot() == "new"


def test_a_damaged_image_is_passed_over_at_boot() -> None:
    flash = stocked()
    device = Device(flash)
    device.boot()
    device.upload(b"new", NEW)
    flash.slots[1][SECTOR + 1000] ^= 1
    for wanted in (b"", b"new"):
        again = Device(flash)
        assert again.boot(wanted) == "old"
        assert again.names == ["old", ""]
    again.load(b"old")
    assert again.load(b"new") == "not_found"


def test_an_image_under_a_header_that_is_not_its_own_is_refused() -> None:
    flash = stocked()
    flash.slots[0][SECTOR : SECTOR + len(NEW)] = NEW
    device = Device(flash)
    slot = lib.fw_slots_find(device.slots, b"old")
    assert code_name(lib.fw_slots_load(device.slots, slot, device.model, device.error.struct)) == "image"
    assert not flash.mapped


def test_an_upload_goes_over_its_namesake_or_where_nothing_is_or_over_the_older() -> None:
    device = Device(stocked())  # nothing loaded, as while a model on an SD card answers
    assert device.upload(b"new", NEW) == "ok"
    assert device.upload(b"third", OTHER) == "ok"
    assert device.names == ["third", "new"]
    assert device.upload(b"new", OLD) == "ok"
    assert device.names == ["third", "new"]
    assert device.upload(b"third", OTHER) == "ok"
    assert device.remove(b"third") == "ok"
    assert device.names == ["", "new"]
    assert device.upload(b"fourth", OLD) == "ok"
    assert device.names == ["fourth", "new"]
    assert Device(device.flash).names == ["fourth", "new"]


def test_uploads_that_are_refused() -> None:
    device = Device(stocked())
    device.boot()
    room = SIZE - SECTOR
    assert lib.fw_slots_upload_bytes(device.slots) == room
    assert device.begin(b".hidden", 100) == "name"
    assert device.begin(b"big", room + 1) == "size"
    assert device.begin(b"big", 2**32 + 100) == "size"
    assert device.begin(b"old", len(NEW)) == "in_use"
    assert device.begin(b"new", len(NEW)) == "ok"
    assert device.begin(b"other", len(NEW)) == "in_use"
    assert device.load(b"new") == "not_found"
    device.boot()
    lib.fw_slots_upload_abort(device.slots)
    assert device.write(b"x") == device.end() == "in_use"
    assert device.remove(b"old") == "in_use"
    assert device.remove(b"new") == "not_found"


def test_bytes_that_are_no_image_are_never_stored() -> None:
    device = Device(stocked())
    device.boot()
    damaged = bytearray(NEW)
    damaged[500] ^= 4
    assert device.upload(b"new", bytes(damaged)) == "image"
    assert device.error.line == "the checksum does not match: the image is damaged"
    assert device.upload(b"new", b"") == "image"
    assert device.begin(b"new", len(NEW)) == "ok"
    assert device.write(NEW[:700]) == "ok"
    assert device.end() == "image"
    assert device.error.line == "the image is cut short"
    assert device.begin(b"new", 10) == "ok"
    assert device.write(NEW[:11]) == "size"
    assert device.names == ["old", ""]
    assert device.upload(b"new", NEW) == "ok"
    assert Device(device.flash).boot(b"old") == "old"


def test_what_is_no_image_costs_no_stored_model() -> None:
    device = Device(stocked())
    device.boot()
    assert device.upload(b"new", NEW) == "ok"
    for data in (b"", b"SHR", b"PK\x03\x04" + bytes(600)):
        assert device.begin(b"other", len(data)) == "ok"
        assert (device.write(data) if data else device.end()) == "image"
        assert device.names == ["old", "new"]
    assert Device(device.flash).names == ["old", "new"]


def test_an_image_that_could_not_be_mapped_beside_the_other_is_refused() -> None:
    device = Device(stocked())
    device.boot()
    device.flash.mappable = SECTOR + len(NEW) - 1
    assert lib.fw_slots_upload_bytes(device.slots) == len(NEW) - 1
    assert device.begin(b"new", len(NEW)) == "size"
    device.flash.mappable = 0
    assert lib.fw_slots_upload_bytes(device.slots) == 0
    device.flash.mappable = SECTOR + len(NEW)
    assert device.upload(b"new", NEW) == "ok"


def test_of_two_with_one_name_the_one_that_does_not_answer_is_removed() -> None:
    flash = stocked()
    device = Device(flash)
    assert device.upload(b"new", NEW) == "ok"
    flash.slots[0][:SECTOR], flash.slots[1][:SECTOR] = header_of("same", OLD, 1), header_of("same", NEW, 2)
    for answering, left in ((0, ["same", ""]), (1, ["", "same"])):
        copy = Flash((SIZE, SIZE))
        copy.slots = [bytearray(slot) for slot in flash.slots]
        device = Device(copy)
        assert not lib.fw_slots_load(device.slots, answering, device.model, device.error.struct)
        assert device.remove(b"same") == "ok"
        assert device.names == left
        assert device.remove(b"same") == "in_use"


def test_a_flash_that_fails_ends_the_upload() -> None:
    device = Device(stocked())
    device.boot()
    device.flash.fails = True
    assert device.upload(b"new", NEW) == "engine"
    assert device.error.line == "the flash could not be written"
    device.flash.fails = False
    assert device.upload(b"new", NEW) == "ok"


def test_one_slot_alone_holds_a_model_that_cannot_be_replaced_while_it_answers() -> None:
    device = Device(Flash((SIZE, 0)))
    assert device.upload(b"old", OLD) == "ok"
    assert device.boot() == "old"
    assert lib.fw_slots_upload_bytes(device.slots) == 0
    assert device.begin(b"new", len(NEW)) == "size"


def upload_new(device: Device) -> None:
    device.upload(b"new", NEW)


def replace_other(device: Device) -> None:
    device.upload(b"other", NEW)


def upload_third(device: Device) -> None:
    device.upload(b"third", NEW)


def remove_other(device: Device) -> None:
    device.remove(b"other")


@pytest.mark.parametrize(
    ("action", "other", "loaded"),
    [
        (upload_new, False, True),
        (upload_new, False, False),
        (upload_third, True, True),
        (upload_third, True, False),
        (replace_other, True, True),
        (remove_other, True, True),
    ],
)
@pytest.mark.parametrize("block", [SECTOR, 4 * SECTOR])
def test_the_power_may_go_at_any_moment(
    action: Callable[[Device], None], other: bool, loaded: bool, block: int
) -> None:
    """Cut in the middle of each erase and each write in turn, with other bits left behind each time."""
    start = stocked()
    if other:
        device = Device(start)
        device.boot()
        assert device.upload(b"other", OTHER) == "ok"
    images = {"old": [OLD], "other": [OTHER, NEW], "new": [NEW], "third": [NEW]}
    cut, finished = 0, False
    while not finished:
        cut += 1
        for chance in range(1 if SANITIZED else 3):
            flash = Flash((SIZE, SIZE), block)
            flash.slots = [bytearray(slot) for slot in start.slots]
            flash.cut_at, flash.chance = cut, random.Random(100 * cut + chance)
            device = Device(flash)
            if loaded:
                assert device.boot(b"old") == "old"
            action(device)
            finished = flash.operations < cut
            flash.cut_at = NO_CUT

            again = Device(flash)
            name = again.boot(b"old")
            survives = loaded or not (other and action is upload_third)  # else the older gives way
            assert name == "old" if survives else name in ("other", "third")
            assert image_of(again) in images[str(name)]
            for stored in filter(None, again.names):  # whatever counts as stored is whole
                assert again.load(stored.encode()) == "ok"
                assert image_of(again) in images[stored]
            lib.fw_slots_unload(again.slots)
            if loaded:
                assert again.boot(b"old") == "old"
            assert again.upload(b"after", OTHER) == "ok"
            assert Device(flash).boot(b"after") == "after"
    assert cut > (3 if action is not remove_other else 1)
