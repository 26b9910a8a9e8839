"""A device places tensors where the planner says."""

from __future__ import annotations

import pytest
from engine.models import BYTES, random_parameters, tiny_config
from hypothesis import given
from hypothesis import strategies as st

from firmware.core import Opened, ffi, lib
from shrew.chips.layout import config_layout
from shrew.chips.placement import FLASH, PSRAM, SRAM, place
from shrew.image import WeightType, build_image

SHAPES = {
    "tied head": {},
    "head of its own": {"tied_head": False, "position": "learned", "bias_qkv": True, "bias_mlp": True, "norm": "layer"},
}
IMAGES = {}
for shape, changes in SHAPES.items():
    config = tiny_config(**changes)
    for weight in (WeightType("f32"), WeightType("q8"), WeightType("q4", 16), WeightType("ternary")):
        image = Opened(build_image(config, random_parameters(config), BYTES, types=weight))
        IMAGES[f"{shape}, {weight}"] = image, config_layout(config, weight)


@pytest.mark.parametrize("name", IMAGES)
@given(data=st.data())
def test_tensors_live_where_the_planner_says(name: str, data: st.DataObject) -> None:
    opened, layout = IMAGES[name]
    room = st.integers(0, layout.weight_bytes + 64)
    sram, psram = data.draw(room), data.draw(room)
    memories = ffi.new("placement[]", opened.model.tensors)
    lib.fw_placement_choose(opened.model, sram, psram, memories)
    names = {lib.PLACEMENT_FLASH: FLASH, lib.PLACEMENT_SRAM: SRAM, lib.PLACEMENT_PSRAM: PSRAM}
    planned = place(layout, sram, psram)
    assert [names[memory] for memory in memories] == [planned[tensor.name] for tensor in layout.tensors]


@pytest.mark.parametrize("name", IMAGES)
def test_tensors_have_the_size_that_the_planner_reckons_with(name: str) -> None:
    opened, layout = IMAGES[name]
    sizes = [lib.fw_placement_bytes(opened.model, index) for index in range(opened.model.tensors)]
    assert sizes == [tensor.bytes for tensor in layout.tensors]
