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
from shrew.model.attention import (
    Phases,
    SavedAttention,
    attention,
    attention_backward,
    rope,
    rope_phases,
)
from shrew.model.config import ModelConfig
from shrew.model.documents import Block, document_indices, split_into_blocks
from shrew.model.operators import (
    Ids,
    SavedNorm,
    activation,
    activation_backward,
    cross_entropy,
    embedding,
    embedding_backward,
    linear,
    linear_backward,
    norm,
    norm_backward,
)
from shrew.model.parameters import Array, Layer, Network, Parameters

Result = TypeVar("Result")

Loss = Callable[[Array, Block, Ids], tuple[float, Array]]
"""From the logits [M, V] of the tokens ``kept`` [M] of a block the loss in nats, summed, and its gradient [M, V], which
may take the place of the logits."""

LANES = 8
"""Sums of gradients that are kept apart and added at the end, in order. Each block belongs to one lane and threads take
whole lanes, so the number of threads changes no bit of a gradient; more threads than lanes are of no use."""


# ---- One layer -------------------------------------------------------------------------------------------------


class SavedLayer(NamedTuple):
    """What the backward of one layer wants to see again."""

    attention_norm: SavedNorm
    normed: Array  # [N, C]
    attention: SavedAttention
    mixed: Array  # [M, H*D] what the heads read
    mlp_norm: SavedNorm
    mlp_in: Array  # [M, C]
    up: Array  # [M, F] or [M, 2F]
    activation: Array | None
    hidden: Array  # [M, F]
    kept: Ids | None  # [M] rows that go on; None: all


def layer_forward(
    c: ModelConfig, w: Layer, x: Array, batch: int, phases: Phases | None, kept: Ids | None = None
) -> tuple[Array, SavedLayer]:
    """x [N, C] to [M, C]: ``x += out(attention(norm(x)))``, then ``x += down(activation(up(norm(x))))``."""
    normed, attention_norm = norm(x, w.attention_norm, c.norm, c.norm_eps)
    qkv = linear(normed, w.qkv)  # [N, (H + 2K) * D]
    if phases is not None:
        rope(qkv[:, : (c.heads + c.kv_heads) * c.head_dim], phases)
    mixed, saved_attention = attention(*_heads(c, qkv, batch))  # [N, H*D]
    if kept is not None:
        x, mixed = x[kept], mixed[kept]  # [M, C], [M, H*D]
    x = x + linear(mixed, w.out)

    mlp_in, mlp_norm = norm(x, w.mlp_norm, c.norm, c.norm_eps)
    up = linear(mlp_in, w.up)  # [M, F], SwiGLU [M, 2F]
    hidden, saved_activation = activation(up, c.mlp)  # [M, F]
    x += linear(hidden, w.down)
    return x, SavedLayer(
        attention_norm, normed, saved_attention, mixed, mlp_norm, mlp_in, up, saved_activation, hidden, kept
    )


def layer_backward(
    c: ModelConfig, w: Layer, d: Layer, dx: Array, saved: SavedLayer, batch: int, phases: Phases | None
) -> Array:
    """dx [M, C] of the layer's output to [N, C] of its input; gradients of ``w`` are added to ``d``."""
    s = saved
    dhidden = linear_backward(dx, s.hidden, w.down, d.down)  # [M, F]
    dup = activation_backward(dhidden, s.up, s.activation, c.mlp)  # [M, F] or [M, 2F]
    dmlp_in = linear_backward(dup, s.mlp_in, w.up, d.up)  # [M, C]
    dx = dx + norm_backward(dmlp_in, s.mlp_norm, w.mlp_norm, d.mlp_norm, c.norm)

    dmixed = linear_backward(dx, s.mixed, w.out, d.out)  # [M, H*D]
    if s.kept is not None:
        dx, dmixed = (_scatter(rows, s.kept, len(s.normed)) for rows in (dx, dmixed))  # [N, C], [N, H*D]
    dqkv = np.empty((len(s.normed), len(w.qkv.weight)), dx.dtype)  # [N, (H + 2K) * D]
    attention_backward(dmixed, s.attention, *_heads(c, dqkv, batch))
    if phases is not None:
        rope(dqkv[:, : (c.heads + c.kv_heads) * c.head_dim], phases.conj())
    dnormed = linear_backward(dqkv, s.normed, w.qkv, d.qkv)  # [N, C]
    dx += norm_backward(dnormed, s.attention_norm, w.attention_norm, d.attention_norm, c.norm)
    return dx


