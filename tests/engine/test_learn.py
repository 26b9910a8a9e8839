"""The operators of training of every unit that runs here against NumPy's in float64, at sizes around whole vectors."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shrew.engine.binding import ffi, lib
from shrew.engine.learn import AdamwOptions, CompiledOperators, learning_units
from shrew.errors import EngineError
from shrew.model import operators
from shrew.model.attention import Phases, attention_of_rows, attention_of_rows_backward, rope
from shrew.model.config import ModelConfig
from shrew.model.layer import layer_backward, layer_forward
from shrew.model.parameters import Gain, Linear, Parameters

WIDTHS = [1, 15, 16, 17, 48, 172]  # below, at and above a vector of any unit; no multiple
ROWS = [1, 7, 33]


@pytest.fixture(params=learning_units())
def unit(request) -> str:
    return request.param


@pytest.fixture
def ops(unit) -> CompiledOperators:
    return CompiledOperators(unit)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def floats(rng, *shape, scale=1.0) -> np.ndarray:
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def wide(*arrays):
    """Converts to float64, in which the NumPy operators are practically exact."""
    return [None if array is None else array.astype(np.float64) for array in arrays]


def close(actual, exact, tolerance=2e-6):
    """Within some rounding errors of the largest value."""
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, exact, rtol=tolerance, atol=tolerance * max(1.0, np.abs(exact).max()))


def test_there_is_a_unit_for_every_processor():
    assert "scalar" in learning_units()
    for unit in learning_units():
        CompiledOperators(unit)
    with pytest.raises(EngineError, match="reference"):
        CompiledOperators("reference")


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (7, 15, 33), (33, 64, 31), (300, 17, 48), (5, 600, 16)]
)
def test_linear(ops, rng, rows, inputs, outputs):
    x, dy = floats(rng, rows, inputs), floats(rng, rows, outputs)
    w = Linear(floats(rng, outputs, inputs), floats(rng, outputs))
    d = Linear(floats(rng, outputs, inputs), floats(rng, outputs))
    exact_d = Linear(*wide(*d))
    y, exact_y = ops.linear(x, w), operators.linear(*wide(x), Linear(*wide(*w)))
    close(y, exact_y, 1e-5)
    dx = ops.linear_backward(dy, x, w, d)
    close(dx, operators.linear_backward(*wide(dy, x), Linear(*wide(*w)), exact_d), 1e-5)
    close(d.weight, exact_d.weight, 1e-5)
    close(d.bias, exact_d.bias, 1e-5)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF, 0x7F800000])
def test_what_is_no_number_stays_none_in_products(ops, rng, bits):
    x, w = floats(rng, 33, 70), Linear(floats(rng, 40, 70), None)
    x[5, 40] = np.uint32(bits).view(np.float32)
    y = ops.linear(x, w)
    assert not np.isfinite(y[5]).any()
    assert np.isfinite(np.delete(y, 5, axis=0)).all()


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(33, 64, 31), (130, 100, 48)])
def test_the_smallest_numbers_beside_others_in_products(ops, rng, rows, inputs, outputs):
    """Down to denormals, whose extra bits could spill into a neighbour's."""
    x, dy, weight = floats(rng, rows, inputs), floats(rng, rows, outputs), floats(rng, outputs, inputs)
    for array in (x, dy, weight):
        small = rng.random(array.shape) < 0.5
        array[small] *= np.exp2(rng.uniform(-149, -100, small.sum())).astype(np.float32)
    w, d = Linear(weight, None), Linear(floats(rng, outputs, inputs), None)
    exact_d = Linear(*wide(*d))
    close(ops.linear(x, w), operators.linear(*wide(x), Linear(*wide(*w))), 1e-5)
    close(ops.linear_backward(dy, x, w, d), operators.linear_backward(*wide(dy, x), Linear(*wide(*w)), exact_d), 1e-5)
    close(d.weight, exact_d.weight, 1e-5)


def test_embedding(ops, rng):
    table, ids = floats(rng, 9, 17), np.array([3, 0, 8, 3, 3])
    assert np.array_equal(ops.embedding(ids, table), table[ids])
    dy, dtable = floats(rng, 5, 17), floats(rng, 9, 17)
    (exact,) = wide(dtable)
    operators.embedding_backward(*wide(dy), ids, exact)
    ops.embedding_backward(dy, ids, dtable)
    close(dtable, exact)


