"""Images of many kinds, and their hashes from the former writer in Python, which the engine's writer must reproduce.

``golden_images.json`` was made at commit 7368d05, by ``PYTHONPATH=tests python -m image.golden_images``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shrew.engine import QuantizedMatrix, multiplier_limit, quantize
from shrew.engine.tensor import RANGES
from shrew.image import Commands, WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.model.presets import PRESETS
from shrew.tokenizer import train_bpe, train_character

FILE = Path(__file__).with_suffix(".json")
TYPES = ("f32", "q8", "q4", "ternary")
RANDOM = 160
#: Presets up to this size; larger ones test nothing new and are slow.
MOST_PARAMETERS = 2_000_000

BYTES = train_bpe([], vocab=259, unicode=False)
UNICODE = train_bpe(["ein Wort, noch ein Wort"], vocab=270, unicode=True)
CHARACTERS = train_character(["abc äöü"])


def numbers(random_numbers: random.Random, *shape: int) -> Any:
    """Floats that are the same with every version of NumPy."""
    seed = random_numbers.getrandbits(32)
    count = int(np.prod(shape))
    values = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed)) % np.uint64(1000003)
    return ((values.astype(np.float64) - 500001) / 1000003).astype(np.float32).reshape(shape)


def weight_type(r: random.Random) -> WeightType:
    return WeightType(r.choice(TYPES), r.choice([-1, 0, *range(16, 257, 16)]))


def integers(r: random.Random, kind: str, group: int, rows: int, cols: int) -> QuantizedMatrix:
    """Random integers, up to the ends of their ranges."""
    low, high = RANGES[kind]
    values = np.rint(numbers(r, rows, cols) * 2 * high).clip(low, high).astype(np.int8)
    multipliers = None
    if group:
        limit = multiplier_limit(kind, cols)
        multipliers = np.rint(numbers(r, rows, -(-cols // group)) * 2 * limit).astype(np.int8)
    return QuantizedMatrix(kind, group, values, np.abs(numbers(r, rows)), multipliers)


def preset_image(name: str, weight: WeightType) -> bytes:
    r, preset = random.Random(name), PRESETS[name].model
    config = PRESETS[name].model_for(259) if preset.vocab < 259 else preset
    tokenizer = train_character([chr(0x4E00 + i) for i in range(config.vocab - 1)])
    parameters = {spec.name: numbers(r, *spec.shape) for spec in tensor_specs(config)}
    return build_image(config, parameters, tokenizer, types=weight)


def random_image(seed: int) -> bytes:
    r = random.Random(seed)
    tokenizer = r.choice([BYTES, UNICODE, CHARACTERS])
    kv_heads = r.randint(1, 3)
    switches = ("bias_qkv", "bias_out", "bias_mlp", "tied_head", "embed_norm", "final_norm")
    config = ModelConfig(
        dim=r.choice([1, 3, 16, 17, 40, 64, 130, r.randint(1, 300)]),
        layers=r.randint(1, 3),
        heads=kv_heads * r.randint(1, 2),
        kv_heads=kv_heads,
        head_dim=2 * r.randint(1, 12),
        vocab=tokenizer.vocab,
        context=r.choice([1, 2, 5, 40]),
        ffn=r.choice([1, 2, 33, 128, r.randint(1, 300)]),
        norm=r.choice(["rms", "rms-plain", "layer"]),
        position=r.choice(["rope", "learned"]),
        mlp=r.choice(["swiglu", "gelu", "relu"]),
        **{name: r.random() < 0.5 for name in switches},
    )
    parameters: dict[str, Any] = {}
    types = {}
    for spec in tensor_specs(config):
        weight = types[spec.name] = weight_type(r)
        parameters[spec.name] = numbers(r, *spec.shape)
        if not spec.vector and weight.type != "f32" and r.random() < 0.3:
            parameters[spec.name] = integers(r, weight.type, weight.checked().group, *spec.shape)
        elif not spec.vector and weight.type != "f32" and r.random() < 0.2:
            parameters[spec.name] = quantize(parameters[spec.name], weight.type, weight.checked().group)
    metadata = [("name", "größer"), ("stop", "x" * r.randint(1, 64)), ("refusal", "")][: r.randint(0, 3)]
    return build_image(
        config,
        parameters,
        tokenizer,
        types=types,
        metadata=metadata,
        commands=Commands.of(["light (on|off)", "dim <0-100>"]) if r.random() < 0.3 else None,
        selftest_prompt=r.choice([None, [1, 2, 3], [0] * 60, []]),
    )


def cases() -> dict[str, Callable[[], bytes]]:
    made: dict[str, Callable[[], bytes]] = {}
    for name, preset in PRESETS.items():
        if preset.model.parameters <= MOST_PARAMETERS:
            for weight in TYPES:
                made[f"{name} {weight}"] = partial(preset_image, name, WeightType(weight))
    for seed in range(RANDOM):
        made[f"random {seed}"] = partial(random_image, seed)
    return made


if __name__ == "__main__":
    hashes = {name: hashlib.sha256(make()).hexdigest() for name, make in cases().items()}
    FILE.write_text(json.dumps(hashes, indent=1) + "\n")
