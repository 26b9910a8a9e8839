"""A memory while it is learnt: questions become vectors, and the softmax over its keys has a loss, with gradients.

A question is the sum of the table's rows for its features, divided by its length. Its logits are its cosines with all
keys, and a constant one for a refusal, times ``sharpness``. Arrays are float32.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.engine.learn import AdamwOptions, CompiledOperators
from shrew.memory.options import MemoryOptions
from shrew.memory.recall import Bags, Floats

OPERATORS: Final = CompiledOperators()

#: Length of a key as integers: none leaves int8, whatever its direction.
KEY_LENGTH: Final = 127.0
KEY_SCALE: Final = 1.0 / KEY_LENGTH

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8
#: Of a table at the start.
SPREAD: Final = 0.3
#: Step of a 4-bit table, as a share of its standard deviation: little is clipped, and little rounds to 0.
STEP_4_BITS: Final = 0.4
SHORTEST: Final = 1e-6


class Gradients(NamedTuple):
    table: Floats
    keys: Floats


class Encoder:
    """Table and keys as floats, and the integers that they round to."""

    def __init__(self, options: MemoryOptions, keys: int) -> None:
        """Random ones, the same for the same seed."""
        rng = np.random.default_rng(options.seed)
        self.options = options
        self.table: Floats = SPREAD * rng.standard_normal((options.buckets, options.dim), np.float32)
        self.keys: Floats = unit_rows(rng.standard_normal((keys, options.dim), np.float32))[0]

    def rounded_table(self) -> tuple[NDArray[np.int8], float]:
        """The integers of the table [buckets, dim], and what one of them is worth."""
        if self.options.bits == 4:
            largest, step = 7, STEP_4_BITS * math.sqrt(OPERATORS.square_sum(self.table) / self.table.size)
        else:
            largest = 127
            step = float(np.abs(self.table).max()) / largest
        step = max(step, SHORTEST)
        integers = np.clip(np.rint(self.table * np.float32(1 / step)), -largest, largest)
        return integers.astype(np.int8), step

    def rounded_keys(self) -> NDArray[np.int8]:
        """The integers of the keys [keys, dim]."""
        items = np.rint(unit_rows(self.keys)[0] * np.float32(KEY_LENGTH))
        return np.asarray(items, np.int8)

    def loss(self, bags: Bags, targets: NDArray[np.integer], *, rounding: bool) -> tuple[float, Gradients]:
        """The mean loss of questions, and its gradients.

        ``targets`` [questions] are numbers of keys, or the number of keys for a refusal. ``rounding``: with the values
        that the integers stand for. Gradients pass through the rounding as if it were not there.
        """
        if rounding:
            integers, step = self.rounded_table()
            table = integers.astype(np.float32) * np.float32(step)
        else:
            table = self.table
        directions, lengths = unit_rows(self.keys)
        keys = self.rounded_keys().astype(np.float32) * np.float32(KEY_SCALE) if rounding else directions

        sums = _added(table, bags.bucket, bags.owner, bags.questions)
        questions, question_lengths = unit_rows(sums)

        sharpness = np.float32(self.options.sharpness)
        logits = np.empty((bags.questions, len(keys) + 1), np.float32)
        logits[:, :-1] = OPERATORS.linear(questions, (keys, None))
        logits[:, -1] = self.options.apart
        logits *= sharpness
        weights = np.full(bags.questions, 1 / bags.questions, np.float32)
        loss, dlogits = OPERATORS.cross_entropy(logits, targets, weights)

        dcosines = np.ascontiguousarray(dlogits[:, :-1]) * sharpness
        dkeys = np.zeros_like(keys)
        dquestions = OPERATORS.linear_backward(dcosines, questions, (keys, None), (dkeys, None))
        dsums = unit_rows_backward(dquestions, questions, question_lengths)
        dtable = _added(dsums, bags.owner, bags.bucket, len(table))
        return loss, Gradients(dtable, unit_rows_backward(dkeys, directions, lengths))


class Adam:
    """Moves arrays of floats along their gradients (Kingma and Ba, 2015)."""

    def __init__(self, *parameters: Floats) -> None:
        self._parameters = parameters
        self._first = [np.zeros_like(p) for p in parameters]
        self._second = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, gradients: Gradients, rates: tuple[float, ...]) -> None:
        """One step, with a learning rate for each array."""
        self._steps += 1
        corrections = 1 - BETA1**self._steps, 1 - BETA2**self._steps
        arrays = zip(rates, gradients, self._first, self._second, self._parameters, strict=True)
        for rate, *moved in arrays:
            OPERATORS.adamw(AdamwOptions(rate, BETA1, BETA2, EPSILON, 0.0, *corrections), *moved)


def unit_rows(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of length 1, and the lengths [rows, 1] that they had; rows of zeros stay."""
    lengths = np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), np.float32(SHORTEST))
    return rows / lengths, lengths


def unit_rows_backward(gradient: Floats, unit: Floats, lengths: Floats) -> Floats:
    """The gradient of what :func:`unit_rows` was given, from that of the rows of length 1."""
    along = (gradient * unit).sum(axis=1, keepdims=True)
    return np.ascontiguousarray((gradient - unit * along) / lengths)


def _added(rows: Floats, taken: NDArray[np.uint32], to: NDArray[np.uint32], count: int) -> Floats:
    """Zeros [count, cols], to whose rows ``to`` the rows ``taken`` of ``rows`` are added."""
    sums = np.zeros((count, rows.shape[1]), np.float32)
    if len(taken):
        OPERATORS.embedding_backward(OPERATORS.embedding(taken, rows), to, sums)
    return sums
