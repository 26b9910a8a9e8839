"""How far one network's distributions are from another's."""

from __future__ import annotations

import numpy as np

from shrew.model.parameters import Array


def divergence(expected: Array, logits: Array) -> tuple[float, Array]:
    """Summed KL divergence of what ``logits`` [N, V] say from what ``expected`` says in nats, and its gradient.

    Both are overwritten; the gradient, ``softmax(logits) - softmax(expected)``, takes the place of ``logits``.
    """
    for each in (expected, logits):
        each -= each.max(axis=1, keepdims=True)
    difference = expected - logits
    totals = []
    for each in (expected, logits):
        np.exp(each, out=each)
        total = each.sum(axis=1, keepdims=True)
        each /= total
        totals.append(np.log(total[:, 0].astype(np.float64)))
    distance = np.einsum("nv,nv->n", expected, difference).astype(np.float64) + totals[1] - totals[0]
    logits -= expected
    return float(distance.sum()), logits