def _heads(c: ModelConfig, qkv: Array, batch: int) -> tuple[Array, Array, Array]:
    """Views of ``qkv`` [N, (H + 2K) * D]: queries [B, T, H, D], keys and values [B, T, K, D]."""
    heads = qkv.reshape(batch, -1, c.heads + 2 * c.kv_heads, c.head_dim)
    return heads[:, :, : c.heads], heads[:, :, c.heads : -c.kv_heads], heads[:, :, -c.kv_heads :]


def _scatter(rows: Array, kept: Ids, n: int) -> Array:
    full = np.zeros((n, rows.shape[1]), rows.dtype)
    full[kept] = rows
    return full


# ---- The whole network -------------------------------------------------------------------------------------------


class Saved(NamedTuple):
    """What the backward of the network wants to see again."""

    inputs: Ids  # [B, T]
    positions: Ids  # [B, T]
    phases: Phases | None
    embed_norm: SavedNorm | None
    layers: list[SavedLayer]
    final_norm: SavedNorm | None
    features: Array  # [M, C] what the head reads


def network_forward(
    c: ModelConfig, w: Network, inputs: Ids, positions: Ids, kept: Ids | None, save: bool
) -> tuple[Array, Saved]:
    """Documents of token ids [B, T] to logits [M, V] of the flattened rows in ``kept`` (None: all).

    Without ``save`` the layers' memory is freed on the way.
    """
    batch = len(inputs)
    x: Array = embedding(inputs.reshape(-1), w.token_embedding)  # [N, C]
    if w.position_embedding is not None:
        x += w.position_embedding[positions.reshape(-1)]
    phases = rope_phases(c, positions, x.dtype) if c.position == "rope" else None
    embed_norm = final_norm = None
    if c.embed_norm:
        x, embed_norm = norm(x, w.embed_norm, c.norm, c.norm_eps)
    layers = []
    for layer in w.layers:
        x, saved = layer_forward(c, layer, x, batch, phases, kept if layer is w.layers[-1] else None)
        if save:
            layers.append(saved)
    if c.final_norm:
        x, final_norm = norm(x, w.final_norm, c.norm, c.norm_eps)
    return x @ w.head.T, Saved(inputs, positions, phases, embed_norm, layers, final_norm, x)


def network_backward(c: ModelConfig, w: Network, d: Network, dlogits: Array, saved: Saved) -> None:
    """Adds to ``d`` the gradients of every tensor, given those of the logits [M, V]."""
    dhead = d.head
    dhead += dlogits.T @ saved.features
    dx: Array = dlogits @ w.head  # [M, C]
    if saved.final_norm is not None:
        dx = norm_backward(dx, saved.final_norm, w.final_norm, d.final_norm, c.norm)
    for layer, dlayer, saved_layer in zip(w.layers[::-1], d.layers[::-1], saved.layers[::-1], strict=True):
        dx = layer_backward(c, layer, dlayer, dx, saved_layer, len(saved.inputs), saved.phases)
    if saved.embed_norm is not None:
        dx = norm_backward(dx, saved.embed_norm, w.embed_norm, d.embed_norm, c.norm)
    if d.position_embedding is not None:
        embedding_backward(dx, saved.positions.reshape(-1), d.position_embedding)
    embedding_backward(dx, saved.inputs.reshape(-1), d.token_embedding)


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
    return cross_entropy(logits, block.targets.reshape(-1)[kept], weights)


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
    gradients = lanes[0][1]
    for _, other in lanes[1:]:
        gradients.flat += other.flat
    return sum(total for total, _ in lanes), float(batch.weights.sum(dtype=np.float64)), gradients


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


def _in_lanes(lane: Callable[[list[Block]], Result], blocks: list[Block], executor: Executor | None) -> list[Result]:
    """What ``lane`` makes of each lane's blocks, in the order of lanes."""

    def quiet(own: list[Block]) -> Result:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a loss that is no number says it all
            return lane(own)

    lanes = [blocks[i::LANES] for i in range(min(LANES, len(blocks)))]
    return list(executor.map(quiet, lanes)) if executor else [quiet(own) for own in lanes]
