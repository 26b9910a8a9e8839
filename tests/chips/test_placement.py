"""The rule that decides which memory holds a tensor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shrew.chips.layout import Layout, config_layout
from shrew.chips.placement import FLASH, PSRAM, SRAM, place, read_whole
from shrew.image import WeightType
from shrew.model.config import ModelConfig
from shrew.model.presets import PRESETS

GPT = ModelConfig(dim=32, layers=2, heads=2, vocab=200, context=64, ffn=64, position="learned", tied_head=False)
LAYOUT = config_layout(GPT, WeightType("q8"))
ROOM = st.integers(0, 2 * LAYOUT.weight_bytes)


def taken(layout: Layout, sram: int, psram: int) -> dict[str, int]:
    memories = place(layout, sram, psram)
    return {
        memory: sum(tensor.bytes for tensor in layout.tensors if memories[tensor.name] == memory)
        for memory in (SRAM, PSRAM, FLASH)
    }


@given(ROOM, ROOM)
def test_no_memory_holds_more_than_it_has_room_for(sram: int, psram: int) -> None:
    held = taken(LAYOUT, sram, psram)
    assert held[SRAM] <= sram
    assert held[PSRAM] <= psram
    assert sum(held.values()) == LAYOUT.weight_bytes


@given(ROOM, ROOM)
def test_what_is_left_over_is_less_than_the_smallest_tensor_that_waits(sram: int, psram: int) -> None:
    memories = place(LAYOUT, sram, psram)
    waiting = [t.bytes for t in LAYOUT.tensors if read_whole(GPT, t) and memories[t.name] != SRAM]
    assert sram - taken(LAYOUT, sram, psram)[SRAM] < min(waiting, default=sram + 1)


@given(ROOM, st.integers(0, 5000))
def test_more_room_never_sends_a_tensor_back(sram: int, more: int) -> None:
    less, enough = place(LAYOUT, sram, 0), place(LAYOUT, sram + more, 0)
    assert all(enough[name] == SRAM for name, memory in less.items() if memory == SRAM)


def test_tables_of_which_a_token_reads_a_row_stay_in_flash() -> None:
    memories = place(LAYOUT, 10**9, 10**9)
    assert {name for name, memory in memories.items() if memory == FLASH} == {
        "token_embedding.weight",
        "position_embedding.weight",
    }


def test_a_tied_head_is_a_matrix() -> None:
    layout = config_layout(PRESETS["desk"].model, WeightType("q8"))
    assert set(place(layout, 10**9, 0).values()) == {SRAM}


def test_the_smallest_come_first_and_equal_ones_in_the_order_of_the_image() -> None:
    layout = config_layout(PRESETS["desk"].model, WeightType("q8"))
    norms = sum(tensor.bytes for tensor in layout.tensors if tensor.spec.vector)
    key = next(tensor.bytes for tensor in layout.tensors if tensor.name == "layers.0.key.weight")
    memories = place(layout, norms + 2 * key, 0)
    chosen = [name for name, memory in memories.items() if memory == SRAM and ".weight" in name and "norm" not in name]
    assert chosen == ["layers.0.key.weight", "layers.0.value.weight"]
