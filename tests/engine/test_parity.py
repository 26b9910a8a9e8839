"""The engine computes what the readable NumPy transformer computes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config

from shrew.engine import Model
from shrew.image import WeightType, build_image, model_config, read_parameters
from shrew.model.transformer import forward

OPTIONS = {
    "rms, rope, swiglu": {},
    "rms without gain": {"norm": "rms-plain"},
    "layer norm": {"norm": "layer"},
    "learned positions": {"position": "learned"},
    "gelu": {"mlp": "gelu"},
    "relu": {"mlp": "relu"},
    "grouped queries": {"heads": 4, "kv_heads": 2},
    "one key head": {"heads": 6, "kv_heads": 1, "head_dim": 6},
    "heads wider than the stream": {"heads": 3, "head_dim": 16},
    "biases on queries, keys, values": {"bias_qkv": True},
    "bias on the attention output": {"bias_out": True},
    "MLP biases, gated": {"bias_mlp": True},
    "MLP biases, plain": {"bias_mlp": True, "mlp": "gelu"},
    "untied head": {"tied_head": False},
    "embedding norm, no final norm": {"embed_norm": True, "final_norm": False},
    "GPT-2": {
        "norm": "layer",
        "position": "learned",
        "mlp": "gelu",
        "bias_qkv": True,
        "bias_out": True,
        "bias_mlp": True,
    },
    "odd sizes": {"dim": 21, "heads": 1, "head_dim": 10, "ffn": 37},
    "one layer, one head, two wide": {"dim": 2, "layers": 1, "heads": 1, "ffn": 1},
    "another eps and base": {"norm_eps": 1e-3, "rope_theta": 500.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_float_logits_agree_to_1e_4(options: dict[str, object]) -> None:
    config = tiny_config(**options)
    parameters = random_parameters(config)
    ids = np.random.default_rng(1).integers(0, config.vocab, config.context).astype(np.uint16)
    exact = {name: tensor.astype(np.float64) for name, tensor in parameters.items()}
    expected = forward(config, exact, ids[None].astype(np.intp))[0]
    model = Model.from_bytes(build_image(config, parameters, BYTES))
    logits = model.session().feed_all(ids)
    assert np.abs(logits - expected).max() < 1e-4


@pytest.mark.parametrize("group", [0, 16, 48, 256])
@pytest.mark.parametrize("kind", ["q8", "q4", "ternary"])
def test_integers_stay_near_the_same_network_with_its_dequantised_weights(kind: str, group: int) -> None:
    config = tiny_config(heads=4, kv_heads=2, bias_qkv=True)
    parameters = random_parameters(config, spread=0.15)
    model = Model.from_bytes(build_image(config, parameters, BYTES, types=WeightType(kind, group)))
    ids = np.random.default_rng(2).integers(0, config.vocab, config.context).astype(np.uint16)
    expected = forward(config, read_parameters(model), ids[None].astype(np.intp))[0]
    logits = model.session().feed_all(ids)
    # What is left is the rounding of activations, keys and values: a percent of the logits' own spread.
    assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.02 * expected.std()


@pytest.mark.parametrize("types", [WeightType("f32"), WeightType("q8", 16), WeightType("q4"), WeightType("ternary")])
def test_logits_do_not_depend_on_how_the_prompt_is_fed(types: WeightType) -> None:
    config = tiny_config()
    model = Model.from_bytes(build_image(config, random_parameters(config), BYTES, types=types))
    ids = np.random.default_rng(3).integers(0, config.vocab, 40).astype(np.uint16)
    one_by_one = model.session(block=1)
    expected = np.stack([one_by_one.feed([int(token)]) for token in ids])
    for block in (1, 2, 7, 16, 64):
        assert np.array_equal(model.session(block=block).feed_all(ids), expected), block
        assert np.array_equal(model.session(block=block).feed(ids), expected[-1]), block


def test_a_session_of_shorter_context_gives_the_same_logits() -> None:
    config = tiny_config()
    model = Model.from_bytes(build_image(config, random_parameters(config), BYTES))
    ids = np.arange(3, 23, dtype=np.uint16)
    assert np.array_equal(model.session(context=20).feed_all(ids), model.session().feed_all(ids))
    assert model.session_bytes(context=20) < model.session_bytes()


def test_mixed_types() -> None:
    config = tiny_config()
    parameters = random_parameters(config, spread=0.15)
    names = [name for name, value in parameters.items() if value.ndim == 2]
    kinds = ("f32", "q8", "q4", "ternary")
    choices = itertools.cycle([WeightType(kind, group) for kind in kinds for group in (0, 16, 48)])
    types = dict(zip(names, choices, strict=False))
    model = Model.from_bytes(build_image(config, parameters, BYTES, types=types))
    ids = np.arange(3, 43, dtype=np.uint16)
    expected = forward(config, read_parameters(model), ids[None].astype(np.intp))[0]
    logits = model.session().feed_all(ids)
    assert np.sqrt(np.mean((logits - expected) ** 2)) < 0.02 * expected.std()


def test_nothing_trained_is_dropped() -> None:
    """Every tensor of the configuration, biases and norms too, comes back from the image bit for bit."""
    config = tiny_config(norm="layer", position="learned", mlp="gelu", bias_qkv=True, bias_out=True, bias_mlp=True,
                         tied_head=False, embed_norm=True)  # fmt: skip
    parameters = random_parameters(config)
    model = Model.from_bytes(build_image(config, parameters, BYTES))
    assert model_config(model) == replace(config, norm_eps=float(np.float32(config.norm_eps)))
    stored = read_parameters(model)
    assert stored.keys() == parameters.keys()
    for name, value in parameters.items():
        assert np.array_equal(stored[name], value), name
