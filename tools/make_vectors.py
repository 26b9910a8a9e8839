"""Makes ``vectors/``: the images, and the results of the reference kernels on this machine.

Usage: python tools/make_vectors.py [FOLDER]

Run it after adding a vector, or after a change that is meant to change results, and review the difference: every
changed line breaks a promise. Weights are random. Odd sizes are chosen because some loop ends there.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from shrew.engine.tokenizer import question_features
from shrew.image import Commands, WeightType, build_image
from shrew.memory import Memory
from shrew.model.config import ModelConfig, tensor_specs
from shrew.ports import Host, Job
from shrew.ports.vectors import Vector, save
from shrew.tokenizer import PromptForm, Tokenizer, train_bpe, train_character

#: The kernels that define the bits: SHREW_UNIT_REFERENCE.
REFERENCE: Final = 1

#: A tokenizer with few tokens, for small images; the byte tokenizer accepts any text.
CHARACTERS: Final = train_character(["abcdefghijklmnopqrstuvwxyz .,'"])
BYTES: Final = train_bpe([], vocab=259, unicode=False)
#: So few characters that some answer drawn at random is a command.
FORMED: Final = replace(BYTES, prompt_form=PromptForm.for_prompts(["l'\xe9t\xe9"]))
COMMANDS: Final = train_character(["Do: abc19"])

F32: Final = WeightType("f32")

#: Ids without a pattern.
PROMPT: Final = [int(token) for token in np.random.default_rng(1).integers(0, CHARACTERS.vocab, 64)]


@dataclass(frozen=True)
class Definition:
    """A vector without its results. ``model`` has fields of ModelConfig."""

    name: str
    reason: str
    model: dict[str, Any]
    type: WeightType | tuple[WeightType, ...]
    """The type of all matrices, or several types that matrices take in turn."""
    job: dict[str, Any]
    tokenizer: Tokenizer = CHARACTERS
    spread: float = 0.3
    """Standard deviation of the weights."""
    commands: tuple[str, ...] = ()
    """Patterns of a grammar, whose threshold refuses nothing."""
    memory: bool = False
    """Whether the image has a memory of :data:`QUESTIONS`."""


#: Small, with odd sizes: 24 columns end within a block of 16, 40 within a group of 32.
BASE: Final = {"dim": 24, "layers": 1, "heads": 2, "ffn": 40, "context": 32}

DECODE: Final = {"prompt": PROMPT[:5], "tokens": 12}

DEFINITIONS: Final = (
    Definition(
        "f32",
        "float weights, the defaults of a llama: the order of float sums",
        {**BASE, "dim": 16, "ffn": 24},
        F32,
        DECODE,
    ),
    Definition("q8-16", "q8 in the smallest groups: a scale for each 16 columns", BASE, WeightType("q8", 16), DECODE),
    Definition("q8-64", "q8 in groups wider than a row: one short group", BASE, WeightType("q8", 64), DECODE),
    Definition(
        "q8-tail",
        "q8 rows of 72 columns: groups of 32 with a tail of 8",
        {**BASE, "ffn": 72},
        WeightType("q8", 32),
        DECODE,
    ),
    Definition(
        "gpt2",
        "learned positions, layer norm, GELU, every bias, a head of its own",
        {
            **BASE,
            "norm": "layer",
            "position": "learned",
            "mlp": "gelu",
            "bias_qkv": True,
            "bias_out": True,
            "bias_mlp": True,
            "tied_head": False,
        },
        WeightType("q8", 32),
        DECODE,
    ),
    Definition(
        "grouped",
        "four query heads share two key heads; ReLU, plain norms, norms around the layers",
        {**BASE, "dim": 32, "heads": 4, "kv_heads": 2, "mlp": "relu", "norm": "rms-plain", "embed_norm": True},
        WeightType("q8", 16),
        DECODE,
    ),
    Definition(
        "score-blocks",
        "a prompt in blocks of 7: the last is shorter, and every position's logits are read",
        BASE,
        WeightType("q8", 32),
        {"mode": "score", "prompt": PROMPT[:30], "block": 7},
    ),
    Definition(
        "sampled",
        "temperature, top-k, top-p, min-p and the repetition penalty together, with a seed above 32 bits",
        BASE,
        WeightType("q8", 32),
        {
            **DECODE,
            "temperature": 1.25,
            "top_k": 40,
            "top_p": 0.9,
            "min_p": 0.02,
            "repetition_penalty": 1.3,
            "seed": 2**40 + 7,
        },
    ),
    Definition(
        "text",
        "text in and out, with a stop string, until the context is full or the string comes",
        {**BASE, "dim": 16, "ffn": 16},
        WeightType("q8", 32),
        {"mode": "text", "prompt": "Où est-ce?", "raw": True, "temperature": 0.9, "seed": 3, "stops": ["zz"]},
        BYTES,
    ),
    Definition(
        "parts",
        "every product and every head of the attention split among three workers, the last part computed first",
        BASE,
        WeightType("q8", 32),
        {**DECODE, "workers": 3},
    ),
    Definition(
        "draft",
        "a prompt that repeats itself: tokens guessed from it come out as without guessing",
        BASE,
        WeightType("q8", 32),
        {"mode": "text", "prompt": "abcabcabca", "raw": True, "draft": 4},
    ),
    Definition(
        "float-cache",
        "keys and values as floats beside integer weights",
        BASE,
        WeightType("q8", 32),
        {**DECODE, "cache": "f32"},
    ),
    Definition(
        "q4",
        "q4 in groups of 16, two rows in a byte and an odd number of them",
        {**BASE, "ffn": 41},
        WeightType("q4", 16),
        DECODE,
    ),
    Definition(
        "ternary",
        "ternary, four rows in a byte and one left over",
        {**BASE, "ffn": 41},
        WeightType("ternary", 32),
        DECODE,
    ),
    Definition("q8-row", "q8 with one scale a row: no multipliers at all", BASE, WeightType("q8"), DECODE),
    Definition(
        "q4-tail",
        "q4 rows of 72 columns: groups of 32 with a tail of 8; rows of 24 in one short group",
        {**BASE, "ffn": 72},
        WeightType("q4", 32),
        DECODE,
    ),
    Definition("q4-row", "q4 with one scale a row, which may be negative", BASE, WeightType("q4", 0), DECODE),
    Definition(
        "q4-wide",
        "q4 in groups of 48 and 256: one no power of two, one wider than all rows",
        {**BASE, "dim": 56, "ffn": 104},
        (WeightType("q4", 48), WeightType("q4", 256)),
        DECODE,
    ),
    Definition("ternary-row", "ternary with one scale a row", {**BASE, "ffn": 43}, WeightType("ternary", 0), DECODE),
    Definition(
        "ternary-wide",
        "ternary in groups of 16 and 64, with tails",
        {**BASE, "dim": 56, "ffn": 104},
        (WeightType("ternary", 16), WeightType("ternary", 64)),
        DECODE,
    ),
    Definition(
        "mixed",
        "every type beside every other, so that floats and integers take turns within a layer",
        {**BASE, "layers": 2, "dim": 16, "ffn": 24},
        (WeightType("q8"), WeightType("f32"), WeightType("q4", 16), WeightType("ternary", 16), WeightType("q8", 16)),
        DECODE,
    ),
    Definition(
        "wide-rows",
        "600 columns: multipliers stop at 55, and sums come near the end of 32 bits with weights all alike",
        {**BASE, "dim": 8, "heads": 1, "ffn": 600},
        (WeightType("q8", 64), WeightType("ternary", 0), WeightType("q4", 64)),
        DECODE,
        spread=3.0,
    ),
    Definition(
        "smallest",
        "one value wide, one head of two: every loop has one turn or none",
        {**BASE, "dim": 1, "heads": 1, "head_dim": 2, "ffn": 1, "context": 2},
        WeightType("q8"),
        {"prompt": PROMPT[:1], "tokens": 1},
    ),
    Definition(
        "padded-heads",
        "heads of 6, which the cache pads to 8",
        {**BASE, "heads": 4, "head_dim": 6},
        WeightType("q8"),
        DECODE,
    ),
    Definition(
        "one-wide-head",
        "a head of 72, nine times 8, with learned positions, in q4 as everything",
        {**BASE, "heads": 1, "head_dim": 72, "position": "learned"},
        WeightType("q4"),
        DECODE,
    ),
    Definition(
        "shared-head",
        "eight query heads share one key head",
        {**BASE, "dim": 64, "heads": 8, "kv_heads": 1, "ffn": 16},
        WeightType("q8"),
        DECODE,
    ),
    Definition(
        "long",
        "600 tokens of even attention: weights are narrowed so that they add up to at most 2^24",
        {**BASE, "dim": 16, "ffn": 16, "context": 600},
        WeightType("q8"),
        {"mode": "score", "prompt": (PROMPT * 10)[:600], "block": 64},
        spread=0.02,
    ),
    Definition(
        "sharp",
        "large weights: attention to one token alone, scales of the cache near their ends, sigmoids of 0 and 1",
        {**BASE, "layers": 2},
        WeightType("q8"),
        {"prompt": PROMPT[:20], "tokens": 12},
        spread=4.0,
    ),
    Definition(
        "faint",
        "weights of a thousandth: scales of the cache at their beginning",
        BASE,
        WeightType("q8"),
        DECODE,
        spread=0.001,
    ),
    Definition(
        "int8-cache",
        "keys and values as int8 beside float weights",
        {**BASE, "dim": 16, "ffn": 24},
        F32,
        {**DECODE, "cache": "int8"},
    ),
    Definition(
        "gelu",
        "the integer sigmoid of GELU, with biases, in q4",
        {**BASE, "mlp": "gelu", "norm": "layer", "bias_mlp": True, "bias_out": True},
        WeightType("q4"),
        DECODE,
    ),
    Definition(
        "largest-block",
        "a prompt of 70 in blocks of 64: kernels that take several tokens at once, and their remainders",
        {**BASE, "context": 80},
        (WeightType("q8"), WeightType("q4"), WeightType("ternary")),
        {"prompt": (PROMPT * 2)[:70], "tokens": 4, "block": 64},
    ),
    *(
        Definition(
            f"sampler-{name}",
            f"{name.replace('-', ' ')} alone",
            BASE,
            WeightType("q8"),
            {**DECODE, "tokens": 24, "seed": 11, **fields},
        )
        for name, fields in {
            "temperature": {"temperature": 0.7},
            "top-p": {"temperature": 1.0, "top_p": 0.5},
            "top-k": {"temperature": 1.0, "top_k": 3},
            "min-p": {"temperature": 1.0, "min_p": 0.2},
            "repetition-penalty": {"repetition_penalty": 1.5},
        }.items()
    ),
    Definition(
        "command",
        "an answer that begins with Do: and becomes a command of the grammar, with the confidence of the whole",
        BASE,
        WeightType("q8"),
        {"mode": "text", "prompt": "a", "temperature": 50.0, "seed": 12427},
        COMMANDS,
        commands=("a(b|c)[ab]", "<10-19>", "c"),
    ),
    Definition(
        "prompt-form",
        "a prompt in the image's form: blanks, marks, case, quotes, replaced and dropped characters",
        {**BASE, "dim": 16, "ffn": 16, "context": 64},
        WeightType("q8", 32),
        {
            "mode": "text",
            "prompt": " \ufeffL\u2019\xc9T\xc9\t\xa0 est\u2014ce?? \U0001f600 \u00df. !\n",
            "tokens": 12,
        },
        FORMED,
    ),
    Definition(
        "memory",
        "a question that the memory recognises, with a word that it does not know: the text of its answer",
        {**BASE, "dim": 16, "ffn": 16, "context": 64},
        WeightType("q8", 32),
        {"mode": "text", "prompt": "What IS the flash-size, please?"},
        FORMED,
        memory=True,
    ),
    Definition(
        "memory-refusal",
        "a question that is like none of the memory's: the image's refusal",
        {**BASE, "dim": 16, "ffn": 16, "context": 64},
        WeightType("q8", 32),
        {"mode": "text", "prompt": "zebra xylophone"},
        FORMED,
        memory=True,
    ),
    Definition("selftest", "the image's own test", BASE, WeightType("q8", 32), {"mode": "selftest"}),
    Definition(
        "full-context",
        "one token more than the context holds: the tokens before it, then SHREW_E_CONTEXT",
        {**BASE, "context": 16},
        WeightType("q8", 32),
        {"prompt": PROMPT[:10], "tokens": 20},
    ),
)


#: What a memory of a vector knows.
QUESTIONS: Final = {
    "what is the flash size": "16 MB.",
    "turn on the lamp": "Do: led on",
    "how are you": "Fine \U0001f600",
}


def memory() -> Memory:
    """A memory with a random table and the questions themselves as keys."""
    rng = np.random.default_rng(2)
    table = rng.integers(-8, 8, (64, 16)).astype(np.int8)
    sums = [table[question_features(question.encode()) & 63].sum(axis=0) for question in QUESTIONS]
    keys = [np.rint(sum_ * (100 / np.sqrt((sum_ * sum_).sum()))).astype(np.int8) for sum_ in sums]
    answers = tuple(tuple(FORMED.encode(answer).tolist()) for answer in QUESTIONS.values())
    return Memory(
        table=table,
        bits=4,
        keys=np.array(keys),
        key_scale=0.01,
        answer_of=np.arange(len(keys), dtype=np.int32),
        answers=answers,
        accept=0.5,
        refuse=0.5,
    )


def image(definition: Definition) -> bytes:
    """A random image of a definition's model. It depends only on the model, so that vectors can share it."""
    config = ModelConfig(vocab=definition.tokenizer.vocab, **definition.model)
    rng = np.random.default_rng(0)
    parameters = {}
    for spec in tensor_specs(config):
        values = rng.normal(0.0, definition.spread, spec.shape).astype(np.float32)
        parameters[spec.name] = values + 1 if spec.name.endswith("norm.weight") else values
    matrices = [spec.name for spec in tensor_specs(config) if not spec.vector]
    turns = itertools.cycle([definition.type] if isinstance(definition.type, WeightType) else definition.type)
    types = dict(zip(matrices, turns, strict=False))
    commands = Commands.of(definition.commands, threshold=0.0) if definition.commands else None
    metadata = [("refusal", "I do not know that.")] if definition.memory else []
    return build_image(
        config,
        parameters,
        definition.tokenizer,
        types=types,
        metadata=metadata,
        commands=commands,
        memory=memory() if definition.memory else None,
    )


def make() -> list[Vector]:
    """All vectors, with the results of the reference."""
    files: dict[bytes, str] = {}
    vectors = []
    for definition in DEFINITIONS:
        content = image(definition)
        job = Job(image=content, **definition.job)
        (outcome,) = Host().run([msgspec.structs.replace(job, unit=REFERENCE)])
        vectors.append(
            Vector(
                name=definition.name,
                reason=definition.reason,
                image=files.setdefault(content, f"{definition.name}.bin"),
                job=job,
                expected=outcome.result,
            )
        )
    return vectors


if __name__ == "__main__":
    save(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "vectors", make())
