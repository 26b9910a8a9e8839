"""The operators of the network, each with a forward and a backward derived by hand.

Rows are tokens: N rows of C, F or V values, from any batch. A forward returns its output, together with what its
backward needs. A backward takes the gradient of its output, named ``dy``, *adds* the gradients of parameters to the
given arrays, and returns the gradient of its input. Every operator computes in the type of its arguments: float32 for
training, float64 for checks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.model.config import Mlp, Norm
from shrew.model.parameters import Array, Gain, Linear

Ids = NDArray[np.intp]


# ---- Embedding -------------------------------------------------------------------------------------------------


def embedding(ids: Ids, table: Array) -> Array:
    """[N, C]: row n is row ``ids[n]`` of ``table`` [V, C]."""
    return table.take(ids, axis=0)


def embedding_backward(dy: Array, ids: Ids, dtable: Array) -> None:
    """Adds each row of ``dy`` [N, C] to the row of ``dtable`` that it was taken from.

    Rows are sorted by id and summed in runs, which takes 0.6 times as long as ``np.add.at``.
    """
    order = np.argsort(ids, kind="stable")  # [N]
    ordered = ids[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # [distinct ids]
    dtable[ordered[starts]] += np.add.reduceat(dy[order], starts, axis=0)


# ---- Linear ----------------------------------------------------------------------------------------------------


def linear(x: Array, w: Linear) -> Array:
    """``x @ weight.T + bias``: [N, inputs] to [N, outputs]."""
    y = x @ w.weight.T
    if w.bias is not None:
        y += w.bias
    return y


def linear_backward(dy: Array, x: Array, w: Linear, d: Linear) -> Array:
    dweight, dbias = d
    dweight += dy.T @ x  # [outputs, inputs]
    if dbias is not None:
        dbias += column_sums(dy)
    return dy @ w.weight  # [N, inputs]


def column_sums(x: Array) -> Array:
    """``x.sum(axis=0)`` by BLAS, which is several times as fast for short rows."""
    return np.ones(len(x), x.dtype) @ x


# ---- Norms -----------------------------------------------------------------------------------------------------


class SavedNorm(NamedTuple):
    unit: Array
    """[N, C] the row after centring and scaling, before the gain."""
    inverse: Array
    """[N, 1] the factor of each row."""


def norm(x: Array, gain: Gain, kind: Norm, eps: float) -> tuple[Array, SavedNorm]:
    """RMS norm with or without gain, or layer norm, of each row: [N, C]."""
    if kind == "layer":
        x = x - x.mean(axis=1, keepdims=True)
    mean_square = np.einsum("nc,nc->n", x, x)[:, None] / x.shape[1]
    inverse = 1 / np.sqrt(mean_square + x.dtype.type(eps))
    unit = x * inverse
    y = unit if gain.weight is None else unit * gain.weight
    if gain.bias is not None:
        y += gain.bias
    return y, SavedNorm(unit, inverse)


def norm_backward(dy: Array, saved: SavedNorm, gain: Gain, d: Gain, kind: Norm, dx: Array) -> None:
    """With u = x / rms(x): dx += (du - u * mean(du * u)) / rms(x). Layer norm also subtracts mean(du)."""
    unit, inverse = saved
    dweight, dbias = d
    if dbias is not None:
        dbias += column_sums(dy)
    if dweight is not None:
        dweight += column_sums(dy * unit)
    du: Array = dy.copy() if gain.weight is None else dy * gain.weight
    along = np.einsum("nc,nc->n", du, unit)[:, None] / unit.shape[1]
    if kind == "layer":
        du -= du.mean(axis=1, keepdims=True)
    du -= unit * along
    du *= inverse
    dx += du


# ---- MLP non-linearities -----------------------------------------------------------------------------------------

GELU_SCALE = 0.7978845608028654  # sqrt(2 / pi)
GELU_CUBIC = 0.044715


def activation(x: Array, kind: Mlp) -> tuple[Array, Array | None]:
    """The activation between an MLP's two matrices, and the array that its backward needs in addition to ``x``.

    ``x`` is [N, F], or for SwiGLU gate and up side by side: [N, 2F]. The output is [N, F].
    """
    if kind == "swiglu":
        gate, up = np.split(x, 2, axis=1)
        sigmoid = logistic(gate)
        y = gate * sigmoid
        y *= up
        return y, sigmoid
    if kind == "gelu":
        tanh = np.tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x))
        return 0.5 * x * (1 + tanh), tanh
    return np.maximum(x, 0), None


def activation_backward(dy: Array, x: Array, saved: Array | None, kind: Mlp) -> Array:
    if kind == "swiglu":
        assert saved is not None
        gate, up = np.split(x, 2, axis=1)
        dx = np.empty_like(x)
        dgate, dup = np.split(dx, 2, axis=1)
        silu = gate * saved
        np.multiply(dy, silu, out=dup)
        slope = np.subtract(gate, silu, out=silu)
        slope += 1
        slope *= saved  # d silu = sigmoid * (1 + gate - silu)
        slope *= up
        np.multiply(dy, slope, out=dgate)
        return dx
    if kind == "gelu":
        assert saved is not None
        tanh = saved
        inner = GELU_SCALE * (1 + 3 * GELU_CUBIC * x * x)  # d tanh's argument
        return dy * (0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * inner)
    return dy * (x > 0)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), by the hyperbolic tangent, which cannot overflow."""
    y = np.multiply(x, 0.5)
    np.tanh(y, out=y)
    y *= 0.5
    y += 0.5
    return y


# ---- Loss ------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Array, targets: Ids, weights: Array) -> tuple[float, Array]:
    """Sum of ``-weight * log softmax(logits)[target]`` in nats, and the gradient with respect to the logits.

    The gradient, ``(softmax - one_hot(target)) * weight``, overwrites ``logits`` [N, V].
    """
    rows = np.arange(len(targets))
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[rows, targets]  # [N]
    np.exp(logits, out=logits)
    total = logits.sum(axis=1)  # [N]
    loss = float(np.dot(weights.astype(np.float64), np.log(total) - chosen))
    logits *= (weights / total)[:, None]
    logits[rows, targets] -= weights
    return loss, logits
