"""Rounding with learnt scales: what it stores is within the format's ranges, and as near as the scales allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrew.engine import multiplier_limit, quantize
from shrew.engine.tensor import RANGES
from shrew.image import WeightType
from shrew.quantize.rounding import Rounding

TYPES = [WeightType(kind, group) for kind in ("q8", "q4", "ternary") for group in (0, 16, 32)]


def matrix(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, cols)) * rng.lognormal(size=(rows, 1))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TYPES), st.integers(1, 9), st.integers(1, 70), st.integers(0, 99))
def test_what_is_stored_is_in_range(weight: WeightType, rows: int, cols: int, seed: int) -> None:
    """Groups that do not divide the columns, single rows and single columns included."""
    latent = matrix(rows, cols, seed)
    rounding = Rounding(weight, latent)
    stored = rounding.quantized(latent)
    low, high = RANGES[weight.type]
    assert stored.values.shape == (rows, cols)
    assert low <= stored.values.min() <= stored.values.max() <= high
    assert stored.row_scales.shape == (rows,)
    assert np.isfinite(stored.row_scales).all()
    if weight.group:
        assert stored.multipliers is not None
        assert stored.multipliers.shape == (rows, -(-cols // weight.group))
        assert np.abs(stored.multipliers.astype(int)).max() <= multiplier_limit(weight.type, cols)
        assert stored.multipliers.all()
    np.testing.assert_allclose(stored.floats(), rounding.forward(latent), rtol=1e-6)


def test_a_matrix_of_zeros_stays_one() -> None:
    zeros = np.zeros((3, 40), np.float32)
    for weight in TYPES:
        assert not Rounding(weight, zeros).quantized(zeros).floats().any()


@pytest.mark.parametrize("weight", TYPES, ids=str)
def test_what_can_be_stored_exactly_is(weight: WeightType) -> None:
    rng = np.random.default_rng(1)
    low, high = RANGES[weight.type]
    integers = rng.integers(low, high + 1, (6, 64)).astype(np.int8)
    integers[:, ::16] = low  # every group shows the end of its range
    groups = 64 // (weight.group or 64)
    multipliers = rng.integers(1, multiplier_limit(weight.type, 64) + 1, (6, groups))
    multipliers[:, 0] = multiplier_limit(weight.type, 64)
    scales = 2.0 ** rng.integers(-9, -3, 6) * (1 if not weight.group else 2.0**-7)
    spread = np.repeat(multipliers if weight.group else np.ones_like(multipliers), 64 // groups, axis=1)
    exact = (integers * spread * scales[:, None]).astype(np.float32)
    stored = Rounding(weight, exact).quantized(exact)
    np.testing.assert_allclose(stored.floats(), exact, rtol=1e-6)


@pytest.mark.parametrize("weight", [t for t in TYPES if t.type != "q8"], ids=str)
def test_weighted_error_is_at_most_that_of_rounding_to_the_nearest(weight: WeightType) -> None:
    latent = matrix(40, 200)
    importance = np.random.default_rng(2).lognormal(sigma=2, size=200)
    ours = Rounding(weight, latent, importance).quantized(latent).floats()
    nearest = quantize(latent, weight.type, weight.group).floats()
    errors = [float((((floats - latent) ** 2) * importance).sum()) for floats in (ours, nearest)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("weight", [WeightType("q4", 16), WeightType("ternary", 32)], ids=str)
def test_gradients_of_scales_are_those_of_the_values(weight: WeightType) -> None:
    """Where no integer changes, a value is integer times scale plus what the straight-through estimator passes on."""
    latent = matrix(4, 40)
    rounding = Rounding(weight, latent)
    before = rounding.forward(latent)
    upstream = np.random.default_rng(3).normal(size=latent.shape).astype(np.float32)
    of_latent, of_scales = rounding.backward(upstream)
    outside = np.abs(before - latent) > 0.5001 * np.abs(np.repeat(rounding.scales, rounding.width, axis=1)[:, :40])
    assert not of_latent[outside].any()
    inside = of_latent != 0
    np.testing.assert_array_equal(of_latent[inside], upstream[inside])
    groups = [slice(start, start + rounding.width) for start in range(0, 40, rounding.width)]
    scale = np.repeat(rounding.scales, rounding.width, axis=1)[:, :40]
    slope = np.where(inside, before - latent, before) / scale
    expected = np.stack([(upstream * slope)[:, g].sum(axis=1) for g in groups], axis=1)
    np.testing.assert_allclose(of_scales, expected, rtol=0.1, atol=0.1)  # the stored scale is the nearest multiplier's
