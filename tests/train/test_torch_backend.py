"""PyTorch's backend against NumPy's: the same gradients, the same run folder, checkpoints that go both ways."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from model.gradient_checks import pack_lengths, random_parameters
from toy_rows import MODEL, toy_rows

from shrew.errors import ConfigError, TrainingError
from shrew.model.config import ModelConfig
from shrew.model.gradients import loss_and_gradients
from shrew.run import Run, RunConfig, TrainConfig, read_tensors
from shrew.train.loop import make_backend, train
from shrew.train.progress import SilentProgress

torch = pytest.importorskip("torch")

ROWS, VALIDATION = toy_rows(8), toy_rows(4, seed=9)

BASE = ModelConfig(dim=24, layers=2, heads=6, kv_heads=2, head_dim=6, vocab=31, context=40, ffn=20)
ALL_BIASES = {"bias_qkv": True, "bias_out": True, "bias_mlp": True}
MODELS = {
    "llama": BASE,
    "untied-biased": replace(BASE, tied_head=False, embed_norm=True, rope_theta=500.0, norm_eps=1e-3, **ALL_BIASES),
    "gpt2": replace(BASE, norm="layer", position="learned", mlp="gelu", kv_heads=6, **ALL_BIASES),
    "gpt2-embed-norm": replace(BASE, norm="layer", position="learned", mlp="relu", kv_heads=1, embed_norm=True),
    "plain": replace(BASE, norm="rms-plain", mlp="relu", final_norm=False, embed_norm=True, bias_mlp=True),
    "plain-learned": replace(BASE, norm="rms-plain", position="learned", kv_heads=3, bias_qkv=True),
}


def config(**options):
    return TrainConfig(**{"steps": 40, "batch": 3, "learning_rate": 0.01, "threads": 1, "backend": "torch"} | options)


def make_run(path, **options):
    periods = {"log_every": 1, "eval_every": 10, "checkpoint_every": 20}
    return Run.create(path, RunConfig(model=MODEL, train=config(**periods | options)))


class CrashAt(SilentProgress):
    def __init__(self, step):
        self.at = step

    def step(self, step, share):
        if step == self.at:
            raise MemoryError


def losses(run):
    return [record.loss for record in run.read_log()]


# ---- The same numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["zero-or-one", "fractional", "negative"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_equal_numpys(name, weights):
    from shrew.train.backends.torch_network import Network, Rows

    model = MODELS[name]
    parameters = random_parameters(model, np.float32)
    parameters.flat *= np.float32(0.5)
    rows = pack_lengths([[33, 5], [15, 15, 10], [40], [1, 2, 3, 4], [30]], 40, model.vocab)
    if weights != "zero-or-one":
        rng = np.random.default_rng(1)
        rows.weights[...] *= rng.uniform(0.0 if weights == "fractional" else -1.0, 1.0, rows.weights.shape)
    nats, _, expected = loss_and_gradients(model, parameters, rows)

    cpu = torch.device("cpu")
    flat = torch.from_numpy(parameters.flat.copy()).requires_grad_()
    loss = Network(model, cpu, torch.float32).nats(flat, Rows.of(rows, len(rows) + 1, cpu))
    (gradient,) = torch.autograd.grad(loss, flat)
    assert loss.item() == pytest.approx(nats, rel=1e-5, abs=1e-3)
    np.testing.assert_allclose(gradient.numpy(), expected.flat, rtol=0, atol=1e-4 * np.abs(expected.flat).max())


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_equal_numpys(optimizer, clip):
    options = {"optimizer": optimizer, "clip": clip, "weight_decay": 0.3}
    ours, theirs = (
        make_backend(MODEL, config(backend=backend, **options), random_parameters(MODEL, np.float32))
        for backend in ("torch", "numpy")
    )
    for rate in (0.01, 0.003, 0.02):
        np.testing.assert_allclose(ours.step(ROWS, rate), theirs.step(ROWS, rate), rtol=1e-4)
    assert ours.evaluate(VALIDATION) == pytest.approx(theirs.evaluate(VALIDATION), rel=1e-4)
    np.testing.assert_allclose(ours.parameters().flat, theirs.parameters().flat, atol=2e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(("first", "second"), [("numpy", "torch"), ("torch", "numpy"), ("torch", "torch")])
def test_a_checkpoint_goes_on_in_either_backend(tmp_path, optimizer, first, second):
    straight = make_run(tmp_path / "straight", optimizer=optimizer, backend="numpy")
    whole = train(straight, ROWS, VALIDATION)
    run = make_run(tmp_path / "run", optimizer=optimizer, backend=first)

    with pytest.raises(MemoryError):
        train(run, ROWS, VALIDATION, progress=CrashAt(25))
    other = Run(run.path, replace(run.config, train=replace(run.config.train, backend=second)))
    result = train(other, ROWS, VALIDATION, resume=True)
    assert losses(run) == pytest.approx(losses(straight), rel=1e-3)
    assert result.best_loss == pytest.approx(whole.best_loss, rel=1e-3)
    (ours, _), (theirs, _) = (read_tensors(r.checkpoint_path) for r in (run, straight))
    assert {name: (x.shape, x.dtype) for name, x in ours.items()} == {
        name: (x.shape, x.dtype) for name, x in theirs.items()
    }


# ---- PyTorch's own options -----------------------------------------------------------------------------------------


def test_bfloat16_learns_as_well(tmp_path):
    runs = [make_run(tmp_path / precision, precision=precision) for precision in ("float32", "bfloat16")]
    for run in runs:
        train(run, ROWS, VALIDATION)
    exact, rounded = map(losses, runs)
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)
    assert all(x.dtype == np.float32 for x in read_tensors(runs[1].checkpoint_path)[0].values() if x.size > 1)


def test_compiled_equals_eager(monkeypatch):
    """Up to the graphs, whose translation to machine code would take most of a minute. Fixed shapes make one graph."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    eager, compiled = (
        make_backend(MODEL, config(compile=compile), random_parameters(MODEL, np.float32)) for compile in (False, True)
    )
    torch._dynamo.utils.counters.clear()
    steps = [compiled.step(ROWS, 0.01) for _ in range(2)]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    np.testing.assert_allclose(steps, [eager.step(ROWS, 0.01) for _ in range(2)], rtol=1e-4)
    assert compiled.evaluate(VALIDATION) == pytest.approx(eager.evaluate(VALIDATION), rel=1e-4)


# ---- Failures ------------------------------------------------------------------------------------------------------


def test_without_pytorch_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"backend torch needs PyTorch.*pip install 'shrew\[torch\]'$"):
        train(make_run(tmp_path / "run"), ROWS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r"device cuda: .* PyTorch sees 0; .*train\.device=cpu$"):
        train(make_run(tmp_path / "run", device="cuda"), ROWS)


def test_several_processes_need_pytorch(monkeypatch, tmp_path):
    run = make_run(tmp_path / "run", backend="numpy")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="several processes train together with PyTorch only; add --backend torch"):
        train(run, ROWS)


@pytest.mark.parametrize("rate", [1e30, 1e6])
def test_a_loss_that_is_no_number_keeps_the_last_good_state(tmp_path, rate):
    run = make_run(tmp_path / "run", learning_rate=rate, warmup=0.0, schedule="constant", weight_decay=5.0)
    with pytest.raises(TrainingError, match=r"NaN or infinite after step .*learning_rate"):
        train(run, ROWS, VALIDATION)
    assert all(np.isfinite(tensor).all() for tensor in read_tensors(run.checkpoint_path)[0].values())
