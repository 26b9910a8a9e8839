"""One layer of the transformer in NumPy: forward, and the backward derived by hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shrew.model.attention import Phases, SavedRows, attention_of_rows, attention_of_rows_backward, rope
from shrew.model.config import ModelConfig
from shrew.model.operators import (
    Ids,
    SavedNorm,
    activation,
    activation_backward,
    linear,
    linear_backward,
    norm,
    norm_backward,
)
from shrew.model.parameters import Array, Layer


class SavedLayer(NamedTuple):
    """What the forward of one layer saves for its backward."""

    attention_norm: SavedNorm
    normed: Array  # [N, C]
    attention: SavedRows
    mixed: Array  # [M, H*D] the heads' output
    mlp_norm: SavedNorm
    mlp_in: Array  # [M, C]
    up: Array  # [M, F] or [M, 2F]
    activation: Array | None
    hidden: Array  # [M, F]
    kept: Ids | None  # [M] rows that go on after attention; None: all


def layer_forward(
    c: ModelConfig, w: Layer, x: Array, batch: int, phases: Phases | None, kept: Ids | None = None
) -> tuple[Array, SavedLayer]:
    """x [N, C] to [M, C]: ``x + out(attention(norm(x)))``, then ``x + down(activation(up(norm(x))))``."""
    normed, attention_norm = norm(x, w.attention_norm, c.norm, c.norm_eps)
    qkv = linear(normed, w.qkv)  # [N, (H + 2K) * D]
    if phases is not None:
        rope(qkv, c.heads + c.kv_heads, phases)
    mixed, saved_attention = attention_of_rows(qkv, batch, c.heads, c.kv_heads, c.head_dim)  # [N, H*D]
    if kept is not None:
        x, mixed = x[kept], mixed[kept]  # [M, C], [M, H*D]
    x = x + linear(mixed, w.out)

    mlp_in, mlp_norm = norm(x, w.mlp_norm, c.norm, c.norm_eps)
    up = linear(mlp_in, w.up)  # [M, F], SwiGLU [M, 2F]
    hidden, saved_activation = activation(up, c.mlp)  # [M, F]
    x = x + linear(hidden, w.down)
    return x, SavedLayer(
        attention_norm, normed, saved_attention, mixed, mlp_norm, mlp_in, up, saved_activation, hidden, kept
    )


def layer_backward(
    c: ModelConfig, w: Layer, d: Layer, dx: Array, saved: SavedLayer, batch: int, phases: Phases | None
) -> Array:
    """From the gradient [M, C] of the output to that [N, C] of the input. Adds the gradients of ``w`` to ``d``."""
    s = saved
    dhidden = linear_backward(dx, s.hidden, w.down, d.down)  # [M, F]
    dup = activation_backward(dhidden, s.up, s.activation, c.mlp)  # [M, F] or [M, 2F]
    dmlp_in = linear_backward(dup, s.mlp_in, w.up, d.up)  # [M, C]
    norm_backward(dmlp_in, s.mlp_norm, w.mlp_norm, d.mlp_norm, c.norm, dx)

    dmixed = linear_backward(dx, s.mixed, w.out, d.out)  # [M, H*D]
    if s.kept is not None:
        dx, dmixed = (_scatter(rows, s.kept, len(s.normed)) for rows in (dx, dmixed))  # [N, C], [N, H*D]
    dqkv = attention_of_rows_backward(dmixed, s.attention)  # [N, (H + 2K) * D]
    if phases is not None:
        rope(dqkv, c.heads + c.kv_heads, phases, backward=True)
    dnormed = linear_backward(dqkv, s.normed, w.qkv, d.qkv)  # [N, C]
    norm_backward(dnormed, s.attention_norm, w.attention_norm, d.attention_norm, c.norm, dx)
    return dx


def _scatter(rows: Array, kept: Ids, n: int) -> Array:
    full = np.zeros((n, rows.shape[1]), rows.dtype)
    full[kept] = rows
    return full
