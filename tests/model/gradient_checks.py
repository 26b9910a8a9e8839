"""What the model's tests share: rows made by hand and gradients taken by differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from shrew.corpus.packed import PackedRows
from shrew.model.config import ModelConfig
from shrew.model.parameters import Parameters, init_parameters


def pack_lengths(rows: Sequence[Sequence[int]], T: int, vocab: int, seed: int = 0, prompt: float = 0.4) -> PackedRows:
    """Rows of random documents of the given lengths, of which the first part is a prompt that is not learned."""
    rng = np.random.default_rng(seed)
    R = len(rows)
    packed = PackedRows(
        inputs=np.zeros((R, T), np.uint16),
        targets=np.zeros((R, T), np.uint16),
        weights=np.zeros((R, T), np.float32),
        documents=np.full((R, T), -1, np.int16),
        positions=np.zeros((R, T), np.uint16),
    )
    for r, lengths in enumerate(rows):
        start = 0
        for index, length in enumerate(lengths):
            ids = rng.integers(0, vocab, length + 1)
            span = slice(start, start + length)
            packed.inputs[r, span], packed.targets[r, span] = ids[:-1], ids[1:]
            packed.weights[r, start + int(prompt * length) : start + length] = 1
            packed.documents[r, span] = index
            packed.positions[r, span] = np.arange(length)
            start += length
        assert start <= T
    return packed


def numerical_gradient(f: Callable[[], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of ``f`` by every element of ``x``, which is changed in place and put back."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + step
        above = f()
        x[index] = kept - step
        below = f()
        x[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


def random_parameters(config: ModelConfig, dtype: DTypeLike = np.float64, seed: int = 3) -> Parameters:
    """Larger than at the start of training, and no gain or bias at its neutral value."""
    parameters = init_parameters(config, seed, dtype)
    rng = np.random.default_rng(seed)
    parameters.flat += 0.3 * rng.standard_normal(parameters.flat.shape)
    return parameters