def test_ids_beyond_the_table_are_refused(ops, rng):
    table, ids = floats(rng, 9, 4), np.array([0, 9])
    with pytest.raises(EngineError):
        ops.embedding(ids, table)
    with pytest.raises(EngineError):
        ops.embedding_backward(floats(rng, 2, 4), ids, table)
    with pytest.raises(EngineError):
        ops.cross_entropy(floats(rng, 2, 9), ids, np.ones(2, np.float32))
    with pytest.raises(EngineError):
        ops.embedding(np.array([-1]), table)


@pytest.mark.parametrize("kind", ["rms", "rms-plain", "layer"])
@pytest.mark.parametrize(("rows", "width"), list(itertools.product(ROWS, WIDTHS)))
def test_norm(ops, rng, kind, rows, width):
    x, dy, dx = floats(rng, rows, width) + np.float32(0.5), floats(rng, rows, width), floats(rng, rows, width)
    gain = Gain(None if kind == "rms-plain" else floats(rng, width), floats(rng, width) if kind == "layer" else None)
    d = Gain(*(None if part is None else floats(rng, width) for part in gain))
    exact_gain, exact_d, (exact_dx,) = Gain(*wide(*gain)), Gain(*wide(*d)), wide(dx)
    y, saved = ops.norm(x, gain, kind, 1e-3)
    exact, exact_saved = operators.norm(*wide(x), exact_gain, kind, 1e-3)
    close(y, exact, 1e-5)
    ops.norm_backward(dy, saved, gain, d, kind, dx)
    operators.norm_backward(*wide(dy), exact_saved, exact_gain, exact_d, kind, exact_dx)
    close(dx, exact_dx, 2e-5)
    for part, exact_part in zip(d, exact_d, strict=True):
        if part is not None:
            close(part, exact_part, 1e-5)


@pytest.mark.parametrize(("heads", "others", "pairs"), [(1, 0, 1), (3, 2, 4), (5, 1, 9)])
def test_rope(ops, rng, heads, others, pairs):
    angles = rng.uniform(0, 6, (7, pairs))
    phases: Phases = np.exp(1j * angles)
    x = floats(rng, 7, (heads + others) * 2 * pairs)
    (exact,) = wide(x)
    turned = x.copy()
    ops.rope(turned, heads, phases.astype(np.complex64))
    rope(exact, heads, phases)
    close(turned, exact)
    ops.rope(turned, heads, phases.astype(np.complex64), backward=True)
    close(turned, x)


@pytest.mark.parametrize("T", [1, 2, 15, 16, 17, 31, 33, 65, 130])
@pytest.mark.parametrize(("H", "K", "D"), [(1, 1, 1), (6, 2, 8), (3, 1, 15), (2, 2, 16), (2, 1, 33), (1, 1, 64)])
def test_attention(ops, rng, T, H, K, D):
    """Lengths around tiles of 16 and 32 and around a depth of 64, heads of odd width, grouped queries."""
    check_attention(ops, rng, 2, T, H, K, D, 1.0, 1e-5)


@pytest.mark.parametrize("scale", [0.0, 4.0, 300.0])
def test_attention_of_other_scores(ops, rng, scale):
    """All equal, nearly one-hot, and far beyond what an exponential can hold."""
    check_attention(ops, rng, 1, 70, 2, 1, 8, scale, 1e-5 if scale < 100 else 0.05)


def check_attention(ops, rng, batch, T, H, K, D, scale, tolerance):
    qkv, dout = floats(rng, batch * T, (H + 2 * K) * D, scale=scale), floats(rng, batch * T, H * D)
    out, saved = ops.attention(qkv, batch, H, K, D)
    exact, exact_saved = attention_of_rows(*wide(qkv), batch, H, K, D)
    close(out, exact, tolerance)
    if scale < 100:  # there a gradient is a difference of what float32 cannot tell apart
        close(ops.attention_backward(dout, saved), attention_of_rows_backward(*wide(dout), exact_saved), tolerance)
    else:
        assert np.isfinite(ops.attention_backward(dout, saved)).all()


