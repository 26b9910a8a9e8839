"""The network: forward, and the backward derived by hand.

Shapes in comments use B documents, T tokens each, N = B * T tokens in all, C dim, H heads, K key heads, D head_dim,
F ffn, V vocab. Within the network a batch is N rows of C values; only attention treats it as B documents. If only some
tokens are learned, the last layer's second half and the head are computed only for those M rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.model.arithmetic import Operators, operators_for
from shrew.model.attention import Phases, rope_phases
from shrew.model.config import ModelConfig, Norm
from shrew.model.documents import document_indices
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Gain, Linear, Network, Parameters


class Saved(NamedTuple):
    """What the forward of the network saves for its backward."""

    inputs: Ids  # [B, T]
    positions: Ids  # [B, T]
    phases: Phases | None
    embed_norm: Any
    layers: list[Any]
    final_norm: Any
    features: Array  # [M, C] input of the head


def network_forward(
    c: ModelConfig, w: Network, inputs: Ids, positions: Ids, kept: Ids | None, save: bool
) -> tuple[Array, Saved]:
    """From documents of token ids [B, T] to logits [M, V] of the flattened rows in ``kept`` (None: all).

    Without ``save``, the memory of each layer is freed at once.
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
    """Adds the gradient of every tensor to ``d``, given the gradient of the logits [M, V]."""
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
    """The backward of a norm in the residual stream itself, not in a branch."""
    dx = np.zeros_like(dy)
    ops.norm_backward(dy, saved, gain, d, kind, dx)
    return dx


def forward(
    config: ModelConfig,
    params: Mapping[str, Array],
    inputs: NDArray[np.integer[Any]],
    *,
    documents: NDArray[np.integer[Any]] | None = None,
    positions: NDArray[np.integer[Any]] | None = None,
) -> Array:
    """Logits [B, T, V] of token ids [B, T]. Without ``documents``, each row is one document from position 0 on.

    With ``documents`` and ``positions``, as in packed rows, no document sees another, and padding gets zeros.
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
