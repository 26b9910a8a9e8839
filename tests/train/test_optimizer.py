from __future__ import annotations

import numpy as np
import pytest
from toy_rows import MODEL

from shrew.errors import RunError
from shrew.model.config import tensor_specs
from shrew.model.parameters import Parameters, init_parameters
from shrew.run import TrainConfig
from shrew.train.optimizer import AdamW, Muon, clip_gradients, make_optimizer, orthogonalize


def config(**changes):
    return TrainConfig(**{"steps": 10, "weight_decay": 0.3, "beta1": 0.8, "beta2": 0.95} | changes)


def random_gradients(seed, size=1.0):
    rng = np.random.default_rng(seed)
    return Parameters(MODEL, (size * rng.standard_normal(MODEL.parameters)).astype(np.float32))


def test_adamw_equals_torch():
    torch = pytest.importorskip("torch")
    ours = init_parameters(MODEL, 0)
    theirs = {n: torch.nn.Parameter(torch.from_numpy(x.copy())) for n, x in ours.items()}
    matrices = [theirs[s.name] for s in tensor_specs(MODEL) if not s.vector]
    vectors = [theirs[s.name] for s in tensor_specs(MODEL) if s.vector]
    adamw = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}],
        betas=(0.8, 0.95),
        eps=1e-8,
    )
    optimizer = AdamW(MODEL, config())
    for step in range(20):
        rate = 0.01 / (1 + step)
        gradients = random_gradients(step)
        for name, tensor in theirs.items():
            tensor.grad = torch.from_numpy(gradients[name].copy())
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.step()
        optimizer.step(ours, gradients, rate)
    for name, tensor in theirs.items():
        np.testing.assert_allclose(ours[name], tensor.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("shape", [(8, 12), (16, 5), (5, 16), (1, 4), (192, 576)])
def test_orthogonalize(shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = orthogonalize(x)
    assert y.shape == shape
    singular = np.linalg.svd(y, compute_uv=False)
    assert singular.min() > 0.4
    assert singular.max() < 1.3
    u, _, v = np.linalg.svd(x, full_matrices=False)
    assert np.vdot(y, u @ v) > 0.6 * min(shape)  # near the closest orthogonal matrix
    assert np.isfinite(orthogonalize(np.zeros(shape, np.float32))).all()


def test_muon_moves_the_layers_matrices_and_adamw_the_rest():
    muon, adamw = init_parameters(MODEL, 0), init_parameters(MODEL, 0)
    Muon(MODEL, config()).step(muon, random_gradients(0), 0.01)
    AdamW(MODEL, config()).step(adamw, random_gradients(0), 0.01)
    before = init_parameters(MODEL, 0)
    for spec in tensor_specs(MODEL):
        name = spec.name
        if name.startswith("layers.") and not spec.vector:
            moved = muon[name] - before[name] * (1 - 0.01 * 0.3)
            assert np.sqrt((moved**2).mean()) == pytest.approx(0.01 * 0.2, rel=0.3)
        else:
            assert np.array_equal(muon[name], adamw[name])


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_continues_to_the_bit(kind):
    straight, resumed = init_parameters(MODEL, 0), init_parameters(MODEL, 0)
    first, second = (make_optimizer(MODEL, config(optimizer=kind)) for _ in range(2))
    for step in range(6):
        first.step(straight, random_gradients(step), 0.01)
    halves = [make_optimizer(MODEL, config(optimizer=kind)), second]
    for step in range(6):
        if step == 3:
            saved = {name: array.copy() for name, array in halves[0].state().items()}
            halves[1].load_state(saved)
        halves[step // 3].step(resumed, random_gradients(step), 0.01)
    assert np.array_equal(straight.flat, resumed.flat)


def test_state_of_another_optimizer_is_refused():
    with pytest.raises(RunError, match="'momentum' is missing"):
        Muon(MODEL, config()).load_state(AdamW(MODEL, config()).state())


@pytest.mark.parametrize(("size", "largest"), [(1.0, 1.0), (1e-4, 1.0), (1.0, 0.0)])
def test_clip(size, largest):
    gradients = random_gradients(0, size)
    before = gradients.flat.astype(np.float64) / 4
    norm = clip_gradients(gradients, 1 / 4, largest)
    assert norm == pytest.approx(np.linalg.norm(before), rel=1e-5)
    expected = before * min(1, largest / norm) if largest else before
    np.testing.assert_allclose(gradients.flat, expected, rtol=1e-5, atol=1e-12)
