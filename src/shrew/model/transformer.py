"""The transformer: forward, and the backward derived by hand.

Shapes in comments use B documents, T tokens each, N = B * T tokens in all, C dim, H heads, K key heads, D head_dim,
F ffn, V vocab. Inside the network a batch is N rows of C values; only attention looks at it as B documents. Where only
some tokens are learned, the last layer's second half and the head are computed for those M rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.packed import PackedRows
from shrew.model.arithmetic import Operators, operators_for
from shrew.model.attention import Phases, rope_phases
from shrew.model.config import ModelConfig, Norm
from shrew.model.documents import Block, document_indices, split_into_blocks
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Gain, Linear, Network, Parameters

Result = TypeVar("Result")

Loss = Callable[[Array, Block, Ids], tuple[float, Array]]
"""From the logits [M, V] of the tokens ``kept`` [M] of a block the loss in nats, summed, and its gradient [M, V], which
may take the place of the logits."""

LANES = 8
"""Sums of gradients that are kept apart and added at the end, in order. Each block belongs to one lane and threads take
whole lanes, so the number of threads changes no bit of a gradient; more threads than lanes are of no use."""

SUMMED = 1 << 17
"""Values of all lanes that are summed at a time."""


# ---- The whole network -------------------------------------------------------------------------------------------


class Saved(NamedTuple):
    """What the backward of the network wants to see again."""

    inputs: Ids  # [B, T]
    positions: Ids  # [B, T]
    phases: Phases | None
    embed_norm: Any
    layers: list[Any]
    final_norm: Any
    features: Array  # [M, C] what the head reads


def network_forward(
    c: ModelConfig, w: Network, inputs: Ids, positions: Ids, kept: Ids | None, save: bool
) -> tuple[Array, Saved]:
    """Documents of token ids [B, T] to logits [M, V] of the flattened rows in ``kept`` (None: all).

    Without ``save`` the layers' memory is freed on the way.
    """
    batch, ops = len(inputs), operators_for(w.head.dtype)
    x = ops.embedding(inputs.reshape(-1), w.token_embedding)  # [N, C]
    if w.position_embedding is not None:
        x += ops.embedding(positions.reshape(-1), w.position_embedding)
    phases = rope_phases(c, positions, x.dtype) if c.position == "rope" else None
    embed_norm = final_norm = None
    if c.embed_norm:
        x, embed_norm = ops.norm(x, w.embed_norm, c.norm, c.norm_eps)
    layers = []
    for layer in w.layers:
        x, saved = ops.layer_forward(c, layer, x, batch, phases, kept if layer is w.layers[-1] else None)
        if save:
            layers.append(saved)
    if c.final_norm:
        x, final_norm = ops.norm(x, w.final_norm, c.norm, c.norm_eps)
    return ops.linear(x, Linear(w.head, None)), Saved(inputs, positions, phases, embed_norm, layers, final_norm, x)


def network_backward(c: ModelConfig, w: Network, d: Network, dlogits: Array, saved: Saved) -> None:
    """Adds to ``d`` the gradients of every tensor, given those of the logits [M, V]."""
    ops = operators_for(dlogits.dtype)
    dx = ops.linear_backward(dlogits, saved.features, Linear(w.head, None), Linear(d.head, None))  # [M, C]
    if saved.final_norm is not None:
        dx = _norm_backward(ops, dx, saved.final_norm, w.final_norm, d.final_norm, c.norm)
    for layer, dlayer, saved_layer in zip(w.layers[::-1], d.layers[::-1], saved.layers[::-1], strict=True):
        dx = ops.layer_backward(c, layer, dlayer, dx, saved_layer, len(saved.inputs), saved.phases)
    if saved.embed_norm is not None:
        dx = _norm_backward(ops, dx, saved.embed_norm, w.embed_norm, d.embed_norm, c.norm)
    if d.position_embedding is not None:
        ops.embedding_backward(dx, saved.positions.reshape(-1), d.position_embedding)
    ops.embedding_backward(dx, saved.inputs.reshape(-1), d.token_embedding)


def _norm_backward(ops: Operators, dy: Array, saved: Any, gain: Gain, d: Gain, kind: Norm) -> Array:
    """Of a norm that stands in the stream itself, not in a branch of it."""
    dx = np.zeros_like(dy)
    ops.norm_backward(dy, saved, gain, d, kind, dx)
    return dx


# ---- What callers use --------------------------------------------------------------------------------------------


def forward(
    config: ModelConfig,
    params: Mapping[str, Array],
    inputs: NDArray[np.integer[Any]],
    *,
    documents: NDArray[np.integer[Any]] | None = None,
    positions: NDArray[np.integer[Any]] | None = None,
) -> Array:
    """Logits [B, T, V] of token ids [B, T]. Without ``documents`` each row is one document, starting at position 0.

    With ``documents`` and ``positions`` as in :class:`PackedRows` no document sees another; padding gets zeros.
    """
    parameters = Parameters.of(config, params)
    B, T = inputs.shape
    if positions is None:
        positions = np.broadcast_to(np.arange(T), (B, T))
    if documents is None:
        documents = np.zeros((B, T), np.intp)
    logits = np.zeros((B * T, config.vocab), parameters.flat.dtype)
    ids, places = inputs.reshape(-1).astype(np.intp), positions.reshape(-1).astype(np.intp)
    for source in document_indices(documents):  # [n, L]
        index = np.where(source >= 0, source, source[:, :1])
        kept = np.flatnonzero(source >= 0)
        rows, _ = network_forward(config, parameters.network, ids[index], places[index], kept, save=False)
        logits[source.reshape(-1)[kept]] = rows
    return logits.reshape(B, T, config.vocab)


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
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a loss that is no number says it all
            return lane(own)

    lanes = [blocks[i::LANES] for i in range(min(LANES, len(blocks)))]
    return list(executor.map(quiet, lanes)) if executor else [quiet(own) for own in lanes]
