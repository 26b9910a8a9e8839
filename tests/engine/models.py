"""Models for tests: random ones with every option, and one that generates a given script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shrew.engine import Model
from shrew.image import Commands, WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.tokenizer import Tokenizer, train_bpe

#: Three special tokens (begin 0, end 1, answer 2), then the 256 bytes in the order of GPT-2.
BYTES = train_bpe([], vocab=259, unicode=False)

F32 = WeightType("f32")


def random_parameters(config: ModelConfig, seed: int = 0, spread: float = 0.3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    parameters = {}
    for spec in tensor_specs(config):
        values = rng.normal(0.0, spread, spec.shape).astype(np.float32)
        parameters[spec.name] = values + 1 if spec.name.endswith("norm.weight") else values
    return parameters


def tiny_config(**changes: Any) -> ModelConfig:
    fields: dict[str, Any] = {"dim": 24, "layers": 2, "heads": 2, "vocab": BYTES.vocab, "context": 48, "ffn": 40}
    return ModelConfig(**{**fields, **changes})


def random_image(
    seed: int = 0,
    types: WeightType = F32,
    spread: float = 0.3,
    commands: Commands | None = None,
    tokenizer: Tokenizer = BYTES,
    **changes: Any,
) -> bytes:
    config = tiny_config(**changes)
    parameters = random_parameters(config, seed, spread)
    return build_image(config, parameters, tokenizer, types=types, metadata=[("name", "tiny")], commands=commands)


def scripted_model(
    script: Sequence[int],
    *,
    context: int = 0,
    tokenizer: Tokenizer = BYTES,
    metadata: Sequence[tuple[str, str]] = (),
    commands: Commands | None = None,
) -> Model:
    """A model whose likeliest token at position i is ``script[i]``, whatever came before.

    Positions are learned one-hot vectors, the layer adds nothing, and the head looks up the position.
    """
    context = context or len(script)
    config = ModelConfig(
        dim=context,
        layers=1,
        heads=1,
        head_dim=2,
        vocab=tokenizer.vocab,
        context=context,
        ffn=1,
        norm="rms-plain",
        position="learned",
        mlp="relu",
        tied_head=False,
        final_norm=False,
    )
    parameters = {spec.name: np.zeros(spec.shape, np.float32) for spec in tensor_specs(config)}
    parameters["position_embedding.weight"] = np.eye(context, dtype=np.float32)
    for position, token in enumerate(script):
        parameters["head.weight"][token, position] = 10.0
    return Model.from_bytes(build_image(config, parameters, tokenizer, metadata=metadata, commands=commands))


def says(text: bytes, *, prompt: int = 2, end: bool = True, context: int = 0, **options: Any) -> Model:
    """A scripted model that answers ``text`` to a prompt of ``prompt`` tokens, frame included, and ends."""
    ids = BYTES.encode(text).tolist()
    return scripted_model([0] * (prompt - 1) + ids + ([1] if end else []), context=context, **options)