@pytest.mark.parametrize("kind", ["swiglu", "gelu", "relu"])
@pytest.mark.parametrize(("rows", "width"), list(itertools.product(ROWS, WIDTHS)))
def test_activation(ops, rng, kind, rows, width):
    x, dy = floats(rng, rows, width * (2 if kind == "swiglu" else 1), scale=3.0), floats(rng, rows, width)
    y, saved = ops.activation(x, kind)
    exact, exact_saved = operators.activation(*wide(x), kind)
    close(y, exact)
    dx, (exact_dy, exact_x) = ops.activation_backward(dy, x, saved, kind), wide(dy, x)
    close(dx, operators.activation_backward(exact_dy, exact_x, exact_saved, kind))


@pytest.mark.parametrize("kind", ["swiglu", "gelu", "relu"])
def test_activation_of_extremes(ops, kind):
    x = np.array([[-1e4, -100, -0.0, 0, 100, 1e4, 1, -1]], np.float32)
    y, saved = ops.activation(x, kind)
    close(y, operators.activation(*wide(x), kind)[0])
    assert np.isfinite(ops.activation_backward(y, x, saved, kind)).all()


@pytest.mark.parametrize("vocab", [1, 15, 16, 17, 31, 512])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cross_entropy(ops, rng, vocab, scale):
    """Including zero and negative weights."""
    logits, targets = floats(rng, 5, vocab, scale=scale), rng.integers(0, vocab, 5)
    weights = np.array([1, 0, -2, 0.5, 1], np.float32)
    exact_loss, exact = operators.cross_entropy(*wide(logits), targets, *wide(weights))
    loss, gradient = ops.cross_entropy(logits, targets, weights)
    assert gradient is logits
    assert loss == pytest.approx(exact_loss, rel=1e-6, abs=2e-6)
    close(gradient, exact)
    assert not gradient[1].any()


