"""The divergence of one network's distributions from another's."""

from __future__ import annotations

import numpy as np

from shrew.model.parameters import Array


def divergence(expected: Array, logits: Array) -> tuple[float, Array]:
    """Summed KL divergence of softmax(``logits``) [N, V] from softmax(``expected``) in nats, and its gradient.

    Overwrites both. The gradient with respect to ``logits``, ``softmax(logits) - softmax(expected)``, replaces
    ``logits``.
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
