"""Predicted instructions against counted ones, on models that no cost was fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from shrew.chips.costs import known, price, total
from shrew.chips.layout import config_layout, image_layout
from shrew.chips.work import decode_steps, steps
from shrew.engine import Model
from shrew.errors import ToolsMissingError
from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.model.presets import PRESETS
from shrew.ports import EMULATED, Job
from shrew.tokenizer import train_character

#: All differ in size from the models that were fitted to, and from each other in their options: a llama, a GPT-2, and a
#: model without gains whose down projection is not a multiple of eight.
MODELS = {
    "llama": (ModelConfig(dim=80, layers=2, heads=6, kv_heads=3, head_dim=16, vocab=300, context=64, ffn=200), "q8", 0),
    "llama in q4": (ModelConfig(dim=144, layers=1, heads=4, vocab=200, head_dim=32, context=64, ffn=300), "q4", 32),
    "gpt": (
        ModelConfig(
            dim=128,
            layers=2,
            heads=4,
            vocab=150,
            context=64,
            ffn=256,
            norm="layer",
            position="learned",
            mlp="gelu",
            bias_qkv=True,
            bias_out=True,
            bias_mlp=True,
        ),
        "ternary",
        64,
    ),
    "floats": (ModelConfig(dim=40, layers=1, heads=5, vocab=100, context=64, ffn=90, norm="rms-plain"), "f32", 0),
}
WITHIN = 0.1


def model_of(name: str) -> Model:
    config, kind, group = MODELS[name]
    random = np.random.default_rng(len(name))
    parameters = {
        spec.name: random.normal(0.0, 2.0 / spec.cols**0.5, spec.shape).astype(np.float32)
        for spec in tensor_specs(config)
    }
    tokenizer = train_character("".join(chr(0x4E00 + i) for i in range(config.vocab - 1)))
    return Model.from_bytes(build_image(config, parameters, tokenizer, types=WeightType(kind, group)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", EMULATED)
def test_predictions_are_near_counts(target: str, name: str) -> None:
    machine = EMULATED[target]
    try:
        machine.require_tools()
    except ToolsMissingError as missing:
        pytest.skip(str(missing))
    model = model_of(name)
    layout, prices = image_layout(model), known()[target].instructions
    image = bytes(model.image())[: model.image_bytes]
    (outcome,) = machine.run([Job(image=image, prompt=list(range(40)), tokens=20, trace=True)])
    assert len(outcome.steps) == 24  # five blocks and 19 tokens fed
    for step in outcome.steps:
        done = steps(
            layout,
            tokens=step.tokens,
            position=step.position,
            scored=int(step.position >= 32),
            sampled=step.position >= 32,
            floats=layout.is_float,
        )
        assert step.instructions is not None
        assert price(total(one.units for one in done), prices) == pytest.approx(step.instructions, rel=WITHIN)


@pytest.mark.parametrize("costs", known())
def test_no_work_is_free(costs: str) -> None:
    """Every loop over weights, keys or tokens of the vocabulary has a cost on every chip that can be planned for."""
    prices = known()[costs]
    for preset in PRESETS.values():
        for kind in ("q8", "q4", "ternary", "f32"):
            work = total(step.units for step in decode_steps(config_layout(preset.model, WeightType(kind)), 10))
            products = {unit: times for unit, times in work.items() if unit.startswith(kind)}
            spent = price(products, prices.instructions) + price(products, prices.vector_cycles)
            multiply_adds = work[f"{kind} product"]
            assert 0.25 * multiply_adds < spent


def test_the_vector_units_prices_are_what_its_source_says() -> None:
    """pie.S: 4 instructions and 1 cycle of waiting for 16 columns of weights, 5 and 1 with a mask; 6 instructions for a
    score of a head of 8; 5 to mix 8 columns of a value."""
    cycles = known()["esp32s3-pie"].vector_cycles
    assert 16 * cycles["q8 product"] == 5
    assert 16 * cycles["q4 product"] == 16 * cycles["ternary product"] == 6
    assert cycles["score 8"] == 6
    assert 8 * cycles["mix"] == 5
