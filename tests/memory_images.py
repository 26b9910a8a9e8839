"""Images with a memory that knows some questions to the letter, for tests of whoever asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from engine.models import BYTES, random_parameters, tiny_config

from shrew.engine import Model
from shrew.engine.tokenizer import question_features
from shrew.image import Commands, WeightType, build_image
from shrew.memory import REFUSAL, Memory
from shrew.tokenizer import PromptForm, Tokenizer

REFUSAL_TEXT = "I do not know that."
#: A question of each kind. None: it is refused.
ANSWERS = {
    "turn on the lamp": "Do: led on",
    "what is the flash size": "16 MB of flash, it is.",
    "how are you": "Großartig! 🐁",
    "who won the cup": None,
}
FOLDED = replace(BYTES, prompt_form=PromptForm.for_prompts(ANSWERS))


def knowing(
    answers: Mapping[str, str | None] = ANSWERS,
    *,
    tokenizer: Tokenizer = FOLDED,
    buckets: int = 64,
    dim: int = 16,
    bits: int = 4,
    accept: float = 0.8,
    refuse: float = 0.3,
    clear: float = 0.0,
) -> Memory:
    """A memory with a random table, whose keys are these questions themselves."""
    rng = np.random.default_rng(7)
    table = rng.integers(-8, 8, (buckets, dim)).astype(np.int8)
    sums = [table[question_features(question.encode()) & (buckets - 1)].sum(axis=0) for question in answers]
    keys = [np.round(sum_ * (100 / np.linalg.norm(sum_))) for sum_ in sums]
    texts = list(dict.fromkeys(answer for answer in answers.values() if answer is not None))
    return Memory(
        table=table,
        bits=bits,
        keys=np.array(keys).astype(np.int8),
        key_scale=0.01,
        answer_of=np.array([REFUSAL if text is None else texts.index(text) for text in answers.values()]),
        answers=tuple(tuple(tokenizer.encode(text).tolist()) for text in texts),
        accept=accept,
        refuse=refuse,
        clear=clear,
    )


def remembering(
    memory: Memory | None = None,
    *,
    tokenizer: Tokenizer = FOLDED,
    commands: Commands | None = None,
    metadata: Any = (("refusal", REFUSAL_TEXT),),
    **config: Any,
) -> bytes:
    """The image of a random model with a memory."""
    shape = tiny_config(vocab=tokenizer.vocab, **config)
    return build_image(
        shape,
        random_parameters(shape),
        tokenizer,
        types=WeightType("q8"),
        metadata=metadata,
        commands=commands,
        memory=memory or knowing(tokenizer=tokenizer),
    )


MODEL = Model.from_bytes(remembering())
