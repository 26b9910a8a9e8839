"""The engine's training operators: fast float32 versions of those in ``shrew.model.operators``.

Methods have the same names, arguments and results as there, where they are documented; only what a forward saves for
its backward differs. Arrays are float32 and dense. Calls release the interpreter's lock.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.engine.session import units
from shrew.engine.shape import MLPS, NORMS

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]
Pair = tuple[Floats | None, Floats | None]
"""Weight and bias, or their gradients."""


def learning_units() -> list[str]:
    """The instruction sets with which this processor can run the operators, the fastest last."""
    return [name for name, unit in units().items() if lib.shrew_learn_unit(unit) > 0]


class SavedNorm(NamedTuple):
    x: Floats
    moments: Floats
    """[N, 2] mean and 1 / deviation."""


class SavedAttention(NamedTuple):
    shape: Any
    """``shrew_learn_heads``"""
    qkv: Floats
    out: Floats
    lse: Floats
    """[B, H * T] logarithm of each softmax's sum."""


class SavedLayer(NamedTuple):
    layer: Any
    """``shrew_learn_layer``"""
    x: Floats
    kept: Any
    data: NDArray[np.uint8]


class AdamwOptions(NamedTuple):
    rate: float
    beta1: float
    beta2: float
    epsilon: float
    decay: float
    correction1: float
    """1 - beta1^steps"""
    correction2: float


