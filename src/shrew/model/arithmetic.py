"""The operators that the network is made of, behind one face: the engine's for float32, NumPy's for every other type.

NumPy's are the definition, read easily and checked in float64; the engine's agree with them within rounding.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from shrew.engine.learn import CompiledOperators
from shrew.model import operators
from shrew.model.attention import Phases, attention_of_rows, attention_of_rows_backward, rope
from shrew.model.config import Mlp, Norm
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Gain, Linear


class Operators(Protocol):
    """Rows are tokens. A forward returns its output and what its backward wants to see again. A backward *adds* the
    gradients of parameters to the arrays it is given."""

    def embedding(self, ids: Ids, table: Array) -> Array: ...

    def embedding_backward(self, dy: Array, ids: Ids, dtable: Array) -> None: ...

    def linear(self, x: Array, w: Linear) -> Array: ...

    def linear_backward(self, dy: Array, x: Array, w: Linear, d: Linear) -> Array: ...

    def norm(self, x: Array, gain: Gain, kind: Norm, eps: float) -> tuple[Array, Any]: ...

    def norm_backward(self, dy: Array, saved: Any, gain: Gain, d: Gain, kind: Norm, dx: Array) -> None:
        """*Adds* to ``dx``: the gradient of the residual stream is there already."""

    def rope(self, x: Array, heads: int, phases: Phases, backward: bool = False) -> None:
        """Turns the first heads of each row of ``x`` by ``phases`` [N, D/2], in place."""

    def attention(self, qkv: Array, batch: int, heads: int, kv_heads: int, head_dim: int) -> tuple[Array, Any]:
        """``qkv`` [B*T, (H + 2K) * D] to [B*T, H*D]."""

    def attention_backward(self, dout: Array, saved: Any) -> Array:
        """The gradient of ``qkv``."""

    def activation(self, x: Array, kind: Mlp) -> tuple[Array, Any]: ...

    def activation_backward(self, dy: Array, x: Array, saved: Any, kind: Mlp) -> Array: ...

    def cross_entropy(self, logits: Array, targets: Ids, weights: Array) -> tuple[float, Array]: ...


class NumpyOperators:
    embedding = staticmethod(operators.embedding)
    embedding_backward = staticmethod(operators.embedding_backward)
    linear = staticmethod(operators.linear)
    linear_backward = staticmethod(operators.linear_backward)
    norm = staticmethod(operators.norm)
    norm_backward = staticmethod(operators.norm_backward)
    rope = staticmethod(rope)
    attention = staticmethod(attention_of_rows)
    attention_backward = staticmethod(attention_of_rows_backward)
    activation = staticmethod(operators.activation)
    activation_backward = staticmethod(operators.activation_backward)
    cross_entropy = staticmethod(operators.cross_entropy)


@cache
def operators_for(dtype: DTypeLike) -> Operators:
    return CompiledOperators() if dtype == np.float32 else NumpyOperators()
