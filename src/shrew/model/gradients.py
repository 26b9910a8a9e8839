"""Loss and gradients of a batch, shared out among threads without changing a bit of them.

The documents of a batch are cut into blocks, and every block belongs to one of a few lanes. Threads take whole lanes,
and the lanes' sums are added in order, so the number of threads changes nothing.
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
"""From the logits [M, V] of the tokens ``kept`` [M] of a block the loss in nats, summed, and its gradient [M, V], which
may take the place of the logits."""

LANES = 8
"""Sums of gradients that are kept apart and added at the end, in order. Each block belongs to one lane and threads take
whole lanes, so the number of threads changes no bit of a gradient; more threads than lanes are of no use."""

SUMMED = 1 << 17
"""Values of all lanes that are summed at a time."""


def weighted_cross_entropy(logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
    """The ordinary :data:`Loss`: that of each target times its weight."""
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
    """Sum of the loss in nats over ``batch``, the sum of its weights, and the gradients of the former.

    An ``executor`` shares the work among its threads (NumPy releases the interpreter's lock) and changes no bit of the
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
    """Sum of the loss in nats over ``rows`` and the sum of their weights: tokens, where weights are 0 or 1."""
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
    """In order, piece by piece: threads share the pieces."""

    def add(start: int) -> None:
        piece = slice(start, start + SUMMED)
        for other in arrays[1:]:
            arrays[0][piece] += other[piece]

    starts = range(0, len(arrays[0]), SUMMED)
    for _ in (executor.map if executor and len(starts) > 1 else map)(add, starts):
        pass


def _in_lanes(lane: Callable[[list[Block]], Result], blocks: list[Block], executor: Executor | None) -> list[Result]:
    """What ``lane`` makes of each lane's blocks, in the order of lanes."""

    def quiet(own: list[Block]) -> Result:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # NaN in the loss reports it
            return lane(own)

    lanes = [blocks[i::LANES] for i in range(min(LANES, len(blocks)))]
    return list(executor.map(quiet, lanes)) if executor else [quiet(own) for own in lanes]