class CompiledOperators:
    def __init__(self, unit: str = "auto") -> None:
        self._unit: int = lib.shrew_learn_unit({"auto": 0, **units()}[unit])
        check(self._unit, f"operators of training for {unit}")

    # ---- Linear --------------------------------------------------------------------------------------------------

    def linear(self, x: Floats, w: Pair) -> Floats:
        weight, bias = w
        assert weight is not None
        sizes = len(x), *weight.shape[::-1]
        y = np.empty((len(x), len(weight)), np.float32)
        memory = _memory(lib.shrew_learn_linear_bytes(self._unit, *sizes))
        self._call(lib.shrew_learn_linear, *sizes, *map(_floats, (x, weight, bias, y)), *memory)
        return y

    def linear_backward(self, dy: Floats, x: Floats, w: Pair, d: Pair) -> Floats:
        weight, _ = w
        assert weight is not None
        sizes = len(x), *weight.shape[::-1]
        dx = np.empty_like(x)
        memory = _memory(lib.shrew_learn_linear_bytes(self._unit, *sizes))
        arrays = map(_floats, (dy, x, weight, *d, dx))
        self._call(lib.shrew_learn_linear_backward, *sizes, *arrays, *memory)
        return dx

    # ---- Rows ----------------------------------------------------------------------------------------------------

    def embedding(self, ids: Ids, table: Floats) -> Floats:
        y = np.empty((len(ids), table.shape[1]), np.float32)
        self._call(lib.shrew_learn_embedding, *y.shape, len(table), _ids(ids), _floats(table), _floats(y))
        return y

    def embedding_backward(self, dy: Floats, ids: Ids, dtable: Floats) -> None:
        operator = lib.shrew_learn_embedding_backward
        self._call(operator, *dy.shape, len(dtable), _floats(dy), _ids(ids), _floats(dtable))

    def rope(self, x: Floats, heads: int, phases: NDArray[Any], backward: bool = False) -> None:
        rows, pairs = phases.shape
        sizes = rows, heads, 2 * pairs, x.shape[1]
        self._call(lib.shrew_learn_rope, *sizes, _phases(phases), backward, _floats(x))

    # ---- Norms ---------------------------------------------------------------------------------------------------

    def norm(self, x: Floats, gain: Pair, kind: str, eps: float) -> tuple[Floats, SavedNorm]:
        y, moments = np.empty_like(x), np.empty((len(x), 2), np.float32)
        weight, bias = map(_floats, gain)
        operator = lib.shrew_learn_norm
        self._call(operator, NORMS[kind], *x.shape, eps, _floats(x), weight, bias, _floats(y), _floats(moments))
        return y, SavedNorm(x, moments)

    def norm_backward(self, dy: Floats, saved: SavedNorm, gain: Pair, d: Pair, kind: str, dx: Floats) -> None:
        x, moments = map(_floats, saved)
        arrays = _floats(dy), x, moments, _floats(gain[0]), *map(_floats, d), _floats(dx)
        self._call(lib.shrew_learn_norm_backward, NORMS[kind], *dx.shape, *arrays)

    # ---- Attention -----------------------------------------------------------------------------------------------

    def attention(
        self, qkv: Floats, batch: int, heads: int, kv_heads: int, head_dim: int
    ) -> tuple[Floats, SavedAttention]:
        rows = len(qkv)
        shape = ffi.new("shrew_learn_heads *", (batch, rows // batch, heads, kv_heads, head_dim))
        out = np.empty((rows, heads * head_dim), np.float32)
        lse = np.empty((rows, heads), np.float32)
        self._call(
            lib.shrew_learn_attention,
            shape,
            _floats(qkv),
            _floats(out),
            _floats(lse),
            *_memory(lib.shrew_learn_attention_bytes(self._unit, shape)),
        )
        return out, SavedAttention(shape, qkv, out, lse)

    def attention_backward(self, dout: Floats, saved: SavedAttention) -> Floats:
        shape, *arrays = saved
        dqkv = np.empty_like(saved.qkv)
        memory = _memory(lib.shrew_learn_attention_bytes(self._unit, shape))
        operator = lib.shrew_learn_attention_backward
        self._call(operator, shape, *map(_floats, arrays), _floats(dout), _floats(dqkv), *memory)
        return dqkv

    # ---- MLP and loss --------------------------------------------------------------------------------------------

    def activation(self, x: Floats, kind: str) -> tuple[Floats, None]:
        y = np.empty((len(x), x.shape[1] // (2 if kind == "swiglu" else 1)), np.float32)
        self._call(lib.shrew_learn_activation, MLPS[kind], *y.shape, _floats(x), _floats(y))
        return y, None

    def activation_backward(self, dy: Floats, x: Floats, saved: None, kind: str) -> Floats:
        operator = lib.shrew_learn_activation_backward
        dx = np.empty_like(x)
        self._call(operator, MLPS[kind], *dy.shape, _floats(dy), _floats(x), _floats(dx), ffi.NULL)
        return dx

    def cross_entropy(self, logits: Floats, targets: Ids, weights: Floats) -> tuple[float, Floats]:
        losses = np.empty(len(logits), np.float32)
        operator = lib.shrew_learn_cross_entropy
        self._call(operator, *logits.shape, _floats(logits), _ids(targets), _floats(weights), _floats(losses))
        return float(np.dot(losses.astype(np.float64), weights)), logits

    # ---- A layer -------------------------------------------------------------------------------------------------

    def layer_forward(
        self, c: Any, w: Any, x: Floats, batch: int, phases: NDArray[Any] | None, kept: Ids | None
    ) -> tuple[Floats, SavedLayer]:
        """``c`` has the fields of a ModelConfig; ``w`` has six pairs in the order of ``shrew_learn_tensors``."""
        rows = len(x) if kept is None else len(kept)
        sizes = c.dim, c.heads, c.kv_heads, c.head_dim, c.ffn, NORMS[c.norm], MLPS[c.mlp], c.norm_eps
        layer = ffi.new("shrew_learn_layer *", (batch, len(x) // batch, 0 if kept is None else rows, *sizes))
        data = np.empty(lib.shrew_learn_layer_saved_bytes(self._unit, layer), np.uint8)
        saved = SavedLayer(layer, x, ffi.NULL if kept is None else _ids(kept), data)
        y = np.empty((rows, c.dim), np.float32)
        arguments = layer, _tensors(w), _floats(x), _phases(phases), saved.kept, _floats(y)
        self._layer(lib.shrew_learn_layer_forward, saved, *arguments)
        return y, saved

    def layer_backward(
        self, c: Any, w: Any, d: Any, dx: Floats, saved: SavedLayer, batch: int, phases: NDArray[Any] | None
    ) -> Floats:
        dinput = np.empty_like(saved.x)
        arguments = saved.layer, _tensors(w), _tensors(d), _floats(saved.x), _phases(phases), saved.kept
        self._layer(lib.shrew_learn_layer_backward, saved, *arguments, _floats(dx), _floats(dinput))
        return dinput

    def _layer(self, operator: Any, saved: SavedLayer, *arguments: Any) -> None:
        memory = _memory(lib.shrew_learn_layer_memory_bytes(self._unit, saved.layer))
        self._call(operator, *arguments, ffi.from_buffer(saved.data), saved.data.size, *memory)

    # ---- All parameters as one vector ----------------------------------------------------------------------------

    def square_sum(self, x: Floats) -> float:
        total = ffi.new("float *")
        self._call(lib.shrew_learn_square_sum, x.size, _floats(x), total)
        return float(total[0])

    def scale(self, x: Floats, factor: float) -> None:
        self._call(lib.shrew_learn_scale, x.size, factor, _floats(x))

    def add(self, x: Floats, y: Floats) -> None:
        self._call(lib.shrew_learn_add, x.size, _floats(x), _floats(y))

    def adamw(self, options: AdamwOptions, gradient: Floats, first: Floats, second: Floats, parameters: Floats) -> None:
        """One step. ``first`` and ``second`` are the moments, initially zeros."""
        arrays = map(_floats, (gradient, first, second, parameters))
        self._call(lib.shrew_learn_adamw, ffi.new("shrew_learn_adamw_options *", options), gradient.size, *arrays)

    def _call(self, operator: Any, *arguments: Any) -> None:
        check(operator(self._unit, *arguments), "operator of training")


def _floats(array: Floats | None) -> Any:
    if array is None:
        return ffi.NULL
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    return ffi.from_buffer("float[]", array)


def _tensors(pairs: Any) -> Any:
    """A ``shrew_learn_tensors`` that points into the arrays. The caller must keep them alive."""
    return ffi.new("shrew_learn_tensors *", [_floats(array) for pair in pairs for array in pair])


def _phases(phases: NDArray[Any] | None) -> Any:
    """Converts phases to complex64, which stores cosine and sine side by side."""
    return ffi.NULL if phases is None else ffi.from_buffer("float[]", phases)


def _memory(size: int) -> tuple[Any, int]:
    return ffi.from_buffer(np.empty(size, np.uint8)), size


def _ids(ids: Ids) -> Any:
    return ffi.from_buffer("uint32_t[]", np.ascontiguousarray(ids, np.uint32))
