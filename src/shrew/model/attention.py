"""Rotary positions and causal attention with grouped queries.

All documents in one call have the same length T: batches of documents of different lengths are first divided into such
blocks (``documents.py``). Therefore the only mask here is the causal one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shrew.model.config import ModelConfig
from shrew.model.parameters import Array

Phases = NDArray[np.complexfloating[Any, Any]]

QUERY_TILE = 64
"""Queries that are scored together. A tile covers only the keys up to its own end, so for a long document nearly half
of the scores, those above the diagonal, are never computed."""

CACHED_SCORES = 1 << 17
"""About how many scores are computed together, over several documents if they are short: they fit a core's cache."""

SAFE_SCORE = 60.0
"""Scores up to this magnitude need no shift before exp: e^60 is far below the largest float, and e^-60 is not 0."""


# ---- Rotary positions --------------------------------------------------------------------------------------------


def rope_frequencies(config: ModelConfig) -> NDArray[np.float32]:
    """[D/2] radians per position of each pair: theta^(-2i / D). A model image stores exactly these floats."""
    pair = np.arange(config.head_dim // 2, dtype=np.float64)
    return (config.rope_theta ** (-2.0 * pair / config.head_dim)).astype(np.float32)


@lru_cache(maxsize=8)
def _phase_table(config: ModelConfig, dtype: np.dtype[Any]) -> Phases:
    """[context, D/2] cos + i sin of every angle. Angles are float32 products, as the engine computes them."""
    angles = np.arange(config.context, dtype=np.float32)[:, None] * rope_frequencies(config)
    angles = angles.astype(dtype)
    return np.asarray(np.cos(angles) + 1j * np.sin(angles), dtype=np.result_type(dtype, np.complex64))


def rope_phases(config: ModelConfig, positions: NDArray[np.integer[Any]], dtype: DTypeLike) -> Phases:
    """The phases of N tokens: [N, D/2]."""
    return _phase_table(config, np.dtype(dtype)).take(positions.reshape(-1), axis=0)


def rope(x: Array, heads: int, phases: Phases, backward: bool = False) -> None:
    """Rotates each neighbouring pair (2i, 2i + 1) of the first ``heads`` heads in ``x`` [N, any * D], in place.

    A pair is a complex number, and a rotation is a product with its phase. The backward multiplies by the conjugate.
    """
    rows, pairs = phases.shape
    turned = x.view(phases.dtype).reshape(rows, -1, pairs)[:, :heads]
    turned *= (phases.conj() if backward else phases)[:, None]


# ---- Attention ---------------------------------------------------------------------------------------------------


class SavedAttention(NamedTuple):
    """Of B documents of T tokens; G = H / K queries share a key head and are rows of the same matrix."""

    q: Array
    """[B, K, T*G, D], scaled by 1 / sqrt(D)."""
    k: Array
    """[B, K, D, T]"""
    v: Array
    """[B, K, T, D + 1]: the last column is 1, so that its product is the sum that softmax divides by."""
    e: list[Array]
    """For each tile of queries of some documents [documents, K, tile*G, keys]: exp(score), 0 for later keys."""
    y: Array
    """[B, K, T*G, D] weighted means of v."""
    inverse: Array
    """[B, K, T*G, 1] the reciprocal of the sum of each row of e."""


def attention(q: Array, k: Array, v: Array) -> tuple[Array, SavedAttention]:
    """Causal attention. q [B, T, H, D], k and v [B, T, K, D]; the output is [B*T, H*D]."""
    B, T, H, D = q.shape
    K = k.shape[2]
    G = H // K
    rows = np.empty((B, K, T, G, D), q.dtype)
    np.multiply(q.reshape(B, T, K, G, D).transpose(0, 2, 1, 3, 4), q.dtype.type(D**-0.5), out=rows)
    rows = rows.reshape(B, K, T * G, D)
    k = np.ascontiguousarray(k.transpose(0, 2, 3, 1))  # [B, K, D, T]
    v_one = np.ones((B, K, T, D + 1), v.dtype)
    v_one[..., :D] = v.transpose(0, 2, 1, 3)

    shift = _largest_score(rows, k) > SAFE_SCORE
    sums = np.empty((B, K, T * G, D + 1), q.dtype)
    exponentials = []
    for b, start, end in _tiles(B, H, T):
        tile = slice(start * G, end * G)
        e = rows[b, :, tile] @ k[b, :, :, :end]  # [documents, K, tile*G, end]
        e[..., start:end] += _causal_mask(end - start, G, e.dtype)
        if shift:
            e -= e.max(axis=-1, keepdims=True)
        np.exp(e, out=e)
        np.matmul(e, v_one[b, :, :end], out=sums[b, :, tile])
        exponentials.append(e)

    inverse = 1 / sums[..., D:]
    y = sums[..., :D] * inverse
    out = y.reshape(B, K, T, G, D).transpose(0, 2, 1, 3, 4).reshape(B * T, H * D)
    return out, SavedAttention(rows, k, v_one, exponentials, y, inverse)


def attention_backward(dout: Array, saved: SavedAttention, dq: Array, dk: Array, dv: Array) -> None:
    """From ``dout`` [B*T, H*D] to dq [B, T, H, D], dk and dv [B, T, K, D], which are overwritten.

    With p = e / sum and y = p v: dv = p' dy, ds = p (dy v' - dy·y). dy is divided by sum in advance, and the product
    with v's column of ones does the subtraction.
    """
    q, k, v_one, exponentials, y, inverse = saved
    B, T, H, D = dq.shape
    K = k.shape[1]
    G = H // K
    dy = np.empty((B, K, T * G, D + 1), q.dtype)
    np.multiply(
        dout.reshape(B, T, K, G, D).transpose(0, 2, 1, 3, 4),
        inverse.reshape(B, K, T, G, 1),
        out=dy.reshape(B, K, T, G, D + 1)[..., :D],
    )
    np.negative(np.einsum("bkrd,bkrd->bkr", dy[..., :D], y), out=dy[..., D])

    drows = np.empty_like(q)  # [B, K, T*G, D]
    dkeys = np.zeros((B, K, T, D), q.dtype)
    dvalues = np.zeros((B, K, T, D + 1), q.dtype)
    for (b, start, end), e in zip(_tiles(B, H, T), exponentials, strict=True):
        tile = slice(start * G, end * G)
        dvalues[b, :, :end] += e.swapaxes(2, 3) @ dy[b, :, tile]
        ds = dy[b, :, tile] @ v_one[b, :, :end].swapaxes(2, 3)  # [documents, K, tile*G, end]
        ds *= e
        np.matmul(ds, k[b, :, :, :end].swapaxes(2, 3), out=drows[b, :, tile])
        dkeys[b, :, :end] += ds.swapaxes(2, 3) @ q[b, :, tile]

    np.multiply(
        drows.reshape(B, K, T, G, D).transpose(0, 2, 1, 3, 4), q.dtype.type(D**-0.5), out=dq.reshape(B, T, K, G, D)
    )
    dk[...] = dkeys.transpose(0, 2, 1, 3)
    dv[...] = dvalues[..., :D].transpose(0, 2, 1, 3)


class SavedRows(NamedTuple):
    attention: SavedAttention
    heads: tuple[int, int, int, int]
    """B, H, K, D"""


def attention_of_rows(qkv: Array, batch: int, heads: int, kv_heads: int, head_dim: int) -> tuple[Array, SavedRows]:
    """Causal attention on queries, keys and values side by side: ``qkv`` [B*T, (H + 2K) * D] to [B*T, H*D]."""
    shape = batch, heads, kv_heads, head_dim
    out, saved = attention(*_head_views(qkv, *shape))
    return out, SavedRows(saved, shape)


def attention_of_rows_backward(dout: Array, saved: SavedRows) -> Array:
    _, H, K, D = saved.heads
    dqkv = np.empty((len(dout), (H + 2 * K) * D), dout.dtype)
    attention_backward(dout, saved.attention, *_head_views(dqkv, *saved.heads))
    return dqkv


def _head_views(qkv: Array, B: int, H: int, K: int, D: int) -> tuple[Array, Array, Array]:
    """Queries [B, T, H, D], keys and values [B, T, K, D]."""
    heads = qkv.reshape(B, -1, H + 2 * K, D)
    return heads[:, :, :H], heads[:, :, H:-K], heads[:, :, -K:]


def _tiles(B: int, H: int, T: int) -> list[tuple[slice, int, int]]:
    """Documents, first query and end of each tile."""
    together = max(1, CACHED_SCORES // (H * min(T, QUERY_TILE) * T))
    return [
        (slice(b, b + together), start, min(start + QUERY_TILE, T))
        for b in range(0, B, together)
        for start in range(0, T, QUERY_TILE)
    ]


@lru_cache(maxsize=256)
def _causal_mask(tile: int, groups: int, dtype: np.dtype[Any]) -> Array:
    """[tile * groups, tile] minus infinity where a key comes after the query. Read-only, because it is shared."""
    later = np.arange(tile)[None, :] > np.arange(tile).repeat(groups)[:, None]
    mask = np.where(later, -np.inf, 0.0).astype(dtype)
    mask.flags.writeable = False
    return mask


def _largest_score(q: Array, k: Array) -> float:
    """An upper bound of all |q·k|, by Cauchy-Schwarz. q [B, K, rows, D], k [B, K, D, T]."""
    longest_q = np.einsum("bkrd,bkrd->bkr", q, q).max()
    longest_k = np.einsum("bkdt,bkdt->bkt", k, k).max()
    return float(np.sqrt(longest_q * longest_k))
