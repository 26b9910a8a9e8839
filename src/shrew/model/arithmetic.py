"""The network's operators behind one interface: the engine's for float32, NumPy's for every other type.

NumPy's are the definition: readable, and checked in float64. The engine's agree with them within rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from shrew.engine.learn import CompiledOperators
from shrew.model import layer, operators
from shrew.model.attention import Phases
from shrew.model.config import ModelConfig, Norm
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Gain, Layer, Linear


class Operators(Protocol):
    """Rows are tokens. A forward returns its output and what its backward needs. A backward *adds* the gradients of
    parameters to the given arrays."""

    def embedding(self, ids: Ids, table: Array) -> Array: ...

    def embedding_backward(self, dy: Array, ids: Ids, dtable: Array) -> None: ...

    def linear(self, x: Array, w: Linear) -> Array: ...

    def linear_backward(self, dy: Array, x: Array, w: Linear, d: Linear) -> Array: ...

    def norm(self, x: Array, gain: Gain, kind: Norm, eps: float) -> tuple[Array, Any]: ...

    def norm_backward(self, dy: Array, saved: Any, gain: Gain, d: Gain, kind: Norm, dx: Array) -> None:
        """*Adds* to ``dx``, which already has the gradient of the residual stream."""

    def layer_forward(
        self, c: ModelConfig, w: Layer, x: Array, batch: int, phases: Phases | None, kept: Ids | None
    ) -> tuple[Array, Any]: ...

    def layer_backward(
        self, c: ModelConfig, w: Layer, d: Layer, dx: Array, saved: Any, batch: int, phases: Phases | None
    ) -> Array:
        """Overwrites ``dx`` and ``saved``."""

    def cross_entropy(self, logits: Array, targets: Ids, weights: Array) -> tuple[float, Array]: ...


class NumpyOperators:
    embedding = staticmethod(operators.embedding)
    embedding_backward = staticmethod(operators.embedding_backward)
    linear = staticmethod(operators.linear)
    linear_backward = staticmethod(operators.linear_backward)
    norm = staticmethod(operators.norm)
    norm_backward = staticmethod(operators.norm_backward)
    layer_forward = staticmethod(layer.layer_forward)
    layer_backward = staticmethod(layer.layer_backward)
    cross_entropy = staticmethod(operators.cross_entropy)


@cache
def operators_for(dtype: DTypeLike) -> Operators:
    return CompiledOperators() if dtype == np.float32 else NumpyOperators()
