"""Every operator's hand-derived backward against central differences, in float64 and at odd sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradient_checks import numerical_gradient

from shrew.model.attention import (
    QUERY_TILE,
    SAFE_SCORE,
    attention,
    attention_backward,
    rope,
    rope_frequencies,
    rope_phases,
)
from shrew.model.config import ModelConfig
from shrew.model.operators import (
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
from shrew.model.parameters import Gain, Linear


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def test_embedding_backward_sums_repeated_ids(rng):
    ids = np.array([4, 0, 4, 2, 4])
    dy = rng.standard_normal((5, 3))
    expected = np.ones((6, 3))
    np.add.at(expected, ids, dy)
    dtable = np.ones((6, 3))  # gradients are added to what is there
    embedding_backward(dy, ids, dtable)
    close(dtable, expected, 1e-12)
    assert np.array_equal(embedding(ids, dtable), dtable[ids])


@pytest.mark.parametrize("biased", [False, True])
def test_linear(rng, biased):
    x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 7))
    w = Linear(rng.standard_normal((7, 3)), rng.standard_normal(7) if biased else None)
    d = Linear(np.zeros((7, 3)), np.zeros(7) if biased else None)
    dx = linear_backward(dy, x, w, d)

    def loss():
        return float((linear(x, w) * dy).sum())

    close(dx, numerical_gradient(loss, x))
    close(d.weight, numerical_gradient(loss, w.weight))
    if biased:
        close(d.bias, numerical_gradient(loss, w.bias))


@pytest.mark.parametrize("kind", ["rms", "rms-plain", "layer"])
def test_norm(rng, kind):
    C = 5
    x, dy = 3 * rng.standard_normal((4, C)) + 1, rng.standard_normal((4, C))
    weight = None if kind == "rms-plain" else rng.standard_normal(C)
    bias = rng.standard_normal(C) if kind == "layer" else None
    gain = Gain(weight, bias)
    d = Gain(*(None if part is None else np.zeros(C) for part in gain))
    y, saved = norm(x, gain, kind, 1e-3)
    dx = np.ones_like(x)
    norm_backward(dy, saved, gain, d, kind, dx)

    def loss():
        return float((norm(x, gain, kind, 1e-3)[0] * dy).sum())

    close(dx - 1, numerical_gradient(loss, x))  # it is added to what is there
    for part, gradient in zip(gain, d, strict=True):
        if part is not None:
            close(gradient, numerical_gradient(loss, part))
    centred = x - x.mean(axis=1, keepdims=True) if kind == "layer" else x
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-3)
    close(y, expected * (1 if weight is None else weight) + (0 if bias is None else bias), 1e-12)


@pytest.mark.parametrize("kind", ["swiglu", "gelu", "relu"])
def test_activation(rng, kind):
    F = 5
    x = rng.standard_normal((3, 2 * F if kind == "swiglu" else F)) * 2
    dy = rng.standard_normal((3, F))
    y, saved = activation(x, kind)
    assert y.shape == (3, F)
    dx = activation_backward(dy, x, saved, kind)
    close(dx, numerical_gradient(lambda: float((activation(x, kind)[0] * dy).sum()), x))


@pytest.mark.parametrize("kind", ["swiglu", "gelu", "relu"])
def test_activation_of_extremes_is_finite_and_silent(kind):
    x = np.array([[-1e4, -100, 0, 100, 1e4, 1]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        y, saved = activation(x, kind)
        assert np.isfinite(y).all()
        assert np.isfinite(activation_backward(y, x, saved, kind)).all()


def test_cross_entropy(rng):
    logits, targets = 3 * rng.standard_normal((4, 6)), np.array([0, 5, 2, 2])
    weights = np.array([1.0, 0.5, 0.0, -2.0])
    loss, gradient = cross_entropy(logits.copy(), targets, weights)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    close(loss, -(weights * np.log(probability[range(4), targets])).sum(), 1e-12)
    close(gradient, numerical_gradient(lambda: cross_entropy(logits.copy(), targets, weights)[0], logits))
    assert not gradient[2].any()


def test_cross_entropy_of_large_logits():
    loss, gradient = cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]), np.ones(2))
    assert loss == pytest.approx(1e4)
    close(gradient, [[0, 0], [-1, 1]])


# ---- Rotary positions and attention ----------------------------------------------------------------------------


def rope_config(**changes):
    return ModelConfig(
        **{"dim": 8, "layers": 1, "heads": 2, "head_dim": 6, "vocab": 5, "context": 99, "ffn": 4} | changes
    )


def test_rope_turns_neighbouring_pairs(rng):
    config = rope_config(kv_heads=1)
    positions = np.array([0, 1, 98])
    x = rng.standard_normal((3, 18))
    turned = x.copy()
    rope(turned, 3, rope_phases(config, positions, np.float64))
    frequencies = rope_frequencies(config)
    assert frequencies.dtype == np.float32
    close(frequencies, 10000.0 ** (-np.arange(3) / 3), 1e-7)
    for n, head, i in itertools.product(range(3), range(3), range(3)):
        angle = float(np.float32(positions[n]) * frequencies[i])
        a, b = x[n, head * 6 + 2 * i : head * 6 + 2 * i + 2]
        expected = [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)]
        close(turned[n, head * 6 + 2 * i : head * 6 + 2 * i + 2], expected, 1e-12)
    rope(turned, 3, rope_phases(config, positions, np.float64), backward=True)
    close(turned, x, 1e-12)


def plain_attention(q, k, v):
    """Attention as its definition reads, query by query."""
    B, T, H, D = q.shape
    K = k.shape[2]
    out = np.zeros((B, T, H * D))
    for b, t, h in itertools.product(range(B), range(T), range(H)):
        scores = k[b, : t + 1, h * K // H] @ q[b, t, h] / np.sqrt(D)
        p = np.exp(scores - scores.max())
        out[b, t, h * D : (h + 1) * D] = p / p.sum() @ v[b, : t + 1, h * K // H]
    return out.reshape(B * T, H * D)


SHAPES = [  # B, T, H, K, D
    (1, 1, 1, 1, 1),
    (2, 5, 2, 2, 3),
    (1, 7, 6, 2, 2),  # grouped queries
    (2, 4, 3, 1, 5),  # one key head
]


def random_attention(rng, B, T, H, K, D, size=1.0):
    q, k, v = (size * rng.standard_normal((B, T, heads, D)) for heads in (H, K, K))
    return q, k, v


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1.0, 12.0])  # the larger one needs the shift before exp
def test_attention_backward(rng, shape, size):
    q, k, v = random_attention(rng, *shape, size=size)
    dout = rng.standard_normal((shape[0] * shape[1], shape[2] * shape[4]))
    out, saved = attention(q, k, v)
    close(out, plain_attention(q, k, v), 1e-12)
    gradients = [np.full_like(x, np.nan) for x in (q, k, v)]
    attention_backward(dout, saved, *gradients)
    for x, gradient in zip((q, k, v), gradients, strict=True):
        close(gradient, numerical_gradient(lambda: float((attention(q, k, v)[0] * dout).sum()), x))


@pytest.mark.parametrize("T", [QUERY_TILE - 1, QUERY_TILE, QUERY_TILE + 1, 2 * QUERY_TILE + 5])
@pytest.mark.parametrize("size", [1.0, 30.0])
def test_tiles_change_nothing(rng, monkeypatch, T, size):
    """Lengths around the tile's edge: equal to one tile that covers all, forward and backward."""
    q, k, v = random_attention(rng, 1, T, 2, 1, 4, size)
    dout = rng.standard_normal((T, 8))

    def run():
        out, saved = attention(q, k, v)
        gradients = [np.zeros_like(x) for x in (q, k, v)]
        attention_backward(dout, saved, *gradients)
        return out, *gradients

    tiled = run()
    close(tiled[0], plain_attention(q, k, v), 1e-11)
    monkeypatch.setattr("shrew.model.attention.QUERY_TILE", 10 * T)
    for actual, expected in zip(tiled, run(), strict=True):
        close(actual, expected, 1e-10)


def test_attention_of_huge_scores_in_float32(rng):
    q, k, v = (x.astype(np.float32) for x in random_attention(rng, 2, 9, 2, 1, 8))
    q *= 1000
    assert np.abs(q[0, :, 0] @ k[0, :, 0].T).max() > 10 * SAFE_SCORE
    with np.errstate(all="raise", under="ignore"):
        out, saved = attention(q, k, v)
        gradients = [np.empty_like(x) for x in (q, k, v)]
        attention_backward(out, saved, *gradients)
    close(out, plain_attention(q, k, v), 1e-3)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