@pytest.mark.parametrize("vocab", [5, 16, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_reaches_the_loss(ops, rng, vocab, bad):
    for column in (0, vocab - 1):
        logits = floats(rng, 1, vocab)
        logits[0, column] = bad
        loss, _ = ops.cross_entropy(logits, np.array([1]), np.ones(1, np.float32))
        assert np.isnan(loss)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_goes_through_every_operator(ops, rng, bad):
    x = floats(rng, 20, 3 * 8)
    x[4, 3] = bad
    out, _ = ops.attention(x, 1, 1, 1, 8)
    assert not np.isfinite(out[4:]).all()
    assert np.isfinite(out[:4]).all()  # tokens before it have not seen it
    for kind in ("swiglu", "gelu", "relu"):
        assert not np.isfinite(ops.activation(x, kind)[0]).all()
    for kind in ("rms-plain", "layer"):
        assert np.isnan(ops.norm(x, Gain(None, None), kind, 1e-5)[0]).any()


@pytest.mark.parametrize("count", [1, 15, 17, 5000])
def test_vectors_of_all_parameters(ops, rng, count):
    x, y = floats(rng, count), floats(rng, count)
    assert ops.square_sum(x) == pytest.approx(float(np.dot(*wide(x, x))), rel=1e-6)
    total = y.copy()
    ops.add(x, total)
    assert np.array_equal(total, x + y)
    ops.scale(total, 0.25)
    assert np.array_equal(total, (x + y) * np.float32(0.25))


@pytest.mark.parametrize("count", [1, 15, 17, 100])
def test_adamw(ops, rng, count):
    gradient, first, parameters = (floats(rng, count) for _ in range(3))
    second = floats(rng, count) ** 2
    gradient[0] = second[0] = first[0] = 0  # a parameter that nothing moved yet
    o = AdamwOptions(0.01, 0.9, 0.99, 1e-8, 0.1, 1 - 0.9**3, 1 - 0.99**3)
    g, m, v, p = wide(gradient, first, second, parameters)
    ops.adamw(o, gradient, first, second, parameters)
    m = o.beta1 * m + (1 - o.beta1) * g
    v = o.beta2 * v + (1 - o.beta2) * g * g
    step = m / o.correction1 / (np.sqrt(v / o.correction2) + o.epsilon)
    close(first, m)
    close(second, v)
    close(parameters, p - o.rate * (step + o.decay * p))


def test_impossible_arguments_are_refused():
    unit, null = lib.shrew_learn_unit(0), ffi.NULL
    one = ffi.new("float[1]")
    heads = ffi.new("shrew_learn_heads *", (1, 4, 2, 1, 8))
    size = lib.shrew_learn_attention_bytes(unit, heads)
    assert size > 0
    assert lib.shrew_learn_attention(unit, heads, one, one, one, one, size - 1) == lib.SHREW_E_MEMORY
    assert lib.shrew_learn_attention(unit, heads, null, one, one, one, size) == lib.SHREW_E_ARGUMENT
    for bad in [
        (0, 4, 2, 1, 8),
        (1, 0, 2, 1, 8),
        (1, 4, 3, 2, 8),
        (1, 4, 2, 0, 8),
        (1, 4, 2, 1, 0),
        (1, 2**24, 2, 1, 8),
    ]:
        assert lib.shrew_learn_attention_bytes(unit, ffi.new("shrew_learn_heads *", bad)) == 0
    assert lib.shrew_learn_norm(unit, 3, 1, 1, 1e-5, one, null, null, one, one) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_learn_norm(unit, 0, 0, 1, 1e-5, one, null, null, one, one) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_learn_rope(unit, 1, 1, 3, 3, one, 0, one) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_learn_scale(99, 1, 1.0, one) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_learn_unit(99) == lib.SHREW_E_ARGUMENT


# ---- A whole layer -------------------------------------------------------------------------------------------------

LAYER = ModelConfig(dim=20, layers=1, heads=6, kv_heads=2, head_dim=6, vocab=5, context=40, ffn=19)
LAYERS = {
    "llama": LAYER,
    "gpt2": replace(LAYER, norm="layer", position="learned", mlp="gelu", bias_qkv=True, bias_out=True, bias_mlp=True),
    "plain": replace(LAYER, norm="rms-plain", mlp="relu"),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("learned", ["all", "some", "one"])
def test_layer(ops, unit, rng, name, learned):
    """Also with only some rows in the second half. Tiles use 16 bits of a factor."""
    c, batch, tokens = LAYERS[name], 3, 17
    N = batch * tokens
    kept = {"all": None, "some": np.flatnonzero(rng.random(N) < 0.4), "one": np.array([N - 1])}[learned]
    parameters, gradients = Parameters(c, floats(rng, c.parameters)), Parameters(c, floats(rng, c.parameters))
    exact_parameters, exact_gradients = (Parameters(c, *wide(each.flat)) for each in (parameters, gradients))
    w, d = parameters.network.layers[0], gradients.network.layers[0]
    exact_w, exact_d = exact_parameters.network.layers[0], exact_gradients.network.layers[0]
    angles = rng.uniform(0, 6, (N, c.head_dim // 2))
    phases = np.exp(1j * angles) if c.position == "rope" else None
    narrow = None if phases is None else phases.astype(np.complex64)

    x, dy = floats(rng, N, c.dim), floats(rng, N if kept is None else len(kept), c.dim)
    y, saved = ops.layer_forward(c, w, x, batch, narrow, kept)
    exact_x, exact_dy = wide(x, dy)
    exact, exact_saved = layer_forward(c, exact_w, exact_x, batch, phases, kept)
    coarser = 10 if unit == "amx" else 1
    close(y, exact, 1e-5 * coarser)
    dx = ops.layer_backward(c, w, d, dy, saved, batch, narrow)
    close(dx, layer_backward(c, exact_w, exact_d, exact_dy, exact_saved, batch, phases), 1e-4 * coarser)
    close(gradients.flat, exact_gradients.flat, 1e-4 * coarser)


def test_a_layer_refuses_rows_that_are_not_there(ops, rng):
    parameters = Parameters(LAYER, floats(rng, LAYER.parameters))
    for kept in ([3, 40], [3, 3], [4, 3]):
        with pytest.raises(EngineError):
            ops.layer_forward(LAYER, parameters.network.layers[0], floats(rng, 40, 20), 1, None, np.array(kept))


# ---- The same sources under the sanitizers -----------------------------------------------------------------------

ENGINE = Path(__file__).parents[2] / "engine"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_units_agree_and_stay_inside_their_arrays(compiler, tmp_path):
    """Every array is a separate block of exactly the size that the header states."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    learn = [ENGINE / "learn" / name for name in ("layer.c", "linear.c", "operators.c")]
    learn += [*ENGINE.glob("learn/operators/*.c"), ENGINE / "src/kernels/processor.c"]
    sources = [*learn, Path(__file__).with_name("learn.c")]
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off"]
    flags = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover"]  # optimised, it takes ten times as long
    driver = tmp_path / "learn"
    command = [compiler, *strict, *flags, f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}", *sources, "-o", driver]
    subprocess.run([str(part) for part in command], check=True)
    done = subprocess.run([driver], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("unit ")
