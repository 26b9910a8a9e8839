"""Loss and gradients of a batch. Any number of threads computes the same bits.

The documents of a batch are divided into blocks, and every block belongs to one of a few lanes. Threads take whole
lanes, and the lanes' sums are added in order, so the number of threads changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.model.arithmetic import operators_for
from shrew.model.config import ModelConfig
from shrew.model.documents import Block, split_into_blocks
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Parameters
from shrew.model.transformer import network_backward, network_forward

Result = TypeVar("Result")

Loss = Callable[[Array, Block, Ids], tuple[float, Array]]
"""Computes, from the logits [M, V] of the tokens ``kept`` [M] of a block, the summed loss in nats and its gradient
[M, V], which may overwrite the logits."""

LANES = 8
"""Number of separate sums of gradients, which are added in order at the end. Each block belongs to one lane, and
threads take whole lanes, so the number of threads changes no bit of a gradient. More threads than lanes do not help."""

SUMMED = 1 << 17
"""Number of values that are summed over all lanes at a time."""


def weighted_cross_entropy(logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
    """The ordinary :data:`Loss`: the cross entropy of each target times its weight."""
    weights = block.weights.reshape(-1)[kept].astype(logits.dtype)
    return operators_for(logits.dtype).cross_entropy(logits, block.targets.reshape(-1)[kept], weights)


def loss_and_gradients(
    config: ModelConfig,
    params: Mapping[str, Array],
    batch: PackedRows,
    *,
    loss: Loss = weighted_cross_entropy,
    executor: Executor | None = None,
) -> tuple[float, float, Parameters]:
    """The summed loss of ``batch`` in nats, the sum of its weights, and the gradients of the loss.

    The threads of an ``executor`` share the work (NumPy releases the interpreter's lock), which changes no bit of the
    result. BLAS should then run single-threaded: set ``OPENBLAS_NUM_THREADS=1`` before NumPy is first imported.
    """
    parameters = Parameters.of(config, params)
    blocks = split_into_blocks(batch)

    def lane(own: list[Block]) -> tuple[float, Parameters]:
        gradients, total = Parameters.zeros(config, parameters.flat.dtype), 0.0
        for block in own:
            kept = np.flatnonzero(block.weights)
            logits, saved = network_forward(config, parameters.network, block.inputs, block.positions, kept, save=True)
            nats, dlogits = loss(logits, block, kept)
            network_backward(config, parameters.network, gradients.network, dlogits, saved)
            total += nats
        return total, gradients

    lanes = _in_lanes(lane, blocks, executor)
    if not lanes:
        return 0.0, 0.0, Parameters.zeros(config, parameters.flat.dtype)
    gradients = [gradients for _, gradients in lanes]
    _sum_into_first([each.flat for each in gradients], executor)
    return sum(total for total, _ in lanes), float(batch.weights.sum(dtype=np.float64)), gradients[0]


def evaluate(
    config: ModelConfig,
    params: Mapping[str, Array],
    rows: PackedRows,
    *,
    loss: Loss = weighted_cross_entropy,
    executor: Executor | None = None,
) -> tuple[float, float]:
    """The summed loss of ``rows`` in nats, and the sum of their weights: the number of learned tokens if weights are 0
    or 1."""
    parameters = Parameters.of(config, params)

    def lane(own: list[Block]) -> float:
        total = 0.0
        for block in own:
            kept = np.flatnonzero(block.weights)
            logits, _ = network_forward(config, parameters.network, block.inputs, block.positions, kept, save=False)
            total += loss(logits, block, kept)[0]
        return total

    return sum(_in_lanes(lane, split_into_blocks(rows), executor)), float(rows.weights.sum(dtype=np.float64))


def _sum_into_first(arrays: list[Array], executor: Executor | None) -> None:
    """Adds all arrays to the first, in order. Threads share pieces of the arrays."""

    def add(start: int) -> None:
        piece = slice(start, start + SUMMED)
        for other in arrays[1:]:
            arrays[0][piece] += other[piece]

    starts = range(0, len(arrays[0]), SUMMED)
    for _ in (executor.map if executor and len(starts) > 1 else map)(add, starts):
        pass


def _in_lanes(lane: Callable[[list[Block]], Result], blocks: list[Block], executor: Executor | None) -> list[Result]:
    """Calls ``lane`` with each lane's blocks, and returns the results in the order of lanes."""

    def quiet(own: list[Block]) -> Result:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # reported by NaN in the loss
            return lane(own)

    lanes = [blocks[i::LANES] for i in range(min(LANES, len(blocks)))]
    return list(executor.map(quiet, lanes)) if executor else [quiet(own) for own in lanes]
