"""Images with known answers: the last token alone determines the next one."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from engine.models import BYTES
from image.sections import with_checksum

from shrew.image import Commands, WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.tokenizer import Tokenizer, train_character

BEGIN, END, ANSWER = 0, 1, 2

#: No byte occurs twice, so each determines the next.
TEXT = "Works: é!"


def image_that_follows(
    next_token: Mapping[int, int],
    *,
    tokenizer: Tokenizer = BYTES,
    context: int = 256,
    layers: int = 1,
    width: int = 2,
    score: float = 1.0,
    types: WeightType = WeightType("q8"),  # noqa: B008  (an immutable tuple)
    metadata: Mapping[str, str] | None = None,
    **options: Any,
) -> bytes:
    """Tokens are one-hot, the layers add nothing (but take time), and the head looks up the next token."""
    config = ModelConfig(
        dim=tokenizer.vocab,
        layers=layers,
        heads=1,
        head_dim=width,
        vocab=tokenizer.vocab,
        context=context,
        ffn=1,
        norm="rms-plain",
        mlp="relu",
        tied_head=False,
        final_norm=False,
    )
    parameters = {spec.name: np.zeros(spec.shape, np.float32) for spec in tensor_specs(config)}
    parameters["token_embedding.weight"] = 10 * np.eye(tokenizer.vocab, dtype=np.float32)
    for token, following in next_token.items():
        parameters["head.weight"][following, token] = score
    pairs = list((metadata or {}).items())
    return build_image(config, parameters, tokenizer, types=types, metadata=pairs, **options)


def ids(text: str) -> list[int]:
    return [int(token) for token in BYTES.encode(text)]


@cache
def answering() -> bytes:
    """Answers ``TEXT`` to everything."""
    chain = [ANSWER, *ids(TEXT), END]
    metadata = {"name": "Test model", "description": "Says one thing.\nDoes it work?", "licence": "CC0"}
    return image_that_follows(dict(pairwise(chain)), metadata=metadata)


@cache
def commanding(threshold: float) -> bytes:
    """Answers with the command ``lamp``, with a confidence between 0.9 and 0.99."""
    chain = [ANSWER, *ids("Do: lamp"), END]
    commands = Commands.of(["lamp", "lam", "fan"], threshold)
    return image_that_follows(dict(pairwise(chain)), metadata={"refusal": "Not sure."}, commands=commands)


@cache
def endless() -> bytes:
    """Repeats ``ab`` until its context is full, which takes seconds."""
    return looping(context=16384, layers=8, width=64)


@cache
def looping(context: int = 24, layers: int = 1, width: int = 2) -> bytes:
    """Repeats ``ab`` until its context is full."""
    a, b = ids("ab")
    return image_that_follows({ANSWER: a, a: b, b: a}, context=context, layers=layers, width=width)


@cache
def overflowing() -> bytes:
    """Computes NaN or infinity, and has no self-test."""
    return image_that_follows(
        dict.fromkeys(range(BYTES.vocab), 5), score=1e38, types=WeightType("f32"), selftest_prompt=[]
    )


@cache
def failing() -> bytes:
    """Its self-test records other tokens than it generates."""
    changed = bytearray(looping())
    for i in range(struct.unpack_from("<I", changed, 16)[0]):
        kind, _, offset, _ = struct.unpack_from("<IIII", changed, 64 + 16 * i)
        if kind == 6:
            changed[offset + 8] ^= 1
    return with_checksum(bytes(changed))


@cache
def lettered() -> bytes:
    """Has tokens only for the characters a, b and c."""
    tokenizer = train_character(["abc"])
    return image_that_follows({}, tokenizer=tokenizer)
