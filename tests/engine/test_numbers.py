"""The engine's own mathematics, against float64."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from engine.test_build import COMPILERS, ENGINE, build
from numpy.typing import NDArray

NAMES = ("reciprocal", "rsqrt", "exp", "sigmoid", "tanh", "sin", "cos", "fixed exp2", "fixed sigmoid", "scale", "round")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory):
    compiler = next(filter(None, COMPILERS.values()), None)
    if compiler is None:
        pytest.skip("no C compiler is installed")
    path = tmp_path_factory.mktemp("numbers") / "numbers.so"
    sources = [ENGINE / "src" / "numbers.c", Path(__file__).with_name("numbers_table.c")]
    build(compiler, path, "-O2", "-fPIC", sources=sources, link=["-shared"])
    library = ctypes.CDLL(str(path))

    def apply(name: str, x: NDArray[np.float32]) -> NDArray[np.float64]:
        x = np.ascontiguousarray(x, dtype=np.float32)
        y = np.empty_like(x)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, y)]
        library.table(NAMES.index(name), *pointers, len(x))
        return y.astype(np.float64)

    return apply


def ulps(got: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """The largest error in units in the last place (ulp) of the exact value."""
    return float((np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)).max())


def mantissas(exponents: range) -> NDArray[np.float32]:
    """Every 2^7th mantissa at each exponent, and the first and last ones."""
    fractions = np.concatenate([1 + np.arange(0, 1 << 23, 128) / 2.0**23, [2 - 2.0**-23]])
    return np.concatenate([(fractions * 2.0**e).astype(np.float32) for e in exponents])


def test_reciprocal(table) -> None:
    x = mantissas(range(-99, 100, 9))
    assert ulps(table("reciprocal", x), 1 / x.astype(np.float64)) <= 2


def test_rsqrt(table) -> None:
    x = mantissas(range(-99, 100, 9))
    assert ulps(table("rsqrt", x), 1 / np.sqrt(x.astype(np.float64))) <= 3


def test_exp(table) -> None:
    x = np.linspace(-87, 88, 2_000_001).astype(np.float32)
    assert ulps(table("exp", x), np.exp(x.astype(np.float64))) <= 3
    assert table("exp", np.array([0.0]))[0] == 1.0
    assert table("exp", np.array([-87.1, -1e30, -np.inf])).tolist() == [0.0, 0.0, 0.0]
    assert np.isfinite(table("exp", np.array([89.0, 1e30, np.inf]))).all()
    assert np.isnan(table("exp", np.array([np.nan])))[0]


def test_sigmoid_and_tanh(table) -> None:
    x = np.linspace(-100, 100, 1_000_001).astype(np.float32)
    wide = x.astype(np.float64)
    assert np.abs(table("sigmoid", x) - 1 / (1 + np.exp(-wide))).max() < 3e-7
    assert np.abs(table("tanh", x) - np.tanh(wide)).max() < 5e-7


@pytest.mark.parametrize(("largest", "error"), [(3.0, 2e-7), (300.0, 2e-7), (40_000.0, 5e-7)])
def test_sine_and_cosine(table, largest: float, error: float) -> None:
    x = np.linspace(0, largest, 1_000_001).astype(np.float32)
    wide = x.astype(np.float64)
    assert np.abs(table("sin", x) - np.sin(wide)).max() < error
    assert np.abs(table("cos", x) - np.cos(wide)).max() < error


def test_rounding_is_to_the_nearest_even(table) -> None:
    x = np.concatenate([np.arange(-200, 200, 0.25), np.random.default_rng(0).uniform(-4e6, 4e6, 10_000)])
    x = x.astype(np.float32)
    assert np.array_equal(table("round", x), np.rint(x.astype(np.float64)))


def test_the_integer_exponential_falls_steadily_and_keeps_its_bound(table) -> None:
    u = np.arange(65536, dtype=np.float32)
    got = table("fixed exp2", u)
    assert np.abs(got / 32768 - 2.0 ** -(u.astype(np.float64) / 4096)).max() < 9.4e-5
    assert got[0] == 32768
    assert got[-1] == 0
    assert (np.diff(got) <= 0).all()


def test_the_integer_sigmoid(table) -> None:
    x = np.linspace(-100, 100, 1_000_001).astype(np.float32)
    got = table("fixed sigmoid", x)
    assert np.abs(got / 32768 - 1 / (1 + np.exp(-x.astype(np.float64)))).max() < 2e-4
    assert (np.diff(got) >= 0).all()
    assert np.array_equal(got + table("fixed sigmoid", -x), np.where(x == 0, got + got, 32768))
    assert table("fixed sigmoid", np.array([-np.inf, np.inf])).tolist() == [0.0, 32768.0]


def test_scales_of_one_byte_are_never_too_small_and_at_most_an_eighth_too_large(table) -> None:
    x = np.geomspace(2.0**-22, 960, 1_000_001).astype(np.float32).clip(2.0**-22, 960)
    ratio = table("scale", x) / x
    assert ratio.min() >= 1
    assert ratio.max() <= 1.125
    assert table("scale", np.array([0.0, 1e-30, 1e30])).tolist() == [2.0**-22, 2.0**-22, 960.0]
