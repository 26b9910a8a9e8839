"""A plan's layout of an image is what the writer writes, and its session size is the engine's."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from engine.models import random_image, tiny_config

from shrew.chips.layout import config_layout, image_layout
from shrew.chips.plan import session_bytes
from shrew.engine import Model
from shrew.image import WeightType, weight_bytes
from shrew.image.contents import describe, model_config
from shrew.model.presets import PRESETS

TYPES = [WeightType("f32"), WeightType("q8"), WeightType("q8", 64), WeightType("q4"), WeightType("ternary", 48)]
#: An image ends with its last tensor, which is not padded to a multiple of 64.
LAST = 64


@pytest.mark.parametrize("weight", TYPES, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_weights_take_what_the_writer_says(name: str, weight: WeightType) -> None:
    config = PRESETS[name].model
    written = weight_bytes(config, weight)
    assert written <= config_layout(config, weight).weight_bytes < written + LAST


@pytest.mark.parametrize("weight", TYPES, ids=str)
def test_tensors_of_an_image_lie_as_far_apart_as_the_layout_says(weight: WeightType) -> None:
    """Offsets from the image's own directory: docs/FORMAT.md, section 3."""
    image = random_image(types=weight, vocab=259, dim=24, ffn=72, norm="layer", bias_qkv=True)
    layout = image_layout(Model.from_bytes(image))
    directory = next(s for s in describe(Model.from_bytes(image))["sections"] if s["name"] == "tensor directory")
    starts = [struct.unpack_from("<I", image, directory["offset"] + 32 * i + 20)[0] for i in range(len(layout.tensors))]
    assert [b - a for a, b in pairwise(starts)] == [tensor.bytes for tensor in layout.tensors[:-1]]
    assert layout.image_bytes == pytest.approx(len(image), abs=LAST)


@pytest.mark.parametrize("cache", ["f32", "int8"])
def test_a_session_takes_what_the_engine_says_of_the_image(cache: str) -> None:
    changes = {"kv_heads": 1, "position": "learned"}
    model = Model.from_bytes(random_image(types=WeightType("q8"), **changes))
    assert model_config(model).kv_heads == tiny_config(**changes).kv_heads == 1
    for context in (1, 20, 48):
        said = model.session_bytes(context=context, cache=cache, threads=2)
        assert session_bytes(model_config(model), context, cache == "f32", 2) == said
