"""Writes a model, firmware, or both to a board, so that after a failure a usable model is left.

Everything is checked before anything is erased. Firmware is written first, then the model, to a slot that does not hold
the newest one. The slot's header is erased first and written last, as firmware/core/slots.h requires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shrew.board.bootloader import Bootloader
from shrew.board.firmware import Firmware, Part
from shrew.board.partitions import TABLE_BYTES, TABLE_OFFSET, Partition, parse_table
from shrew.board.slots import (
    HEADER_BYTES,
    SECTOR,
    Record,
    Slot,
    choose_slot,
    newest,
    next_sequence,
    pack_header,
    slots_of,
    unpack_header,
)
from shrew.chips.facts import chip
from shrew.chips.plan import mapped_bytes
from shrew.engine import Model
from shrew.errors import BoardError, BoardLostError, ConfigError
from shrew.image.name import RULE, is_name

#: Called with the name of what is being written, the bytes done, and the bytes in all.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class NamedModel:
    """An image and its name on the board."""

    name: str
    image: bytes
    crc32: int
    """The checksum that the image states."""


@dataclass(frozen=True)
class FlashPlan:
    """What to write; all of it has been checked to fit."""

    chip: str
    flash_bytes: int
    parts: tuple[Part, ...]
    model: NamedModel | None
    slot: Slot | None
    """Where the model goes."""
    record: Record | None
    """The slot's new header."""
    replaces: str | None
    """The name of the slot's current model."""
    keeps: str | None
    """The name of the newest model that stays."""
    loses: tuple[str, ...]
    """Models that the new firmware or its partition table destroys."""


def read_model(path: Path, name: str | None = None) -> NamedModel:
    """Reads an image, validates it and runs its self-test. Without ``name`` it is named after the file."""
    model = Model.open(path)
    model.session().selftest()
    name = path.stem if name is None else name
    if not is_name(name):
        raise ConfigError(f"{name!r}: a model's name on a board is {RULE}; give one with --name")
    return NamedModel(name, bytes(model.image()), model.crc32)


def plan_flash(
    board: Bootloader, model: NamedModel | None, firmware: Firmware | None, slot: int | None = None
) -> FlashPlan:
    """Compares the board with what is to be written. BoardError if that does not suit the board or does not fit."""
    old = _stored(board, _table_of(board, required=firmware is None))
    if firmware:
        _check_firmware(firmware, board)
    slots = slots_of(firmware.partitions) if firmware else list(old)
    parts = firmware.parts if firmware else ()
    records = {s.number: record for s, record in old.items() if record and s in slots and not _covers(parts, s)}
    lost_names = tuple(record.name for s, record in old.items() if record and record is not records.get(s.number))
    chosen = replaced = header = None
    if model:
        chosen = choose_slot(slots, records, slot)
        _check_model(model, chosen, board)
        header = Record(model.name, len(model.image), model.crc32, next_sequence(records))
        replaced = records.pop(chosen.number, None)
    stays = newest(records)
    return FlashPlan(
        chip=board.chip,
        flash_bytes=board.flash_bytes,
        parts=parts,
        model=model,
        slot=chosen,
        record=header,
        replaces=replaced.name if replaced else None,
        keeps=records[stays].name if stays is not None else None,
        loses=lost_names,
    )


def carry_out(board: Bootloader, plan: FlashPlan, report: Report) -> None:
    """Writes what was planned, and verifies each piece."""
    pieces = [(part, "the board does not start until the command was repeated") for part in plan.parts]
    if plan.model and plan.slot and plan.record:
        start = plan.slot.partition.offset
        left = f"the board still has {plan.keeps}" if plan.keeps else "the board has no model until this is repeated"
        no_header, header = b"\xff" * HEADER_BYTES, pack_header(plan.record)
        for offset, data in ((0, no_header), (SECTOR, plan.model.image), (0, header)):
            pieces.append((Part(plan.model.name, start + offset, data), left))
    total = sum(len(part.data) for part, _ in pieces)
    done = 0
    for part, if_it_fails in pieces:
        try:
            board.write(part.offset, part.data, partial(_tell, report, part, done, total))
        except BoardError as error:
            raise BoardError(f"{error}; {if_it_fails}") from error
        done += len(part.data)


def _tell(report: Report, part: Part, before: int, total: int, fraction: float) -> None:
    report(part.name, before + round(fraction * len(part.data)), total)


def _table_of(board: Bootloader, *, required: bool) -> list[Partition]:
    try:
        return parse_table(board.read(TABLE_OFFSET, TABLE_BYTES), "the board")
    except BoardLostError:
        raise
    except BoardError:
        if required:
            raise
        return []


def _stored(board: Bootloader, partitions: Sequence[Partition]) -> dict[Slot, Record | None]:
    """The slots of a partition table, with the records of their headers."""

    def record(slot: Slot) -> Record | None:
        if slot.partition.end > board.flash_bytes:
            return None
        return unpack_header(board.read(slot.partition.offset, HEADER_BYTES), slot.room)

    return {slot: record(slot) for slot in slots_of(partitions)}


def _covers(parts: Sequence[Part], slot: Slot) -> bool:
    return any(part.offset < slot.partition.end and part.end > slot.partition.offset for part in parts)


def _check_firmware(firmware: Firmware, board: Bootloader) -> None:
    if firmware.chip != board.chip:
        raise BoardError(f"{firmware.source}: made for the {firmware.chip}, and the board has an {board.chip}")
    end = max(*(part.end for part in firmware.parts), *(p.end for p in firmware.partitions), firmware.flash_bytes)
    if end > board.flash_bytes:
        raise BoardError(
            f"{firmware.source}: made for {end:,} bytes of flash, and the board has {board.flash_bytes:,}: "
            f"{end - board.flash_bytes:,} too few; build it for a flash of this size (docs/FIRMWARE.md)"
        )


def _check_model(model: NamedModel, slot: Slot, board: Bootloader) -> None:
    size, partition = len(model.image), slot.partition
    what = f"{model.name} has {size:,} bytes"
    smaller = "quantize it to a smaller type (q4, ternary), or use a smaller preset"
    if size > slot.room:
        raise BoardError(
            f"{what}, and slot {slot.number} ({partition.label}) has room for {slot.room:,}: "
            f"{size - slot.room:,} too many; {smaller}, or firmware for a larger flash"
        )
    if partition.end > board.flash_bytes:
        raise BoardError(
            f"{partition.label} ends at {partition.end:,}, and the board's flash at {board.flash_bytes:,}: "
            "its firmware was built for a larger one; write one that fits with --firmware"
        )
    try:
        facts = chip(board.chip)
    except ConfigError as error:
        raise BoardError(f"the board has an {board.chip}, which Shrew's firmware is not made for") from error
    lacking = mapped_bytes(facts, size) - int(facts.window.value)
    if lacking > 0:
        raise BoardError(
            f"{what}, and an {board.chip} reads {facts.window.value:,.0f} of its flash in place, firmware included: "
            f"{lacking:,} too many; {smaller}"
        )
