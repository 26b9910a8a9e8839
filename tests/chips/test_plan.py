"""Plans: what fits, what does not, and speeds compared with published measurements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shrew.chips.changes import changes
from shrew.chips.facts import CHIPS, FIRMWARE, KB, MB
from shrew.chips.heap import LEAST_PIECE, share
from shrew.chips.layout import config_layout
from shrew.chips.plan import Plan, Request, make_plan
from shrew.image import WeightType
from shrew.model.config import ModelConfig
from shrew.model.presets import PRESETS, preset

STORIES3M = ModelConfig(dim=192, layers=6, heads=6, kv_heads=2, ffn=512, vocab=4096, context=512)


def plan_of(name: str, config: ModelConfig, weight: str = "q8", group: int = -1, **options: Any) -> Plan:
    chip = CHIPS[name]
    fields = {"psram": chip.default_psram, "flash": chip.default_flash, "context": config.context, **options}
    layout = config_layout(config, WeightType(weight, group))
    return make_plan(Request(layout, chip, **fields))


def test_speed_of_3m_parameters_beside_a_published_one() -> None:
    """github.com/doryiii/esp32-llm: 3.3M parameters in int8, vector unit, one core, ESP32-S3: 12 tokens/s."""
    plan = plan_of("esp32s3", STORIES3M, "q8", 64, cores=1)
    assert plan.decode.per_second == pytest.approx(12, rel=0.25)


def test_the_head_beside_a_published_profile() -> None:
    """github.com/manjunathshiva/esp32-tinyllm, RESULTS.md: a head of 25,096 x 96 in int8 takes 57.6 ms from PSRAM."""
    config = ModelConfig(dim=96, layers=6, heads=4, ffn=66, vocab=25_096, context=256, tied_head=False)
    plan = plan_of("esp32s3", config, cores=1)
    assert plan.placement["head.weight"] == "psram"
    assert plan.decode.by_step["head"] == pytest.approx(0.0576, rel=0.15)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", PRESETS)
def test_memories_hold_everything_once(chip: str, name: str) -> None:
    plan = plan_of(chip, preset(name).model)
    held = {use.name: use.segments for use in plan.memories}
    image = plan.request.layout.image_bytes
    assert sum(count for key, count in held["flash"].items() if key != "firmware") == image
    assert sum(segments.get("session", 0) for segments in held.values()) == plan.session_bytes
    if plan.fits:
        assert all(use.left >= 0 for use in plan.memories)


@pytest.mark.parametrize("chip", CHIPS)
def test_more_of_anything_is_never_slower(chip: str) -> None:
    plan = plan_of(chip, STORIES3M, context=64)
    request = plan.request
    better = [
        replace(request, wifi=False),
        replace(request, psram=max(CHIPS[chip].psram, default=0)),
        replace(request, context=32),
    ]
    worse = [replace(request, cores=1)]
    for other in better:
        assert make_plan(other).decode.seconds <= plan.decode.seconds * 1.0001
    for other in worse:
        assert make_plan(other).decode.seconds >= plan.decode.seconds * 0.9999


def test_weights_are_waited_for_in_prompts_once_a_block() -> None:
    plan = plan_of("esp32s3", preset("qa-18x192").model)
    assert plan.prompt.by_cause["psram"] < plan.decode.by_cause["psram"] / 7


def test_what_does_not_fit_is_said_with_the_bytes() -> None:
    plan = plan_of("esp32", preset("qa-18x192").model)
    assert not plan.fits
    assert list(plan.lacking) == ["flash", "mapping", "session"]
    assert f"{plan.request.layout.image_bytes:,}" in plan.lacking["flash"]
    assert f"{plan.session_bytes:,}" in plan.lacking["session"]


def test_a_session_needs_one_piece_of_memory() -> None:
    """On an ESP32 without Wi-Fi, models get 141 KB, but in pieces; 126 KB do not fit the largest of 111 KB."""
    config = replace(preset("desk").model, context=464)
    plan = plan_of("esp32", config, wifi=False)
    sram = share(CHIPS["esp32"], wifi=False, psram=False)
    assert sram.largest < plan.session_bytes < sram.room
    assert list(plan.lacking) == ["session"]


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("psram", [False, True])
def test_all_of_the_sram_is_accounted_for(name: str, psram: bool) -> None:
    """The firmware's part is what its figures say, except small pieces that no model uses."""
    chip = CHIPS[name]
    without, with_wifi = (share(chip, wifi, psram) for wifi in (False, True))
    assert sum(chip.heap.regions) < chip.sram
    for one in (without, with_wifi):
        assert one.static >= chip.heap.static.value
        assert one.static + one.wifi + one.firmware + one.room == chip.sram
        assert list(one.pieces) == sorted(one.pieces, reverse=True)
        assert one.firmware >= FIRMWARE.start.value + FIRMWARE.tasks.value + FIRMWARE.reserve.value
    assert without.wifi == 0 < with_wifi.wifi == pytest.approx(without.room - with_wifi.room, abs=2 * LEAST_PIECE)


def test_an_esp32_c3_with_wifi_is_as_a_boot_showed() -> None:
    """88,384 bytes for models in one piece, as the image of tests/board/test_chip_image.py showed on 2026-11-30."""
    sram = share(CHIPS["esp32c3"], wifi=True, psram=False)
    assert sram.pieces == (pytest.approx(88_384, rel=0.01),)
    assert plan_of("esp32c3", preset("desk").model).fits


def test_psram_takes_of_the_window_where_it_is_mapped_there() -> None:
    """512 pages of 64 KB for code, image and PSRAM on the ESP32-S3."""
    big = replace(STORIES3M, vocab=60_000)
    fits = plan_of("esp32s3", big, psram=16 * MB, flash=32 * MB, context=64)
    full = plan_of("esp32s3", big, psram=32 * MB, flash=32 * MB, context=64)
    assert fits.fits
    assert list(full.lacking) == ["mapping"]
    assert full.mapped == fits.mapped + 16 * MB
    assert fits.mapped % CHIPS["esp32s3"].page == 0


def test_slots_are_images_that_fit_beside_the_firmware() -> None:
    plan = plan_of("esp32c3", preset("tiny").model, context=64)
    pages = -(-plan.request.layout.image_bytes // (64 * KB))
    assert plan.slots == (4 * MB - FIRMWARE.flash.value) // (pages * 64 * KB) == 2


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", ["desk", "tiny", "qa-12x192"])
def test_changes_help(chip: str, name: str) -> None:
    plan = plan_of(chip, preset(name).model)
    found = changes(plan)
    assert all(change.plan.fits for change in found)
    assert found == sorted(found, key=lambda change: -change.plan.decode.per_second)
    if plan.fits:
        assert all(change.plan.decode.seconds < plan.decode.seconds for change in found)


def test_the_longest_context_that_fits_is_found() -> None:
    plan = plan_of("esp32c3", preset("tiny").model)
    assert not plan.fits
    (found,) = (change for change in changes(plan) if change.what.startswith("a context"))
    context = found.plan.request.context
    assert not make_plan(replace(plan.request, context=context + 16)).fits
