"""Which key of a memory is nearest to a question: the engine's arithmetic (``engine/src/recall.c``) in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shrew.engine.tokenizer import question_features

Floats = NDArray[np.float32]

#: What the largest item of a question becomes.
LARGEST_ITEM: Final = 511
#: Questions that are compared with all keys at a time.
CHUNK: Final = 1024


class Keys(Protocol):
    """What the nearest key is found with: a memory, or one that is being learnt. Fields as in ``Memory``."""

    @property
    def table(self) -> NDArray[np.int8]: ...
    @property
    def keys(self) -> NDArray[np.int8]: ...
    @property
    def key_scale(self) -> float: ...
    @property
    def answer_of(self) -> NDArray[np.int32]: ...


class Nearest(NamedTuple):
    """Of each question."""

    answer: NDArray[np.int32]
    """[questions] of the nearest key, the first one of several."""
    confidence: Floats
    """[questions] its cosine, from 0 to 1; 0 for a question without features."""


class Bags(NamedTuple):
    """The features of several questions, one question's after the other's."""

    bucket: NDArray[np.uint32]
    """[features] row of the table"""
    owner: NDArray[np.uint32]
    """[features] number of the question"""
    questions: int
    """Their number."""

    @classmethod
    def of(cls, features: Sequence[NDArray[np.uint32]]) -> Bags:
        """From the buckets of each question."""
        owner = np.repeat(np.arange(len(features), dtype=np.uint32), [len(f) for f in features])
        return cls(np.concatenate([*features, np.zeros(0, np.uint32)]), owner, len(features))


def buckets_of(question: str, buckets: int) -> NDArray[np.uint32]:
    """The rows [features] of a table that a question in its form is made of."""
    return question_features(question.encode("utf-8", "surrogatepass")) & np.uint32(buckets - 1)


def question_items(table: NDArray[np.int8], questions: Iterable[str]) -> NDArray[np.int64]:
    """Questions as integers [questions, dim], the largest of each ``LARGEST_ITEM``, all 0 where nothing is known."""
    bags = Bags.of([buckets_of(question, len(table)) for question in questions])
    sums = np.zeros((bags.questions, table.shape[1]), np.int64)
    np.add.at(sums, bags.owner, table[bags.bucket])
    largest = np.abs(sums).max(axis=1, keepdims=True)
    scale = np.float32(LARGEST_ITEM) * _reciprocal(np.maximum(largest, 1).astype(np.float32))
    return np.rint(sums.astype(np.float32) * scale).astype(np.int64)


def nearest(memory: Keys, questions: Sequence[str]) -> Nearest:
    """The nearest keys of questions in their form: the integers, and the bits of the cosines, that the engine has."""
    answers, confidences = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    for start in range(0, len(questions), CHUNK):
        items = question_items(memory.table, questions[start : start + CHUNK])
        squares = (items * items).sum(axis=1)
        scale = _rsqrt(np.maximum(squares, 1).astype(np.float32)) * np.float32(memory.key_scale)
        products = items.astype(np.float64) @ memory.keys.T.astype(np.float64)  # exact: below 2^53
        key = products.argmax(axis=1)
        best = products[np.arange(len(items)), key].astype(np.float32)  # exact: below 2^24
        answers.append(memory.answer_of[key].astype(np.int32))
        confidences.append(np.clip(best * np.where(squares > 0, scale, np.float32(0)), np.float32(0), np.float32(1)))
    return Nearest(np.concatenate(answers), np.concatenate(confidences))


def _reciprocal(value: Floats) -> Floats:
    """1 / value as ``engine/src/numbers.c`` has it."""
    y = (np.uint32(0x7EF311C7) - value.view(np.uint32)).view(np.float32)
    for _ in range(3):
        y = y * (np.float32(2) - value * y)
    return y


def _rsqrt(value: Floats) -> Floats:
    """1 / sqrt(value) as ``engine/src/numbers.c`` has it."""
    half = np.float32(0.5) * value
    y = (np.uint32(0x5F3759DF) - (value.view(np.uint32) >> np.uint32(1))).view(np.float32)
    for _ in range(3):
        y = y * (np.float32(1.5) - half * y * y)
    return y
